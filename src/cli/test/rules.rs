//! The rules that a test file names, as its tests evaluate them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::file::{File, Test};
use crate::config::settings::Settings;
use crate::config::{Config, Problem, Problems};
use crate::judge::Registry;
use crate::rules::{Group, Rule};

/// Ranges may be as long as a test wants them: nothing is forgotten.
const RETENTION: Duration = Duration::from_secs(1000 * 365 * 86_400);

/// Rules, and what was odd about finding them.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) config: Config,
    /// Files and names of packs.
    pub(super) paths: Vec<String>,
    pub(super) remarks: Vec<String>,
}

impl Loaded {
    /// The names of all watches.
    pub(super) fn watches(&self) -> BTreeSet<&str> {
        self.names(|rule| matches!(rule, Rule::Watch(_)))
    }

    /// The names of everything that can fire.
    pub(super) fn alerts(&self) -> BTreeSet<&str> {
        self.names(|rule| !matches!(rule, Rule::Record(_)))
    }

    /// The annotations that the rules of a name write themselves.
    pub(super) fn annotations(&self, alertname: &str) -> BTreeSet<&str> {
        let groups = self.config.rules.groups.iter();
        let rules = groups.flat_map(|group| &group.rules);
        let alerts = rules.filter_map(|rule| match rule {
            Rule::Record(_) => None,
            Rule::Alert { alert, .. } => Some(alert),
            Rule::Watch(watch) => Some(&watch.alert),
        });
        let named = alerts.filter(|alert| *alert.name == *alertname);
        let annotations = named.flat_map(|alert| &alert.annotations);
        annotations.map(|(name, _)| name.as_str()).collect()
    }

    fn names(&self, wanted: impl Fn(&Rule) -> bool) -> BTreeSet<&str> {
        let groups = self.config.rules.groups.iter();
        let rules = groups.flat_map(|group| &group.rules);
        rules.filter(|rule| wanted(rule)).map(Rule::name).collect()
    }
}

/// Reads every rule file of a test file.
///
/// # Errors
/// Every problem of every rule file.
pub(super) fn load(file: &File) -> Result<Loaded, Problems> {
    let (mut paths, mut remarks, mut problems) = (Vec::new(), Vec::new(), Problems::default());
    for (index, (written, line)) in file.rule_files.iter().enumerate() {
        match find(&file.dir, written) {
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
    // The identity of a process is no matter of its rules.
    settings.model.id = String::new();
    match Config::assemble(settings, Path::new(""), &Registry::default()) {
        Ok(config) => problems.into_result(Loaded {
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

/// The files behind a pattern; a bare word that is no file may be a pack.
fn find(dir: &Path, written: &str) -> Result<Vec<String>, String> {
    let pattern = dir.join(written).display().to_string();
    let found = glob::glob(&pattern).map_err(|error| error.to_string())?;
    let found: Vec<String> = found
        .filter_map(|path| Some(path.ok()?.display().to_string()))
        .collect();
    if found.is_empty() && !written.contains(['.', '/', '*', '?', '[']) {
        return Ok(vec![written.to_owned()]);
    }
    Ok(found)
}

/// The rules as one test evaluates them: its external labels, the order of its groups, and promtool's intervals.
pub(super) fn for_test(loaded: &Loaded, file: &File, test: &Test) -> Config {
    let mut config = loaded.config.clone();
    config.settings.global.external_labels = test.external_labels.clone();
    config
        .settings
        .global
        .external_url
        .clone_from(&test.external_url);
    let place = |group: &Group| {
        let mut order = file.group_eval_order.iter();
        order.position(|name| *name == group.name).unwrap_or(0)
    };
    config.rules.groups.sort_by_key(place);
    for group in &mut config.rules.groups {
        pace(group, file.evaluation_interval);
    }
    config
}

/// promtool evaluates every group each time, whatever its interval. It knows no watch: a group with one keeps its
/// interval, since that is what its strategies count in.
fn pace(group: &mut Group, every: Duration) {
    let judges = group
        .rules
        .iter()
        .any(|rule| matches!(rule, Rule::Watch(_)));
    let own = group.interval.filter(|_| judges);
    let interval = own.unwrap_or(every).max(every);
    group.interval = Some(interval);
    for rule in &mut group.rules {
        match rule {
            Rule::Record(_) => {}
            Rule::Alert { alert, .. } => alert.interval = interval,
            Rule::Watch(watch) => watch.alert.interval = interval,
        }
    }
}
