//! Values that only rule files have: PromQL, templates and names.

use std::time::Duration;

use serde_json::json;

use crate::alert::Template;
use crate::describe::{Kind, Limits, Node, Scalar, Shape, TextMap, Value, Word, read_word};
use crate::metric::{Labels, format_duration};
use crate::promql::Expr;

/// The fixed words of a manifest of rules, and of a list of manifests.
pub(super) const MANIFEST: &str = "PrometheusRule";
pub(super) const LISTS: [&str; 2] = ["List", "PrometheusRuleList"];
const MANIFEST_VERSION: &str = "monitoring.coreos.com/v1";
/// Of the operator that Red Hat's observability operator brings.
const RHOBS_VERSION: &str = "monitoring.rhobs/v1";

static EXPRESSION: Scalar = Scalar {
    name: "expression",
    doc: "A PromQL expression. A rule whose ranges reach back over more than `storage.retention` is loaded and not evaluated.",
    schema: || json!({"type": ["string", "number"]}),
    show: |number| number.to_string(),
};

static NAME: Scalar = Scalar {
    name: "name",
    doc: "Text that is not empty.",
    schema: || json!({"type": ["string", "number", "boolean"], "minLength": 1}),
    show: |number| number.to_string(),
};

static METRIC_NAME: Scalar = Scalar {
    name: "metric name",
    doc: "The name of a series, such as `model:latency:p99`.",
    schema: || json!({"type": "string", "pattern": "^[^{}]+$"}),
    show: |number| number.to_string(),
};

static SHARE: Scalar = Scalar {
    name: "share",
    doc: "`N/M`: at least N of the last M evaluations, with 1 ≤ N ≤ M ≤ 1000.",
    schema: || json!({"type": "string", "pattern": "^ *[0-9]{1,4} */ *[0-9]{1,4} *$"}),
    show: |number| number.to_string(),
};

/// A PromQL expression.
pub(super) struct Expression;

impl Shape for Expression {
    type Value = Expr;

    fn kind() -> Kind {
        Kind::Scalar(&EXPRESSION)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Expr> {
        Expr::parse(&node.text()?)
            .map_err(|error| node.problem(error.to_string()))
            .ok()
    }
}

/// A plain selector of counters.
pub(super) struct CounterSelector;

impl Shape for CounterSelector {
    type Value = Expr;

    fn kind() -> Kind {
        Expression::kind()
    }

    fn read(node: &Node<'_>, limits: &Limits) -> Option<Expr> {
        let expr = Expression::read(node, limits)?;
        if expr.selector().is_none() {
            node.problem(format!(
                "must be a selector such as prediction_score_bucket{{model_name=\"a\"}}, without functions, offset or @; got {}",
                expr.text()
            ));
            return None;
        }
        Some(expr)
    }
}

static SELECTORS: Scalar = Scalar {
    name: "selectors",
    doc: "A selector of counters, or a list of selectors; what they select is added up.",
    schema: || {
        json!({"anyOf": [
            {"type": "string", "minLength": 1},
            {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
        ]})
    },
    show: |number| number.to_string(),
};

/// A plain selector of counters, or several.
pub(super) struct CounterSelectors;

impl Shape for CounterSelectors {
    type Value = Vec<Expr>;

    fn kind() -> Kind {
        Kind::Scalar(&SELECTORS)
    }

    fn read(node: &Node<'_>, limits: &Limits) -> Option<Vec<Expr>> {
        let Value::List(_) = node.value() else {
            return Some(vec![CounterSelector::read(node, limits)?]);
        };
        let items = node.list()?;
        if items.is_empty() {
            node.problem("must name at least one selector of counters");
        }
        let selectors = items.iter().map(|item| CounterSelector::read(item, limits));
        let selectors: Option<Vec<Expr>> = selectors.collect();
        selectors.filter(|selectors| !selectors.is_empty())
    }
}

static WINDOW: Scalar = Scalar {
    name: "window",
    doc: "A duration, or `{at_least: OBSERVATIONS, at_most: DURATION}`: the newest part of that time that holds so many observations.",
    schema: || {
        let duration = duration_schema();
        json!({"anyOf": [
            duration,
            {
                "type": "object",
                "properties": {
                    "at_least": {"type": "integer", "minimum": 1},
                    "at_most": duration,
                },
                "required": ["at_least", "at_most"],
                "additionalProperties": false,
            },
        ]})
    },
    show: |number| number.to_string(),
};

fn duration_schema() -> serde_json::Value {
    let Kind::Scalar(scalar) = Duration::kind() else {
        return json!({});
    };
    (scalar.schema)()
}

/// How much of the past a distribution covers.
#[derive(Debug, Clone, Copy)]
pub(super) struct DriftWindow {
    /// The time, or the longest.
    pub(super) time: Duration,
    /// The observations that are enough.
    pub(super) at_least: Option<u64>,
}

impl Shape for DriftWindow {
    type Value = Self;

    fn kind() -> Kind {
        Kind::Scalar(&WINDOW)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Self> {
        let Value::Map(_) = node.value() else {
            let time = node.duration()?;
            return Some(Self {
                time,
                at_least: None,
            });
        };
        let mut fields = node.fields()?;
        let at_least = fields.required("at_least");
        let at_least = at_least.and_then(|node| {
            let count = node.count()?;
            if count == 0 {
                node.problem("must be at least 1, got 0");
            }
            Some(count)
        });
        let time = fields.required("at_most").and_then(|node| node.duration());
        fields.finish();
        Some(Self {
            time: time?,
            at_least: Some(at_least?),
        })
    }

    fn show(window: &Self) -> Option<String> {
        Some(format_duration(window.time))
    }
}

/// Templates by name.
pub(super) struct Templates;

impl Shape for Templates {
    type Value = Vec<(String, Template)>;

    fn kind() -> Kind {
        TextMap::kind()
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Self::Value> {
        Some(templates(node, node.text_map()?))
    }
}

/// Labels as written, sorted by name; an empty value removes the label.
pub(super) struct RuleLabels;

impl Shape for RuleLabels {
    type Value = Vec<(String, String)>;

    fn kind() -> Kind {
        Labels::kind()
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Self::Value> {
        Some(node.label_pairs())
    }
}

/// Labels whose values are templates.
pub(super) struct LabelTemplates;

impl Shape for LabelTemplates {
    type Value = Vec<(String, Template)>;

    fn kind() -> Kind {
        RuleLabels::kind()
    }

    fn read(node: &Node<'_>, limits: &Limits) -> Option<Self::Value> {
        Some(templates(node, RuleLabels::read(node, limits)?))
    }
}

/// The texts that are templates; the others are reported.
pub(super) fn templates(node: &Node<'_>, texts: Vec<(String, String)>) -> Vec<(String, Template)> {
    let parsed = texts.into_iter().filter_map(|(name, text)| {
        let template = Template::parse(&text)
            .map_err(|error| node.problem_below(&name, error.to_string()))
            .ok()?;
        Some((name, template))
    });
    parsed.collect()
}

/// The name of an alert or a group.
pub(super) struct RuleName;

impl Shape for RuleName {
    type Value = String;

    fn kind() -> Kind {
        Kind::Scalar(&NAME)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<String> {
        let name = node.text()?;
        if name.is_empty() {
            node.problem("must not be empty");
        }
        Some(name)
    }
}

/// The name of a recorded series.
pub(super) struct RecordName;

impl Shape for RecordName {
    type Value = String;

    fn kind() -> Kind {
        Kind::Scalar(&METRIC_NAME)
    }

    fn read(node: &Node<'_>, limits: &Limits) -> Option<String> {
        let name = node.text()?;
        if name.is_empty() || name.contains(['{', '}']) {
            let example = limits.example;
            node.problem(format!(
                "must be a metric name such as {example}, got {name:?}"
            ));
        }
        Some(name)
    }
}

/// `3/5`: three of the last five.
pub(super) struct Share;

impl Shape for Share {
    type Value = (u32, u32);

    fn kind() -> Kind {
        Kind::Scalar(&SHARE)
    }

    fn read(node: &Node<'_>, limits: &Limits) -> Option<(u32, u32)> {
        let text = node.text()?;
        let share = text
            .split_once('/')
            .and_then(|(n, m)| Some((n.trim().parse().ok()?, m.trim().parse().ok()?)))
            .filter(|(n, m)| *n >= 1 && n <= m && *m <= 1000);
        if share.is_none() {
            let example = limits.example;
            node.problem(format!(
                "must be N/M with 1 ≤ N ≤ M ≤ 1000, such as {example}, got {text:?}"
            ));
        }
        share
    }

    fn show((n, m): &(u32, u32)) -> Option<String> {
        Some(format!("{n}/{m}"))
    }
}

/// A key that is ignored.
pub(super) struct Anything;

impl Shape for Anything {
    type Value = ();

    fn kind() -> Kind {
        Kind::Anything
    }

    fn read(_node: &Node<'_>, _limits: &Limits) -> Option<()> {
        Some(())
    }
}

macro_rules! constant {
    ($(#[doc = $doc:literal])+ $name:ident $($word:expr),+) => {
        $(#[doc = $doc])+
        pub(super) struct $name;

        impl Shape for $name {
            type Value = ();

            fn kind() -> Kind {
                Kind::Words(vec![$(Word { word: $word, doc: "" }),+])
            }

            fn read(node: &Node<'_>, limits: &Limits) -> Option<()> {
                // Any other word was reported already.
                let words = vec![$((Word { word: $word, doc: "" }, ())),+];
                Some(read_word(node, limits, words).unwrap_or_default())
            }
        }
    };
}

constant! {
    /// `kind: PrometheusRule`.
    ManifestKind MANIFEST
}
constant! {
    /// `apiVersion: monitoring.coreos.com/v1`.
    ManifestVersion MANIFEST_VERSION, RHOBS_VERSION
}
constant! {
    /// `kind: List`.
    ListKind LISTS[0], LISTS[1]
}
constant! {
    /// The only kind of group in vmalert that has PromQL.
    VmalertType "prometheus"
}

static NO_TIME: Scalar = Scalar {
    name: "no time",
    doc: "Nothing but `0s`.",
    schema: || json!({"enum": [0, "0", "0s"]}),
    show: |number| number.to_string(),
};

/// A duration that must be 0, as programs write it that copy rules.
pub(super) struct NoTime;

impl Shape for NoTime {
    type Value = ();

    fn kind() -> Kind {
        Kind::Scalar(&NO_TIME)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<()> {
        if !node.duration()?.is_zero() {
            node.problem("has no effect on a record; remove it, or make the rule an alert");
        }
        Some(())
    }
}

static NO_TEXTS: Scalar = Scalar {
    name: "no texts",
    doc: "Nothing but `{}`.",
    schema: || json!({"type": "object", "maxProperties": 0}),
    show: |number| number.to_string(),
};

/// A map that must be empty, as programs write it that copy rules.
pub(super) struct NoTexts;

impl Shape for NoTexts {
    type Value = ();

    fn kind() -> Kind {
        Kind::Scalar(&NO_TEXTS)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<()> {
        if !node.entries()?.is_empty() {
            node.problem("have no effect on a record; remove them, or make the rule an alert");
        }
        Some(())
    }
}
