//! A rule as written, and what tells it from every other rule.

use std::collections::HashMap;
use std::time::Duration;

use crate::alert::{is_static_label, rule_id};
use crate::metric::Labels;

/// What tells a rule from every other one. It does not depend on the file or on the position.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct RuleKey {
    /// The name of its group.
    pub group: String,
    /// Its own name.
    pub name: String,
    /// Its labels without those that are empty or templates.
    pub labels: Labels,
    /// How many rules before it are equal in all of that, which is a mistake in the rule files.
    pub copy: usize,
}

impl RuleKey {
    /// The key as a short text for links and anchors.
    #[must_use]
    pub fn id(&self) -> String {
        let id = rule_id(&self.group, &self.name, self.labels.iter());
        match self.copy {
            0 => id,
            copy => format!("{id}-{}", copy + 1),
        }
    }
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RuleKind {
    /// Records.
    #[default]
    Record,
    /// Alerts as Prometheus does.
    Alert,
    /// Alerts by a strategy.
    Watch,
}

/// A rule as written: the same from one configuration to the next.
#[derive(Debug, Clone, Default)]
pub struct Definition {
    /// What tells it from other rules.
    pub key: RuleKey,
    /// What it does.
    pub kind: RuleKind,
    /// Its expression.
    pub query: String,
    /// Whether a healthy target may lack its series.
    pub optional: bool,
    /// `for`.
    pub hold: Duration,
    /// `keep_firing_for`.
    pub keep_firing_for: Duration,
    /// Its labels as written.
    pub labels: Vec<(String, String)>,
    /// Its annotations as written.
    pub annotations: Vec<(String, String)>,
}

impl Definition {
    /// A rule of this group, name and kind with these labels.
    #[must_use]
    pub fn new(group: &str, name: &str, kind: RuleKind, labels: Vec<(String, String)>) -> Self {
        let fixed = labels
            .iter()
            .filter(|(_, text)| is_static_label(text))
            .map(|(name, text)| (name.as_str(), text.as_str()));
        let key = RuleKey {
            group: group.to_owned(),
            name: name.to_owned(),
            labels: Labels::new(fixed),
            copy: 0,
        };
        Self {
            key,
            kind,
            labels,
            ..Self::default()
        }
    }

    /// The name of the rule.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.key.name
    }
}

/// Numbers rules that are equal in everything else, so that each has a key of its own.
pub(crate) fn number_copies<'a>(rules: impl IntoIterator<Item = &'a mut Definition>) {
    let mut seen: HashMap<RuleKey, usize> = HashMap::new();
    for rule in rules {
        let count = seen.entry(rule.key.clone()).or_default();
        rule.key.copy = *count;
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{Definition, RuleKind, number_copies};

    fn rule(group: &str, name: &str, labels: &[(&str, &str)]) -> Definition {
        let owned = labels
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Definition::new(group, name, RuleKind::Watch, owned.collect())
    }

    #[test]
    fn only_rules_that_are_equal_are_numbered() {
        let mut rules = [
            rule("g", "Deep", &[("severity", "warning")]),
            rule(
                "g",
                "Deep",
                &[("severity", "page"), ("pod", "{{ $value }}")],
            ),
            rule("g", "Deep", &[("severity", "page"), ("team", "")]),
            rule("h", "Deep", &[("severity", "page")]),
        ];
        number_copies(&mut rules);
        let copies: Vec<usize> = rules.iter().map(|rule| rule.key.copy).collect();
        assert_eq!(copies, [0, 0, 1, 0]);
        let [first, second, third, fourth] = rules.each_ref().map(|rule| rule.key.id());
        assert_eq!(third, format!("{second}-2"));
        assert!(first != second && second != fourth);
    }
}
