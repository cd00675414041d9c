//! Prometheus' relabelling, for `alert_relabel_configs`.

use md5::{Digest, Md5};
use regex::Regex;

use crate::describe::{Node, section};
use crate::metric::{Labels, anchored};

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
    /// Each action's word and what it does.
    pub(crate) const WORDS: [(&'static str, Self, &'static str); 11] = [
        (
            "replace",
            Self::Replace,
            "Sets the target label when the regex matches.",
        ),
        ("keep", Self::Keep, "Drops alerts that do not match."),
        ("drop", Self::Drop, "Drops alerts that match."),
        (
            "keepequal",
            Self::KeepEqual,
            "Drops alerts whose source differs from the target label.",
        ),
        (
            "dropequal",
            Self::DropEqual,
            "Drops alerts whose source equals the target label.",
        ),
        (
            "hashmod",
            Self::HashMod,
            "Sets the target label to a hash of the source labels, modulo.",
        ),
        (
            "labelmap",
            Self::LabelMap,
            "Copies labels whose name matches.",
        ),
        (
            "labeldrop",
            Self::LabelDrop,
            "Removes labels whose name matches.",
        ),
        (
            "labelkeep",
            Self::LabelKeep,
            "Removes labels whose name does not match.",
        ),
        (
            "lowercase",
            Self::Lowercase,
            "Sets the target label to the source in lower case.",
        ),
        (
            "uppercase",
            Self::Uppercase,
            "Sets the target label to the source in upper case.",
        ),
    ];

    /// Parses the name of an action; upper and lower case are equal.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let word = word.to_lowercase();
        Self::WORDS
            .into_iter()
            .find(|(known, ..)| *known == word)
            .map(|(_, action, _)| action)
    }

    pub(crate) fn word(self) -> &'static str {
        let known = Self::WORDS
            .into_iter()
            .find(|(_, action, _)| *action == self);
        known.map_or("", |(word, ..)| word)
    }
}

section! {
    /// A step of relabelling, as in Prometheus.
    #[check(check)]
    pub struct Spec {
        /// Labels whose values are joined.
        pub source_labels: Vec<String> = Vec::new();
        /// What stands between them.
        pub separator: String = ";".to_owned();
        /// The label that is set.
        pub target_label: String = String::new();
        /// Matched against the whole joined value.
        pub regex: String = "(.*)".to_owned();
        /// For `hashmod`: hashes are taken modulo this.
        pub modulus: u64 = 0;
        /// The new value; `$1` stands for the first group of the regex.
        pub replacement: String = "$1".to_owned();
        /// What to do.
        pub action: Action = Action::Replace;
    }
}

/// Reports what is wrong with a step.
fn check(spec: &mut Spec, node: &Node<'_>) {
    if let Err(error) = Relabel::try_new(spec.clone()) {
        node.problem_below(error.key, error.message);
    }
}

/// The key of a step that is wrong, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct WrongStep {
    /// The key, such as `regex`.
    pub key: &'static str,
    /// What is wrong with it.
    pub message: String,
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
    /// The key that is wrong.
    pub fn try_new(spec: Spec) -> Result<Self, WrongStep> {
        let wrong = |key, message: String| WrongStep { key, message };
        let regex = anchored(&spec.regex).map_err(|why| {
            let message = format!("{:?} is not a regular expression: {why}", spec.regex);
            wrong("regex", message)
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
            let message = format!("needed by the action {word}");
            return Err(wrong("target_label", message));
        }
        if spec.action == Action::HashMod && spec.modulus == 0 {
            let message = "must be at least 1 for the action hashmod".to_owned();
            return Err(wrong("modulus", message));
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
pub(crate) fn relabel(labels: &Labels, steps: &[Relabel]) -> Option<Labels> {
    let mut current = labels.clone();
    for step in steps {
        current = step.apply(&current)?;
    }
    Some(current)
}

/// Adds external labels that the alert does not have.
#[must_use]
pub(crate) fn with_external(labels: &Labels, external: &Labels) -> Labels {
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
        assert_eq!(wrong(spec("replace", &["a"], "(", "d", "")).key, "regex");
        assert_eq!(
            wrong(spec("replace", &["a"], "x", "", "")).key,
            "target_label"
        );
        let zero = Spec {
            modulus: 0,
            ..spec("hashmod", &["a"], "x", "d", "")
        };
        assert_eq!(wrong(zero).key, "modulus");
        assert_eq!(Action::from_word("nosuch"), None);
    }

    #[test]
    fn external_labels_do_not_replace() {
        let external = Labels::new([("a", "other"), ("z", "new")]);
        let both = with_external(&labels(), &external);
        assert_eq!((both.get("a"), both.get("z")), (Some("foo"), Some("new")));
    }
}
