//! Links to a rule on the status page.

use std::sync::Arc;

use super::template::query_escape;
use super::{AlertKind, AlertRule, Context};
use crate::metric::Labels;

/// Prometheus' link to the expression of an alert, or the watch's chart on the status page. Both
/// name the rule by its id, which tells rules of one name apart.
pub(super) fn generator_url(rule: &AlertRule, context: &Context) -> Arc<str> {
    let base = context.external_url.trim_end_matches('/');
    let path = match rule.kind {
        AlertKind::Alert => format!("graph?g0.expr={}&g0.tab=1&", query_escape(&rule.expr)),
        AlertKind::Watch => "?".to_owned(),
    };
    let labels = rule.labels.iter();
    let labels = labels.map(|(name, template)| (name.as_str(), template.source()));
    let id = rule_id(&rule.group, &rule.name, labels);
    format!("{base}/{path}rule={}&id={id}", query_escape(&rule.name)).into()
}

/// Whether a label of a rule has this value in every alert or series of the rule: it is not empty
/// and has no template action.
#[must_use]
pub fn is_static_label(text: &str) -> bool {
    !text.is_empty() && !text.contains("{{")
}

/// Sixteen hexadecimal digits that stand for a rule: its group, its name and its static labels. It
/// does not change when a file is moved or another rule is added.
#[must_use]
pub fn rule_id<'a>(
    group: &'a str,
    name: &'a str,
    labels: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let labels = labels.into_iter().filter(|(_, text)| is_static_label(text));
    // No label of a rule begins with two underscores.
    let key = labels.chain([("__group__", group), ("__name__", name)]);
    format!("{:016x}", Labels::new(key).fingerprint())
}

#[cfg(test)]
mod tests {
    use super::rule_id;

    #[test]
    fn an_id_stands_for_group_name_and_static_labels_alone() {
        let id = rule_id("g", "Deep", [("team", "a"), ("severity", "page")]);
        let same = [
            ("severity", "page"),
            ("team", "a"),
            ("pod", "{{ $labels.x }}"),
            ("none", ""),
        ];
        assert_eq!(rule_id("g", "Deep", same), id);
        for (group, name, labels) in [
            ("h", "Deep", [("team", "a"), ("severity", "page")]),
            ("g", "Dee", [("team", "a"), ("severity", "page")]),
            ("gD", "eep", [("team", "a"), ("severity", "page")]),
            ("g", "Deep", [("team", "a"), ("severity", "warning")]),
        ] {
            assert_ne!(
                rule_id(group, name, labels),
                id,
                "{group} {name} {labels:?}"
            );
        }
    }
}
