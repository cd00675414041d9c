//! The labels that stand for a rule on `/metrics`: those of the model, `group`, `rule` or `metric`,
//! and the rule's own labels with a fixed text.

use std::borrow::Cow;

use super::definition::{Definition, RuleKey, RuleKind};
use super::encode::valid_name;
use crate::metric::{Labels, exported_name};

/// Names that Sidewatch's own metrics use, and names that mean something to Prometheus. Another
/// label with such a name gets the prefix `exported_`, as in Prometheus.
const RESERVED: [&str; 8] = [
    "copy", "group", "le", "metric", "quantile", "rule", "signal", "state",
];

/// The name and the value of a label.
type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The labels of a rule in every family about rules.
pub(super) fn of_rule(model: &Labels, key: &RuleKey) -> Labels {
    Labels::new(pairs(model, key, "rule", true))
}

/// The labels of a rule in the families of signals. The labels of a record are those of its
/// samples already.
pub(super) fn of_signals<'a>(model: &'a Labels, rule: &'a Definition) -> Vec<Pair<'a>> {
    let is_record = rule.kind == RuleKind::Record;
    let role = if is_record { "metric" } else { "rule" };
    pairs(model, &rule.key, role, !is_record)
}

fn pairs<'a>(
    model: &'a Labels,
    key: &'a RuleKey,
    role: &'static str,
    with_own: bool,
) -> Vec<Pair<'a>> {
    let mut pairs: Vec<Pair<'a>> = Vec::new();
    for (name, value) in model.iter() {
        pairs.push((name.into(), value.into()));
    }
    pairs.push(("group".into(), key.group.as_str().into()));
    pairs.push((role.into(), key.name.as_str().into()));
    if key.copy > 0 {
        pairs.push(("copy".into(), (key.copy + 1).to_string().into()));
    }
    pairs.retain(|(_, value)| !value.is_empty());
    for (name, value) in key.labels.iter().filter(|_| with_own) {
        let name = free_name(name, |name| pairs.iter().any(|(known, _)| known == name));
        pairs.push((name, value.into()));
    }
    pairs
}

/// Whether a label may have this name where these are taken.
pub(super) fn is_free(name: &str, taken: impl Fn(&str) -> bool) -> bool {
    !RESERVED.contains(&name) && !taken(name) && matches!(valid_name(name), Cow::Borrowed(_))
}

/// The name as a valid one that is not taken, with the prefix `exported_` where it needs it.
pub(super) fn free_name(name: &str, taken: impl Fn(&str) -> bool) -> Cow<'_, str> {
    let name = valid_name(name);
    let is_taken = |name: &str| RESERVED.contains(&name) || taken(name);
    if is_taken(&name) {
        exported_name(&name, is_taken).into()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::super::definition::{Definition, RuleKind};
    use super::of_rule;
    use crate::metric::Labels;

    #[test]
    fn a_label_of_the_rule_never_hides_one_of_ours() {
        let labels = [
            ("severity", "page"),
            ("state", "x"),
            ("rule", "y"),
            ("exported_rule", "z"),
            ("a.b", "1"),
            ("a_b", "2"),
            ("model_id", "other"),
        ];
        let owned = labels.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let rule = Definition::new("g", "R", RuleKind::Watch, owned.to_vec());
        let model = Labels::new([("model_id", "m")]);
        assert_eq!(
            of_rule(&model, &rule.key),
            Labels::new([
                ("model_id", "m"),
                ("group", "g"),
                ("rule", "R"),
                ("severity", "page"),
                ("exported_state", "x"),
                ("exported_rule", "z"),
                ("exported_exported_rule", "y"),
                ("a_b", "1"),
                ("exported_a_b", "2"),
                ("exported_model_id", "other"),
            ])
        );
    }
}
