//! Which values may be secret, so that no message repeats them.
//!
//! A key that is described as secret hides what is written behind it. So do the other keys of its
//! section, and the places of sections and lists that hold secrets: people write a password there by
//! mistake.

use super::key::{Description, Key, Kind};
use super::value::Value;

/// Longest text that looks like a key; the longest key of a configuration has 33 characters.
const LONGEST_KEY: usize = 40;

impl Kind {
    /// Whether a secret may stand here or below.
    #[must_use]
    pub fn holds_secrets(&self) -> bool {
        self.holds(&mut Vec::new())
    }

    /// The same without the sections that were looked at, since a section may contain itself.
    fn holds(&self, seen: &mut Vec<&'static str>) -> bool {
        match self {
            Self::Scalar(_) | Self::Words(_) | Self::Anything => false,
            Self::List(inner) | Self::Map(inner) => inner.holds(seen),
            Self::Section(describe) => describe().holds(seen),
            Self::Choice(choice) => {
                if seen.contains(&choice.name) {
                    return false;
                }
                seen.push(choice.name);
                (choice.sections)()
                    .iter()
                    .any(|(_, section)| section.holds(seen))
            }
        }
    }
}

impl Description {
    fn holds(&self, seen: &mut Vec<&'static str>) -> bool {
        if seen.contains(&self.name) {
            return false;
        }
        seen.push(self.name);
        self.all_keys()
            .iter()
            .any(|key| key.limits.hides_value() || key.kind.holds(seen))
    }
}

impl Key {
    /// Whether what is written behind the key must not be repeated.
    #[must_use]
    pub fn hides_value(&self) -> bool {
        self.limits.hides_value()
    }
}

/// Whether a value can be repeated where no secret is expected: it is no text with a URL's user or
/// query.
pub(super) fn is_harmless(value: &Value) -> bool {
    let Value::String(text) = value else {
        return true;
    };
    text.split_whitespace().all(|word| {
        let has_user = word
            .rsplit_once('@')
            .is_some_and(|(before, _)| before.contains(':'));
        let is_url = word.contains("://");
        !has_user && (!is_url || !word.contains(['@', '?', '#']))
    })
}

/// Whether an unknown key looks like one: words of lower-case letters. It may otherwise be a value in
/// the place of a map, such as `{user:password}`, or a token in the place of a key.
pub(super) fn looks_like_key(key: &str, value: &Value) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|c| c.is_ascii_lowercase());
    *value != Value::Null && key.len() <= LONGEST_KEY && key.split(['_', '-']).all(is_word)
}

/// Whether the key of a map may be a value with its key, such as `{name:password}`.
pub(super) fn may_be_value(key: &str, value: &Value) -> bool {
    *value == Value::Null || key.contains([':', ' '])
}

#[cfg(test)]
mod tests {
    use super::{is_harmless, looks_like_key};
    use crate::describe::Value;

    #[test]
    fn only_text_without_credentials_is_repeated() {
        for (text, expected) in [
            ("ewma", true),
            ("30 s", true),
            ("me@example.org", true),
            ("http://fraud/metrics", true),
            ("rate(a[5m]) @ 5", true),
            ("me:s3cret@host", false),
            ("see http://me:s3cret@host", false),
            ("http://s3cret@host", false),
            ("http://host/?token=s3cret", false),
        ] {
            assert_eq!(
                is_harmless(&Value::String(text.to_owned())),
                expected,
                "{text}"
            );
        }
        assert!(is_harmless(&Value::Number(1.5, "1.5".to_owned())));
    }

    #[test]
    fn a_value_in_the_place_of_a_map_is_no_key() {
        let one = Value::Bool(true, "true".to_owned());
        assert!(looks_like_key("pasword", &one));
        assert!(!looks_like_key("pasword", &Value::Null));
        assert!(!looks_like_key("me:s3cret", &one));
        assert!(!looks_like_key("Bearer s3cret", &one));
        for token in [
            "hunter2",
            "AKIAIOSFODNN",
            "dGVzdA",
            "a1b2-c3d4",
            "ghp_x1",
            "",
        ] {
            assert!(!looks_like_key(token, &one), "{token}");
        }
        assert!(!looks_like_key(&"a".repeat(41), &one));
    }
}
