//! Keys that identify a rule across restarts and reloads.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::rules::{Recorded, Rule, RuleSet};

use super::settings::Settings;

/// A key for every rule in order: group and name, and a number for duplicates. The key does not
/// contain the file, so that a file may be renamed.
pub(super) fn keys(rules: &RuleSet) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let groups = rules.groups.iter();
    let rules = groups.flat_map(|group| group.rules.iter().map(|rule| (&group.name, rule.name())));
    rules
        .map(|(group, name)| {
            let key = format!("{group}/{name}");
            let count = seen.entry(key.clone()).or_default();
            *count += 1;
            match *count {
                1 => key,
                n => format!("{key}#{n}"),
            }
        })
        .collect()
}

/// Removes and returns the entry of a rule: by its key, or by its name alone when the rule moved to
/// another group.
pub(super) fn claim<T>(
    pool: &mut BTreeMap<String, T>,
    key: &str,
    name: &str,
    wanted: &[String],
    name_of: impl Fn(&T) -> &str,
) -> Option<(String, T)> {
    if let Some(found) = pool.remove_entry(key) {
        return Some(found);
    }
    let mut moved = pool
        .iter()
        .filter(|(key, of)| name_of(of) == name && !wanted.contains(key));
    let (found, None) = (moved.next()?.0.clone(), moved.next()) else {
        return None;
    };
    pool.remove_entry(&found)
}

/// For every rule in order, how long after a start its expression may still lack data: a fifth of
/// each range between the scrapes and the rule (what [`Coverage`](crate::promql::Coverage) asks
/// for), and two intervals.
pub(super) fn settling(settings: &Settings, rules: &RuleSet) -> Vec<Duration> {
    let interval = settings.interval;
    let mut recorded: Vec<(&str, Duration)> = Vec::new();
    // Expressions that a server evaluates have their whole window at once.
    let ours = settings.is_remote.then(|| Recorded::of(rules));
    rules
        .rules()
        .map(|rule| {
            let selected = rule
                .expressions()
                .into_iter()
                .flat_map(|expr| expr.selected(Duration::ZERO));
            let here = selected.filter(|selected| {
                let ours = ours.as_ref();
                ours.is_none_or(|ours| ours.has(&selected.selector))
            });
            let needs = here.map(|selected| {
                let sources = recorded
                    .iter()
                    .filter(|(name, _)| selected.selector.may_match_name(name));
                let upstream = sources.map(|(_, need)| *need).max().unwrap_or_default();
                selected.reach / 5 + upstream
            });
            let need = needs.max().unwrap_or_default() + interval * 2;
            if let Rule::Record(recording) = rule {
                recorded.push((&recording.name, need));
            }
            need
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::claim;

    #[test]
    fn a_rule_that_moved_to_another_group_is_found_by_its_name_when_there_is_only_one() {
        let pool = || -> BTreeMap<String, &str> {
            [("a/Slow", "Slow"), ("b/Slow", "Slow"), ("b/Other", "Other")]
                .map(|(key, name)| (key.to_owned(), name))
                .into()
        };
        let wanted = ["new/Slow".to_owned(), "b/Slow".to_owned()];
        let find = |key: &str, name: &str| {
            claim(&mut pool(), key, name, &wanted, |name| name).map(|(key, _)| key)
        };
        assert_eq!(find("b/Slow", "Slow").as_deref(), Some("b/Slow"));
        // b/Slow belongs to its own rule.
        assert_eq!(find("new/Slow", "Slow").as_deref(), Some("a/Slow"));
        assert_eq!(find("new/None", "None"), None);
        let ambiguous = claim(&mut pool(), "new/Slow", "Slow", &[], |name| name);
        assert_eq!(ambiguous, None);
    }
}
