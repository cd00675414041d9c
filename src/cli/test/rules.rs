//! Loads the rules that a test file names.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::file::{File, Test};
use crate::config::settings::Settings;
use crate::config::{Config, Problem, Problems};
use crate::judge::Registry;
use crate::rules::{Group, Rule};

/// So long that no sample of a test is evicted.
const RETENTION: Duration = Duration::from_secs(1000 * 365 * 86_400);

/// The loaded rules.
#[derive(Debug)]
pub(super) struct LoadedRules {
    pub(super) config: Config,
    /// Files and pack names.
    pub(super) paths: Vec<String>,
    /// Remarks about patterns without a file.
    pub(super) remarks: Vec<String>,
}

impl LoadedRules {
    /// The names of all watches.
    pub(super) fn watches(&self) -> BTreeSet<&str> {
        self.names(|rule| matches!(rule, Rule::Watch(_)))
    }

    /// The names of all records.
    pub(super) fn records(&self) -> BTreeSet<&str> {
        self.names(|rule| matches!(rule, Rule::Record(_)))
    }

    /// The names of all alerts and watches.
    pub(super) fn alerts(&self) -> BTreeSet<&str> {
        self.names(|rule| !matches!(rule, Rule::Record(_)))
    }

    /// The names of the annotations in the rules with this name.
    pub(super) fn annotations(&self, alertname: &str) -> BTreeSet<&str> {
        self.rules()
            .filter_map(|rule| match rule {
                Rule::Record(_) => None,
                Rule::Alert { alert, .. } => Some(alert),
                Rule::Watch(watch) => Some(&watch.alert),
            })
            .filter(|alert| *alert.name == *alertname)
            .flat_map(|alert| &alert.annotations)
            .map(|(name, _)| name.as_str())
            .collect()
    }

    fn names(&self, predicate: impl Fn(&Rule) -> bool) -> BTreeSet<&str> {
        self.rules()
            .filter(|rule| predicate(rule))
            .map(Rule::name)
            .collect()
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.config
            .rules
            .groups
            .iter()
            .flat_map(|group| &group.rules)
    }
}

/// Loads all rule files of a test file.
///
/// # Errors
/// All problems of all rule files.
pub(super) fn load(file: &File) -> Result<LoadedRules, Problems> {
    let (mut paths, mut remarks, mut problems) = (Vec::new(), Vec::new(), Problems::default());
    for (index, (written, line)) in file.rule_files.iter().enumerate() {
        match expand(&file.dir, written) {
            Err(error) => problems.push(Problem {
                file: file.name.clone(),
                line: *line,
                path: format!("rule_files[{index}]"),
                message: format!("not a pattern: {error}"),
            }),
            Ok(found) if found.is_empty() => {
                remarks.push(format!("{}:{line}: no file matches {written}", file.name));
            }
            Ok(found) => paths.extend(found),
        }
    }
    let mut settings = Settings {
        rule_files: paths.clone(),
        ..Settings::default()
    };
    settings.global.scrape_interval = file.evaluation_interval;
    settings.storage.retention = RETENTION;
    // A test of rules does not depend on the identity of a process.
    settings.model.id = String::new();
    match Config::assemble(settings, Path::new(""), &Registry::default()) {
        Ok(config) => problems.into_result(LoadedRules {
            config,
            paths,
            remarks,
        }),
        Err(found) => {
            problems.extend(found);
            Err(problems)
        }
    }
}

/// The files that match a pattern. A plain word without a matching file may name a pack.
fn expand(dir: &Path, written: &str) -> Result<Vec<String>, String> {
    let pattern = dir.join(written).display().to_string();
    let found: Vec<String> = glob::glob(&pattern)
        .map_err(|error| error.to_string())?
        .filter_map(|path| Some(path.ok()?.display().to_string()))
        .collect();
    if found.is_empty() && !written.contains(['.', '/', '*', '?', '[']) {
        return Ok(vec![written.to_owned()]);
    }
    Ok(found)
}

/// The rules with the external labels of a test, the group order of its file, and promtool's
/// intervals.
pub(super) fn for_test(loaded: &LoadedRules, file: &File, test: &Test) -> Config {
    let mut config = loaded.config.clone();
    config.settings.global.external_labels = test.external_labels.clone();
    config
        .settings
        .global
        .external_url
        .clone_from(&test.external_url);
    let position = |group: &Group| {
        let mut order = file.group_eval_order.iter();
        order.position(|name| *name == group.name).unwrap_or(0)
    };
    config.rules.groups.sort_by_key(position);
    for group in &mut config.rules.groups {
        set_interval(group, file.evaluation_interval);
    }
    config
}

/// Evaluates a group at every step, as promtool does, whatever its interval. A group with a watch
/// keeps a longer interval, since its strategy counts evaluations.
fn set_interval(group: &mut Group, evaluation_interval: Duration) {
    let has_watch = group
        .rules
        .iter()
        .any(|rule| matches!(rule, Rule::Watch(_)));
    let interval = group
        .interval
        .filter(|_| has_watch)
        .map_or(evaluation_interval, |own| own.max(evaluation_interval));
    group.interval = Some(interval);
    for rule in &mut group.rules {
        match rule {
            Rule::Record(_) => {}
            Rule::Alert { alert, .. } => alert.interval = interval,
            Rule::Watch(watch) => watch.alert.interval = interval,
        }
    }
}
