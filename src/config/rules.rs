//! Rule files: Prometheus' own, with `watch` and the two keys of `record` added.

use std::collections::HashSet;
use std::time::Duration;

use super::problem::Problems;
use super::rule::{RuleContext, rule};
use super::rule_keys::{GroupKeys, GroupsKeys, ListKeys, ManifestKeys, WITHOUT_EFFECT};
use super::rule_shapes::{LISTS, MANIFEST};
use super::settings::{Global, Settings};
use super::yaml::Document;
use crate::describe::{Keys, Node, Reader};
use crate::judge::Registry;
use crate::metric::Metric;
use crate::rules::{Group, Place};

/// Reads rule files, with the strategies and limits to check them against.
#[derive(Debug)]
pub struct RuleReader<'a> {
    /// The known strategies.
    pub registry: &'a Registry,
    /// The scrape interval, for strategies that count samples.
    pub interval: Duration,
}

/// Whether the reference files of drift rules must exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum References {
    /// A missing or wrong file is a problem.
    Required,
    /// Reference files may be missing, as before they are recorded.
    Ignored,
}

impl<'a> RuleReader<'a> {
    /// A reader with the default retention and scrape interval.
    #[must_use]
    pub fn new(registry: &'a Registry) -> Self {
        Self {
            registry,
            interval: Global::default().scrape_interval,
        }
    }

    /// A reader of the rules that go with these settings.
    #[must_use]
    pub fn under(settings: &Settings, registry: &'a Registry) -> Self {
        Self {
            registry,
            interval: settings.global.scrape_interval,
        }
    }

    /// Reads the text of one rule file, or of PrometheusRule manifests, alone or in a list.
    ///
    /// Skips YAML documents of another kind, since a rendered chart may contain rules.
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
            .filter(|(number, root)| !(several && is_something_else(*number, root)))
            .flat_map(|(number, root)| manifests(root).into_iter().map(move |one| (number, one)))
            .collect();
        let recorded: Vec<(String, Metric)> = roots
            .iter()
            .flat_map(|(_, root)| recorded_metrics(root))
            .collect();
        let mut file = FileState {
            name: file,
            recorded,
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
        // The operator makes a file of each manifest.
        let mut names = HashSet::new();
        for (keys, node) in groups.into_iter().zip(&nodes) {
            let Some(keys) = keys else { continue };
            if !names.insert(keys.name.clone()) {
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
            limit: keys.limit,
            without_effect: without_effect(node),
            rules: rules.collect(),
        }
    }
}

/// The state of reading a file's documents.
struct FileState<'a> {
    name: &'a str,
    /// Which names are model metrics.
    recorded: Vec<(String, Metric)>,
    groups: Vec<Group>,
    /// Whether reference files must exist.
    references: References,
}

/// Whether a document of several is a manifest of another kind, or one behind the first without
/// rules, of which Prometheus reads none.
fn is_something_else(number: usize, root: &Node<'_>) -> bool {
    match kind(root) {
        Some(kind) => kind != MANIFEST && !LISTS.contains(&kind.as_str()),
        None => number > 0 && !root.has("groups"),
    }
}

fn kind(root: &Node<'_>) -> Option<String> {
    root.peek("kind").and_then(|node| node.peek_text())
}

/// The manifests of rules in a list; anything else alone.
fn manifests(root: Node<'_>) -> Vec<Node<'_>> {
    if !kind(&root).is_some_and(|kind| LISTS.contains(&kind.as_str())) {
        return vec![root];
    }
    if let Some(mut fields) = root.fields() {
        ListKeys::read_fields(&mut fields);
        fields.finish();
    }
    let items = root.peek("items").map(Node::peek_list).unwrap_or_default();
    let is_rules = |item: &Node<'_>| kind(item).is_some_and(|kind| kind == MANIFEST);
    items.into_iter().filter(is_rules).collect()
}

/// The keys of a group that are written and have no effect.
fn without_effect(node: &Node<'_>) -> Vec<&'static str> {
    let is_written = |key: &str| {
        let value = node.peek(key).and_then(|node| node.peek_text());
        node.has(key) && !matches!(value.as_deref(), Some("0s" | "0"))
    };
    let keys = WITHOUT_EFFECT.iter().map(|(key, _)| *key);
    keys.filter(|key| is_written(key)).collect()
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
        let estimate = rule.peek("estimate").and_then(|estimate| {
            let of = estimate.peek("of").and_then(|node| node.peek_text());
            (of.as_deref() != Some("gap")).then_some(Metric::Accuracy)
        });
        if let (Some(name), Some(kind)) = (name, kind.or(drift).or(estimate)) {
            found.push((name, kind));
        }
    }
    found
}
