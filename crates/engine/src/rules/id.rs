//! The identity of a rule.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Rule;
use crate::alert::{RuleLabels, is_static_label};

/// What identifies a rule over reloads and restarts: the name of its group, its own name, and its
/// labels as written. Neither its file nor its place in the group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct RuleId {
    /// The name of its group.
    pub group: String,
    /// The name behind `record`, `alert` or `watch`.
    pub name: String,
    /// Its labels, templates as written, with those of its group.
    pub labels: BTreeMap<String, String>,
}

impl RuleId {
    /// The identity of a rule in a group.
    #[must_use]
    pub fn new(group: &str, rule: &Rule) -> Self {
        let written = |labels: &RuleLabels| {
            let pairs = labels.iter();
            pairs
                .map(|(name, template)| (name.clone(), template.source().to_owned()))
                .collect()
        };
        let labels = match rule {
            Rule::Record(recording) => {
                let pairs = recording.labels.iter();
                pairs
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect()
            }
            Rule::Alert { alert, .. } => written(&alert.labels),
            Rule::Watch(watch) => written(&watch.alert.labels),
        };
        Self {
            group: group.to_owned(),
            name: rule.name().to_owned(),
            labels,
        }
    }

    /// The labels that every alert or series of the rule has with the same value: not empty and
    /// without template actions.
    pub fn static_labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let labels = self.labels.iter();
        let fixed = labels.filter(|(_, value)| is_static_label(value));
        fixed.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// `group/name{label="value"}`, without braces if there are no labels.
impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.name)?;
        let mut separator = '{';
        for (name, value) in &self.labels {
            write!(f, "{separator}{name}={value:?}")?;
            separator = ',';
        }
        match separator {
            '{' => Ok(()),
            _ => f.write_str("}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RuleId;

    #[test]
    fn an_id_reads_like_a_series_in_its_group() {
        let mut id = RuleId {
            group: "latency".to_owned(),
            name: "Slow".to_owned(),
            ..RuleId::default()
        };
        assert_eq!(id.to_string(), "latency/Slow");
        let labels = [
            ("team", "{{ $labels.team }}"),
            ("severity", "page"),
            ("pod", ""),
        ];
        id.labels = labels
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        assert_eq!(
            id.to_string(),
            r#"latency/Slow{pod="",severity="page",team="{{ $labels.team }}"}"#
        );
        let fixed: Vec<_> = id.static_labels().collect();
        assert_eq!(fixed, [("severity", "page")]);
    }
}
