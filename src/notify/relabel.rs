//! Prometheus' relabelling, for `alert_relabel_configs`.

use md5::{Digest, Md5};
use regex::Regex;

use crate::metric::{Labels, pattern_error};

/// The action of a relabelling step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Action {
    /// Sets the target label if the regex matches.
    #[default]
    Replace,
    /// Drops alerts that do not match.
    Keep,
    /// Drops alerts that match.
    Drop,
    /// Drops alerts whose source differs from the target label.
    KeepEqual,
    /// Drops alerts whose source equals the target label.
    DropEqual,
    /// Sets the target label to a hash of the source labels modulo a number.
    HashMod,
    /// Copies labels whose name matches.
    LabelMap,
    /// Removes labels whose name matches.
    LabelDrop,
    /// Removes labels whose name does not match.
    LabelKeep,
    /// Sets the target label to the source in lower case.
    Lowercase,
    /// Sets the target label to the source in upper case.
    Uppercase,
}

impl Action {
    const WORDS: [(&'static str, Self); 11] = [
        ("replace", Self::Replace),
        ("keep", Self::Keep),
        ("drop", Self::Drop),
        ("keepequal", Self::KeepEqual),
        ("dropequal", Self::DropEqual),
        ("hashmod", Self::HashMod),
        ("labelmap", Self::LabelMap),
        ("labeldrop", Self::LabelDrop),
        ("labelkeep", Self::LabelKeep),
        ("lowercase", Self::Lowercase),
        ("uppercase", Self::Uppercase),
    ];

    /// Parses the name of an action; upper and lower case are equal.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let word = word.to_lowercase();
        Self::WORDS
            .into_iter()
            .find(|(known, _)| *known == word)
            .map(|(_, action)| action)
    }

    fn word(self) -> &'static str {
        let known = Self::WORDS.into_iter().find(|(_, action)| *action == self);
        known.map_or("", |(word, _)| word)
    }
}

/// One relabelling step as written, with Prometheus' defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Labels whose values are joined to the source.
    pub source_labels: Vec<String>,
    /// The separator between the values.
    pub separator: String,
    /// The label that is set.
    pub target_label: String,
    /// Must match the whole source.
    pub regex: String,
    /// The modulus of `hashmod`.
    pub modulus: u64,
    /// The new value; `$1` stands for a group.
    pub replacement: String,
    /// The action.
    pub action: Action,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            source_labels: Vec::new(),
            separator: ";".to_owned(),
            target_label: String::new(),
            regex: "(.*)".to_owned(),
            modulus: 0,
            replacement: "$1".to_owned(),
            action: Action::Replace,
        }
    }
}

/// A checked relabelling step.
#[derive(Debug, Clone)]
pub struct Relabel {
    spec: Spec,
    regex: Regex,
}

impl Relabel {
    /// Checks a step.
    ///
    /// # Errors
    /// A sentence that names the invalid key.
    pub fn try_new(spec: Spec) -> Result<Self, String> {
        let pattern = format!("^(?s:{})$", spec.regex);
        let regex = Regex::new(&pattern).map_err(|error| {
            let reason = pattern_error(&error);
            format!(
                "regex: {:?} is not a regular expression: {reason}",
                spec.regex
            )
        })?;
        let word = spec.action.word();
        let needs_target = matches!(
            spec.action,
            Action::Replace
                | Action::HashMod
                | Action::Lowercase
                | Action::Uppercase
                | Action::KeepEqual
                | Action::DropEqual
        );
        if needs_target && spec.target_label.is_empty() {
            return Err(format!("target_label: required for the action {word}"));
        }
        if spec.action == Action::HashMod && spec.modulus == 0 {
            return Err("modulus: must be at least 1 for the action hashmod".to_owned());
        }
        Ok(Self { spec, regex })
    }

    /// The labels after this step; `None` if it drops the alert.
    fn apply(&self, labels: &Labels) -> Option<Labels> {
        let spec = &self.spec;
        let source = spec
            .source_labels
            .iter()
            .map(|name| labels.get(name).unwrap_or(""))
            .collect::<Vec<_>>()
            .join(&spec.separator);
        let target = labels.get(&spec.target_label).unwrap_or("");
        let keep = |keep: bool| keep.then(|| labels.clone());
        let set = |value: &str| Some(labels.with(&spec.target_label, value));
        match spec.action {
            Action::Keep => keep(self.regex.is_match(&source)),
            Action::Drop => keep(!self.regex.is_match(&source)),
            Action::KeepEqual => keep(source == target),
            Action::DropEqual => keep(source != target),
            Action::Lowercase => set(&source.to_lowercase()),
            Action::Uppercase => set(&source.to_uppercase()),
            Action::HashMod => set(&(hash(&source) % spec.modulus).to_string()),
            Action::Replace => Some(self.replace(labels, &source)),
            Action::LabelDrop => Some(labels.retain(|name| !self.regex.is_match(name))),
            Action::LabelKeep => Some(labels.retain(|name| self.regex.is_match(name))),
            Action::LabelMap => Some(self.map_names(labels)),
        }
    }

    fn replace(&self, labels: &Labels, source: &str) -> Labels {
        let Some(captures) = self.regex.captures(source) else {
            return labels.clone();
        };
        let expand = |pattern: &str| {
            let mut out = String::new();
            captures.expand(pattern, &mut out);
            out
        };
        let target = expand(&self.spec.target_label);
        if target.is_empty() {
            return labels.clone();
        }
        labels.with(&target, &expand(&self.spec.replacement))
    }

    fn map_names(&self, labels: &Labels) -> Labels {
        let copies = labels.iter().filter(|(name, _)| self.regex.is_match(name));
        copies.fold(labels.clone(), |labels, (name, value)| {
            let name = self.regex.replace(name, self.spec.replacement.as_str());
            labels.with(&name, value)
        })
    }
}

/// The last eight bytes of the MD5 sum, as in Prometheus: both give the same label.
fn hash(text: &str) -> u64 {
    let digest = Md5::digest(text.as_bytes());
    digest[8..]
        .iter()
        .fold(0, |n, byte| n << 8 | u64::from(*byte))
}

/// Applies the steps in order; `None` if one drops the alert.
#[must_use]
pub fn relabel(labels: &Labels, steps: &[Relabel]) -> Option<Labels> {
    let mut current = labels.clone();
    for step in steps {
        current = step.apply(&current)?;
    }
    Some(current)
}

/// Adds external labels that the alert does not have.
#[must_use]
pub fn with_external(labels: &Labels, external: &Labels) -> Labels {
    labels.underlaid_with(external)
}

#[cfg(test)]
mod tests {
    use super::{Action, Relabel, Spec, relabel, with_external};
    use crate::metric::Labels;

    fn labels() -> Labels {
        Labels::new([("a", "foo"), ("b", "bar"), ("c", "baz")])
    }

    fn run(spec: Spec) -> Option<String> {
        let step = Relabel::try_new(spec).unwrap();
        relabel(&labels(), &[step]).map(|labels| labels.to_string())
    }

    fn spec(action: &str, source: &[&str], regex: &str, target: &str, replacement: &str) -> Spec {
        Spec {
            source_labels: source.iter().map(|s| (*s).to_owned()).collect(),
            regex: regex.to_owned(),
            target_label: target.to_owned(),
            replacement: replacement.to_owned(),
            action: Action::from_word(action).unwrap(),
            modulus: 1000,
            ..Spec::default()
        }
    }

    #[test]
    fn every_action_does_what_prometheus_does() {
        let all = r#"{a="foo", b="bar", c="baz"}"#;
        for (step, expected) in [
            (
                spec("replace", &["a"], "f(.*)", "d", "ch${1}-ch${1}"),
                Some(r#"{a="foo", b="bar", c="baz", d="choo-choo"}"#),
            ),
            (
                spec("replace", &["a", "b"], "foo;bar", "c", ""),
                Some(r#"{a="foo", b="bar"}"#),
            ),
            (spec("replace", &["a"], "o+", "d", "x"), Some(all)),
            (
                spec("replace", &["a"], "(.*)", "${1}_x", "y"),
                Some(r#"{a="foo", b="bar", c="baz", foo_x="y"}"#),
            ),
            (spec("keep", &["a"], "foo", "", ""), Some(all)),
            (spec("keep", &["a"], "fo", "", ""), None),
            (spec("drop", &["a"], ".*o.*", "", ""), None),
            (spec("drop", &["a"], "o", "", ""), Some(all)),
            (spec("dropequal", &["a"], "(.*)", "b", ""), Some(all)),
            (spec("keepequal", &["a"], "(.*)", "b", ""), None),
            (
                spec("uppercase", &["a"], "(.*)", "d", ""),
                Some(r#"{a="foo", b="bar", c="baz", d="FOO"}"#),
            ),
            (
                spec("labelmap", &[], "(a|b)", "", "x_$1"),
                Some(r#"{a="foo", b="bar", c="baz", x_a="foo", x_b="bar"}"#),
            ),
            (spec("labeldrop", &[], "a|c", "", ""), Some(r#"{b="bar"}"#)),
            (
                spec("labelkeep", &[], "a|c", "", ""),
                Some(r#"{a="foo", c="baz"}"#),
            ),
            // prometheus/model/relabel/relabel_test.go
            (
                spec("hashmod", &["c"], "(.*)", "d", ""),
                Some(r#"{a="foo", b="bar", c="baz", d="976"}"#),
            ),
        ] {
            let shown = format!("{step:?}");
            assert_eq!(run(step).as_deref(), expected, "{shown}");
        }
    }

    #[test]
    fn an_invalid_step_names_the_key() {
        let wrong = |spec| Relabel::try_new(spec).unwrap_err();
        assert!(wrong(spec("replace", &["a"], "(", "d", "")).starts_with("regex: "));
        assert!(wrong(spec("replace", &["a"], "x", "", "")).starts_with("target_label: "));
        let zero = Spec {
            modulus: 0,
            ..spec("hashmod", &["a"], "x", "d", "")
        };
        assert!(wrong(zero).starts_with("modulus: "));
        assert_eq!(Action::from_word("nosuch"), None);
    }

    #[test]
    fn external_labels_do_not_replace() {
        let external = Labels::new([("a", "other"), ("z", "new")]);
        let both = with_external(&labels(), &external);
        assert_eq!((both.get("a"), both.get("z")), (Some("foo"), Some("new")));
    }
}
