//! Rule files: Prometheus' own, with `watch` and the two keys of `record` added.

use std::collections::HashSet;
use std::time::Duration;

use super::problem::Problems;
use super::read::{Fields, Node, Reader};
use super::rule::{RuleContext, read_rule};
use super::yaml::Document;
use crate::alert;
use crate::judge::{Registry, StrategyConfig};
use crate::map::drift::DriftRule;
use crate::map::{Recording, Source};
use crate::metric::{Direction, Labels, Metric};
use crate::promql::Expr;

/// Every rule of every file, in order.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    /// The groups, by file and then as written.
    pub groups: Vec<Group>,
}

/// Rules that are evaluated one after the other, so that a later one sees what an earlier one recorded.
#[derive(Debug, Clone)]
pub struct Group {
    /// The file as the user named it.
    pub file: String,
    /// Unique within its file.
    pub name: String,
    /// Time between evaluations; the scrape interval when `None`.
    pub interval: Option<Duration>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// One rule of a group.
#[derive(Debug, Clone)]
pub enum Rule {
    /// `record`: a value under a new name, perhaps a model metric.
    Record(Recording),
    /// `alert`: fires while its expression returns something, as in Prometheus.
    Alert {
        /// The condition.
        expr: Expr,
        /// Timing, labels and annotations.
        alert: alert::Rule,
    },
    /// `watch`: fires while its strategy finds the value anomalous.
    Watch(Box<Watch>),
}

impl Rule {
    /// The name behind `record`, `alert` or `watch`.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Record(recording) => &recording.name,
            Self::Alert { alert, .. } => &alert.name,
            Self::Watch(watch) => &watch.alert.name,
        }
    }

    /// The drift behind a record.
    #[must_use]
    pub fn drift(&self) -> Option<&DriftRule> {
        match self {
            Self::Record(Recording {
                source: Source::Drift(drift),
                ..
            }) => Some(drift),
            Self::Record(_) | Self::Alert { .. } | Self::Watch(_) => None,
        }
    }

    /// Every expression of the rule, a watch's veto of retraining included.
    #[must_use]
    pub fn expressions(&self) -> Vec<&Expr> {
        match self {
            Self::Record(recording) => vec![recording.expr()],
            Self::Alert { expr, .. } => vec![expr],
            Self::Watch(watch) => {
                let veto = watch
                    .retrain
                    .as_ref()
                    .and_then(|retrain| retrain.unless.as_ref());
                std::iter::once(&watch.expr).chain(veto).collect()
            }
        }
    }
}

/// A judged alert.
#[derive(Debug, Clone)]
pub struct Watch {
    /// The value that is judged.
    pub expr: Expr,
    /// What the value is about.
    pub metric: Metric,
    /// The side that is bad.
    pub direction: Direction,
    /// How it is judged.
    pub strategy: StrategyConfig,
    /// Timing, labels and annotations of its alert.
    pub alert: alert::Rule,
    /// When to ask for a new model.
    pub retrain: Option<Retrain>,
}

/// When a firing watch asks for a new model.
#[derive(Debug, Clone)]
pub struct Retrain {
    /// At most one request in this time. Default 6h.
    pub cooldown: Duration,
    /// At least this many of the last evaluations must be anomalous; `(1, 1)` by default.
    pub after: (u32, u32),
    /// No request while this returns something.
    pub unless: Option<Expr>,
}

/// What reading rules needs to know.
#[derive(Debug)]
pub struct RuleReader<'a> {
    /// Which strategies exist.
    pub registry: &'a Registry,
    /// The longest window a rule may look back over.
    pub retention: Duration,
    /// The scrape interval, for strategies that count samples.
    pub interval: Duration,
}

impl RuleReader<'_> {
    /// Reads the text of one rule file, or of a PrometheusRule manifest.
    ///
    /// # Errors
    /// Every problem of the file at once.
    pub fn read(&self, file: &str, text: &str) -> Result<Vec<Group>, Problems> {
        let (groups, problems) = self.read_all(file, text)?;
        problems.into_result(groups)
    }

    /// What can be read of a file, and its problems.
    pub(super) fn read_all(
        &self,
        file: &str,
        text: &str,
    ) -> Result<(Vec<Group>, Problems), Problems> {
        let document = Document::parse(file, text)?;
        let reader = Reader::new(&document);
        let groups = reader
            .root()
            .fields()
            .map(|fields| self.groups(file, fields));
        Ok((groups.unwrap_or_default(), reader.finish()))
    }

    fn groups(&self, file: &str, mut fields: Fields<'_>) -> Vec<Group> {
        if fields.get("kind").and_then(|node| node.text()).as_deref() == Some("PrometheusRule") {
            fields.get("apiVersion");
            fields.get("metadata");
            let spec = fields.required("spec").and_then(|node| node.fields());
            fields.finish();
            return spec
                .map(|fields| self.groups(file, fields))
                .unwrap_or_default();
        }
        let Some(nodes) = fields.required("groups").and_then(|node| node.list()) else {
            fields.finish();
            return Vec::new();
        };
        fields.finish();
        let recorded = recorded_metrics(&nodes);
        let mut names = HashSet::new();
        let mut groups = Vec::new();
        for node in &nodes {
            let Some(group) = self.group(file, node, &recorded) else {
                continue;
            };
            if !names.insert(group.name.clone()) {
                node.problem_below(
                    "name",
                    format!(
                        "the group {:?} is already in this file; give it another name",
                        group.name
                    ),
                );
            }
            groups.push(group);
        }
        groups
    }

    fn group(&self, file: &str, node: &Node<'_>, recorded: &[(String, Metric)]) -> Option<Group> {
        let mut fields = node.fields()?;
        let name = fields
            .required("name")
            .and_then(|node| node.text())
            .unwrap_or_default();
        let interval_node = fields.get("interval");
        let interval = interval_node
            .as_ref()
            .and_then(Node::duration)
            .filter(|interval| !interval.is_zero());
        if let Some(offset) = fields.get("query_offset")
            && offset.duration().is_some_and(|offset| !offset.is_zero())
        {
            offset.problem("must be 0s: rules are evaluated on the scrape that just ended");
        }
        let limit = fields.count("limit").unwrap_or(0);
        let labels = fields.labels("labels");
        fields.get("partial_response_strategy");
        let nodes = fields.list("rules");
        fields.finish();
        let context = RuleContext {
            file,
            reader: self,
            group: &name,
            labels: &labels,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            interval: interval.unwrap_or(self.interval),
            recorded,
        };
        let rules = nodes
            .iter()
            .filter_map(|node| read_rule(node, &context))
            .collect();
        Some(Group {
            file: file.to_owned(),
            name,
            interval,
            rules,
        })
    }
}

/// Which names of this file are model metrics, so that a watch on one knows its kind.
fn recorded_metrics(groups: &[Node<'_>]) -> Vec<(String, Metric)> {
    let mut found = Vec::new();
    for rule in groups
        .iter()
        .flat_map(|group| group.peek("rules").into_iter().flat_map(Node::peek_list))
    {
        let name = rule.peek("record").and_then(|node| node.peek_text());
        let kind = rule.peek("metric").and_then(|node| node.peek_text());
        let kind = kind.and_then(|kind| Metric::from_word(&kind));
        let drift = rule.peek("drift").map(|_| Metric::PredictionDrift);
        if let (Some(name), Some(kind)) = (name, kind.or(drift)) {
            found.push((name, kind));
        }
    }
    found
}

/// Labels of the group under those of the rule.
pub(super) fn merged(group: &Labels, rule: Vec<(String, String)>) -> Vec<(String, String)> {
    let inherited = group
        .iter()
        .filter(|(name, _)| rule.iter().all(|(own, _)| own != name));
    let inherited: Vec<_> = inherited
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    inherited.into_iter().chain(rule).collect()
}
