//! What a test asserts, as written and checked.

use std::time::Duration;

use super::file::{each, interval};
use crate::describe::{Fields, Node, Value};
use crate::judge::State;
use crate::metric::Labels;
use crate::promql::Expr;
use crate::promql::notation::parse_metric;

/// An assertion about a moment.
#[derive(Debug)]
pub(super) struct At<T> {
    pub(super) line: usize,
    /// Since the start.
    pub(super) eval_time: Duration,
    pub(super) test: T,
}

/// The firing alerts of a name, exactly.
#[derive(Debug)]
pub(super) struct AlertTest {
    pub(super) alertname: String,
    /// Only labels are compared.
    pub(super) ignore_annotations: bool,
    /// Labels and annotations.
    pub(super) expected: Vec<(Labels, Labels)>,
}

/// The samples of an expression, exactly.
#[derive(Debug)]
pub(super) struct ExprTest {
    pub(super) expr: Expr,
    pub(super) expected: Vec<(Labels, f64)>,
}

/// The verdicts of a watch, exactly.
#[derive(Debug)]
pub(super) struct VerdictTest {
    pub(super) rule: String,
    pub(super) expected: Vec<ExpectedVerdict>,
}

/// What a strategy should say of a series.
#[derive(Debug)]
pub(super) struct ExpectedVerdict {
    pub(super) labels: Labels,
    pub(super) state: String,
    /// The score and the decimals it was written with.
    pub(super) score: Option<(f64, i32)>,
}

/// Saved scrapes and the alerts that fire on them, exactly.
#[derive(Debug)]
pub(super) struct ScrapeTest {
    pub(super) line: usize,
    /// As written.
    pub(super) snapshots: String,
    pub(super) step: Option<Duration>,
    /// Skipped where the folder is missing.
    pub(super) optional: bool,
    pub(super) expected: Vec<ExpectedFiring>,
}

/// An alert that fires on saved scrapes.
#[derive(Debug)]
pub(super) struct ExpectedFiring {
    pub(super) line: usize,
    pub(super) rule: String,
    /// Labels that it has among others.
    pub(super) labels: Labels,
    /// Seconds, both included.
    pub(super) fired_between: Option<(f64, f64)>,
}

/// A series as PromQL writes it.
pub(super) fn metric(node: &Node<'_>) -> Option<Labels> {
    let text = node.text()?;
    let read = parse_metric(&text);
    read.map_err(|error| node.problem(error)).ok()
}

/// Reads an assertion about a moment.
pub(super) fn at<T>(node: &Node<'_>, read: impl Fn(&mut Fields<'_>) -> Option<T>) -> Option<At<T>> {
    let mut fields = node.fields()?;
    let eval_time = fields.duration("eval_time").unwrap_or_default();
    let test = read(&mut fields);
    fields.finish();
    Some(At {
        line: node.line(),
        eval_time,
        test: test?,
    })
}

/// Reads what follows the time of an `alert_rule_test`.
pub(super) fn alert_test(fields: &mut Fields<'_>, ignore_annotations: bool) -> Option<AlertTest> {
    let ignored = fields.boolean("ignore_annotations");
    let alertname = fields.required("alertname").and_then(|node| node.text());
    let expected = each(fields, "exp_alerts", |node| {
        let mut fields = node.fields()?;
        let labels = texts(&mut fields, "exp_labels");
        let annotations = texts(&mut fields, "exp_annotations");
        fields.finish();
        Some((labels, annotations))
    });
    let alertname = alertname?;
    // It is implied, and wins over what is written, as in promtool.
    let named = |labels: &Labels| labels.with("alertname", &alertname);
    let expected = expected.iter();
    let expected = expected.map(|(labels, annotations)| (named(labels), annotations.clone()));
    Some(AlertTest {
        ignore_annotations: ignored.unwrap_or(false) || ignore_annotations,
        expected: expected.collect(),
        alertname,
    })
}

fn texts(fields: &mut Fields<'_>, key: &'static str) -> Labels {
    let node = fields.get(key);
    Labels::new(node.and_then(|node| node.text_map()).unwrap_or_default())
}

/// Reads what follows the time of a `promql_expr_test`.
pub(super) fn expr_test(fields: &mut Fields<'_>) -> Option<ExprTest> {
    let expr = fields.required("expr").and_then(|node| {
        let text = node.text()?;
        Expr::parse(&text)
            .map_err(|error| node.problem(error.to_string()))
            .ok()
    });
    let expected = each(fields, "exp_samples", |node| {
        let mut fields = node.fields()?;
        let labels = fields
            .get("labels")
            .map_or(Some(Labels::empty()), |node| metric(&node));
        let value = fields.get("value").map_or(Some(0.0), |node| number(&node));
        if let Some(node) = fields.get("histogram") {
            node.problem("native histograms are not evaluated here; test a quantile or a bucket of a classic one");
        }
        fields.finish();
        Some((labels?, value?))
    });
    Some(ExprTest {
        expr: expr?,
        expected,
    })
}

/// Reads what follows the time of a `verdict_test`.
pub(super) fn verdict_test(fields: &mut Fields<'_>) -> Option<VerdictTest> {
    let rule = fields.required("rule").and_then(|node| node.text());
    let expected = each(fields, "exp_verdicts", |node| {
        let mut fields = node.fields()?;
        let labels = texts(&mut fields, "labels");
        let state = fields.required("state").and_then(|node| state(&node));
        let score = fields
            .get("score")
            .and_then(|node| Some((number(&node)?, decimals(&node.text()?))));
        fields.finish();
        Some(ExpectedVerdict {
            labels,
            state: state?,
            score,
        })
    });
    Some(VerdictTest {
        rule: rule?,
        expected,
    })
}

fn state(node: &Node<'_>) -> Option<String> {
    const STATES: [State; 5] = [
        State::WarmingUp,
        State::Ok,
        State::Anomalous,
        State::InsufficientData,
        State::Stale,
    ];
    let text = node.text()?;
    if !STATES.iter().any(|state| state.as_str() == text) {
        let known = STATES.map(State::as_str).join(", ");
        node.problem(format!("not a state: {text:?}; states are {known}"));
        return None;
    }
    Some(text)
}

/// How many decimals a number was written with.
fn decimals(text: &str) -> i32 {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    i32::try_from(digits).unwrap_or(i32::MAX)
}

/// Reads a `scrape_test`.
pub(super) fn scrape_test(node: &Node<'_>) -> Option<ScrapeTest> {
    let mut fields = node.fields()?;
    let snapshots = fields.required("snapshots").and_then(|node| node.text());
    let step = interval(&mut fields, "step");
    let optional = fields.boolean("optional").unwrap_or(false);
    let expected = each(&mut fields, "exp_alerts", firing);
    fields.finish();
    Some(ScrapeTest {
        line: node.line(),
        snapshots: snapshots?,
        step,
        optional,
        expected,
    })
}

fn firing(node: &Node<'_>) -> Option<ExpectedFiring> {
    let mut fields = node.fields()?;
    let rule = fields.required("rule").and_then(|node| node.text());
    let labels = texts(&mut fields, "labels");
    let between = fields.get("fired_between");
    fields.finish();
    let fired_between = match between {
        None => None,
        Some(node) => {
            let bounds: Option<Vec<f64>> = node.list()?.iter().map(number).collect();
            let [from, to] = bounds?[..] else {
                node.problem("must be two times in seconds: [from, to]");
                return None;
            };
            if to < from {
                node.problem(format!("ends before it begins: {from} is after {to}"));
            }
            Some((from, to))
        }
    };
    Some(ExpectedFiring {
        line: node.line(),
        rule: rule?,
        labels,
        fired_between,
    })
}

/// A number; `NaN` and `+Inf` may also be written as Prometheus writes them.
fn number(node: &Node<'_>) -> Option<f64> {
    let parsed = match node.value() {
        Value::Number(value, _) => Some(*value),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => None,
    };
    if parsed.is_none() {
        node.problem(format!("must be a number, got {}", node.value().describe()));
    }
    parsed
}
