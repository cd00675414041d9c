//! Rule files: Prometheus' own, with `watch` and the two keys of `record` added.

use std::collections::HashSet;
use std::time::Duration;

use super::problem::Problems;
use super::rule::{RuleContext, rule};
use super::rule_keys::{GroupKeys, GroupsKeys, ManifestKeys};
use super::rule_shapes::MANIFEST;
use super::settings::{Global, Storage};
use super::yaml::Document;
use crate::alert;
use crate::describe::{Keys, Node, Reader};
use crate::judge::{Registry, StrategyConfig};
use crate::map::drift::DriftRule;
use crate::map::{Recording, Source};
use crate::metric::{Direction, Metric};
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
    /// Where in the file it stands.
    pub place: Place,
    /// Unique within its file.
    pub name: String,
    /// Time between evaluations; the scrape interval when `None`.
    pub interval: Option<Duration>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// Where a group stands in its file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Which YAML document of the file, from 0; empty documents do not count.
    pub document: usize,
    /// The path in the document, such as `groups[0]` or `spec.groups[2]`.
    pub path: String,
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

/// Whether the reference files of drift rules must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum References {
    /// A file that is missing or wrong is a problem.
    Required,
    /// Rules are read without them, as when they are about to be recorded.
    Ignored,
}

impl<'a> RuleReader<'a> {
    /// A reader with the default retention and scrape interval.
    #[must_use]
    pub fn new(registry: &'a Registry) -> Self {
        Self {
            registry,
            retention: Storage::default().retention,
            interval: Global::default().scrape_interval,
        }
    }

    /// Reads the text of one rule file, or of PrometheusRule manifests.
    ///
    /// Of several YAML documents, those that say they are something else are left out: rules may stand in a rendered chart.
    ///
    /// # Errors
    /// Every problem of the file at once.
    pub fn read(&self, file: &str, text: &str) -> Result<Vec<Group>, Problems> {
        self.read_with(file, text, References::Required)
    }

    /// Reads the text of one rule file whose reference files may be missing.
    pub(super) fn read_with(
        &self,
        file: &str,
        text: &str,
        references: References,
    ) -> Result<Vec<Group>, Problems> {
        let documents = Document::parse_all(file, text)?;
        let several = documents.len() > 1;
        let readers: Vec<Reader<'_>> = documents.iter().map(Document::reader).collect();
        let roots: Vec<(usize, Node<'_>)> = readers
            .iter()
            .map(Reader::root)
            .enumerate()
            .filter(|(_, root)| !(several && is_something_else(root)))
            .collect();
        let recorded: Vec<(String, Metric)> = roots
            .iter()
            .flat_map(|(_, root)| recorded_metrics(root))
            .collect();
        let mut file = FileState {
            name: file,
            recorded,
            names: HashSet::new(),
            groups: Vec::new(),
            references,
        };
        for (document, root) in roots {
            self.document(&mut file, document, &root);
        }
        let groups = file.groups;
        let mut problems = Problems::default();
        for (document, reader) in documents.iter().zip(readers) {
            problems.extend(document.problems(reader.finish()));
        }
        problems.into_result(groups)
    }

    fn document(&self, file: &mut FileState<'_>, document: usize, root: &Node<'_>) {
        let Some(mut fields) = root.fields() else {
            return;
        };
        let is_manifest = root.has("kind");
        let keys = if is_manifest {
            ManifestKeys::read_fields(&mut fields).map(|manifest| manifest.spec)
        } else {
            GroupsKeys::read_fields(&mut fields)
        };
        fields.finish();
        let place = if is_manifest {
            root.peek("spec")
        } else {
            Some(root.clone())
        };
        let nodes = place.and_then(|place| place.peek("groups"));
        let nodes = nodes.map(Node::peek_list).unwrap_or_default();
        let groups = keys.map(|keys| keys.groups).unwrap_or_default();
        for (keys, node) in groups.into_iter().zip(&nodes) {
            let Some(keys) = keys else { continue };
            if !file.names.insert(keys.name.clone()) {
                node.problem_below(
                    "name",
                    format!(
                        "the group {:?} is already in this file; give it another name",
                        keys.name
                    ),
                );
            }
            let place = Place {
                document,
                path: node.path().to_owned(),
            };
            let group = self.group(file, place, keys, node);
            file.groups.push(group);
        }
    }

    fn group(&self, file: &FileState<'_>, place: Place, keys: GroupKeys, node: &Node<'_>) -> Group {
        let interval = keys.interval.filter(|interval| !interval.is_zero());
        let context = RuleContext {
            file: file.name,
            reader: self,
            group: &keys.name,
            labels: &keys.labels,
            limit: keys.limit,
            interval: interval.unwrap_or(self.interval),
            recorded: &file.recorded,
            references: file.references,
        };
        let nodes = node.peek("rules").map(Node::peek_list).unwrap_or_default();
        let rules = keys.rules.into_iter().zip(&nodes);
        let rules = rules.filter_map(|(keys, node)| rule(keys?, node, &context));
        Group {
            file: file.name.to_owned(),
            place,
            name: keys.name.clone(),
            interval,
            rules: rules.collect(),
        }
    }
}

/// What is known of a file while its documents are read.
struct FileState<'a> {
    name: &'a str,
    /// Which names are model metrics.
    recorded: Vec<(String, Metric)>,
    /// The groups' names so far.
    names: HashSet<String>,
    groups: Vec<Group>,
    /// Whether reference files must be there.
    references: References,
}

/// Whether a document is a manifest of another kind.
fn is_something_else(root: &Node<'_>) -> bool {
    let kind = root.peek("kind").and_then(|node| node.peek_text());
    kind.is_some_and(|kind| kind != MANIFEST)
}

/// Which names of a document are model metrics, so that a watch on one knows its kind.
fn recorded_metrics(root: &Node<'_>) -> Vec<(String, Metric)> {
    let spec = root.peek("spec");
    let groups = spec.as_ref().unwrap_or(root).peek("groups");
    let groups = groups.map(Node::peek_list).unwrap_or_default();
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
