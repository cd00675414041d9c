//! YAML text → a tree of values in which every scalar keeps its spelling. The only file that imports
//! `serde_yaml`.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, MapAccess, SeqAccess,
    Visitor,
};

use crate::describe::Value;

/// Why a text is not YAML, or no tree.
pub(super) struct Broken {
    /// The line, from 1; 0 when unknown.
    pub(super) line: usize,
    /// What is wrong, without its place.
    pub(super) message: String,
}

impl From<serde_yaml::Error> for Broken {
    fn from(error: serde_yaml::Error) -> Self {
        let message = error.to_string();
        // The line is a field of its own.
        let message = message.split(" at line ").next().unwrap_or(&message);
        Self {
            line: error.location().map_or(0, |at| at.line()),
            message: without_value(message),
        }
    }
}

/// A message without the text of a value, such as one that does not fit its tag: it may be secret.
fn without_value(message: &str) -> String {
    match message.split_once(": string \"") {
        Some((what, rest)) => {
            let wanted = rest.rsplit_once("\", ").map_or("", |(_, wanted)| wanted);
            format!("{what}: text, {wanted}")
        }
        None => message.to_owned(),
    }
}

/// Every document of a text.
///
/// `serde_yaml` says either what a scalar means or how it is written, so each document is read
/// twice: `1.10` is the number 1.1 in the first pass and gets its spelling in the second.
pub(super) fn trees(text: &str) -> impl Iterator<Item = Result<Value, Broken>> {
    let spelled = serde_yaml::Deserializer::from_str(text);
    serde_yaml::Deserializer::from_str(text)
        .zip(spelled)
        .map(|(meant, spelled)| {
            let mut tree = Meaning.deserialize(meant)?;
            Spelling(&mut tree).deserialize(spelled)?;
            Ok(tree)
        })
}

/// The tree with the entries of other maps in the place of each merge key `<<`.
///
/// The entries of a map itself count first, then those of the maps behind `<<` in their order, as in
/// Prometheus. A `<<` with anything but maps behind it stays; its reader reports it.
pub(super) fn merged(value: Value) -> Value {
    match value {
        Value::List(items) => Value::List(items.into_iter().map(merged).collect()),
        Value::Map(entries) => {
            let (mut own, mut inherited) = (Vec::new(), Vec::new());
            for (key, value) in entries {
                match (key.as_str(), merged(value)) {
                    ("<<", Value::Map(entries)) => inherited.extend(entries),
                    ("<<", Value::List(maps))
                        if maps.iter().all(|map| matches!(map, Value::Map(_))) =>
                    {
                        for map in maps {
                            if let Value::Map(entries) = map {
                                inherited.extend(entries);
                            }
                        }
                    }
                    (_, value) => own.push((key, value)),
                }
            }
            let mut known: HashSet<String> = HashSet::new();
            if !inherited.is_empty() {
                known.extend(own.iter().map(|(key, _)| key.clone()));
            }
            inherited.retain(|(key, _)| known.insert(key.clone()));
            own.extend(inherited);
            Value::Map(own)
        }
        scalar @ (Value::Null | Value::Bool(..) | Value::Number(..) | Value::String(_)) => scalar,
    }
}

/// The text of a value.
pub(in crate::config) fn to_yaml<T: serde::Serialize>(value: &T) -> Result<String, String> {
    serde_yaml::to_string(value).map_err(|error| error.to_string())
}

/// Reads a tree in which the spelling of numbers and booleans is still empty.
struct Meaning;

impl<'de> DeserializeSeed<'de> for Meaning {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Meaning {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value, String::new()))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "whole numbers are read from the spelling"
    )]
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(unspelled(value as f64))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "whole numbers are read from the spelling"
    )]
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(unspelled(value as f64))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "whole numbers are read from the spelling"
    )]
    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(unspelled(value as f64))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "whole numbers are read from the spelling"
    )]
    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(unspelled(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(unspelled(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(Self)? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        let mut known = HashSet::new();
        while let Some(key) = map.next_key::<Option<String>>()? {
            let key = key.ok_or_else(|| A::Error::custom("a key must be text, got nothing"))?;
            if !known.insert(key.clone()) {
                return Err(A::Error::custom(format!(
                    "duplicate entry with key {key:?}"
                )));
            }
            entries.push((key, map.next_value_seed(Self)?));
        }
        Ok(Value::Map(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Value, A::Error> {
        let _ = tagged.variant::<IgnoredAny>()?;
        // The tag is not repeated: it may be a password that begins with an exclamation mark.
        Err(A::Error::custom(
            "a tag means nothing here; remove it, or quote text that begins with !",
        ))
    }
}

fn unspelled(number: f64) -> Value {
    Value::Number(number, String::new())
}

/// Fills in how the numbers and booleans of a tree are written.
struct Spelling<'a>(&'a mut Value);

impl<'de> DeserializeSeed<'de> for Spelling<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0 {
            Value::Bool(_, text) | Value::Number(_, text) => {
                *text = String::deserialize(deserializer)?;
                Ok(())
            }
            Value::List(_) => deserializer.deserialize_seq(self),
            Value::Map(_) => deserializer.deserialize_map(self),
            Value::Null | Value::String(_) => IgnoredAny::deserialize(deserializer).map(|_| ()),
        }
    }
}

impl<'de> Visitor<'de> for Spelling<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the same value as before")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if let Value::List(items) = self.0 {
            for item in items {
                list.next_element_seed(Spelling(item))?;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if let Value::Map(entries) = self.0 {
            for (_, value) in entries {
                map.next_key::<IgnoredAny>()?;
                map.next_value_seed(Spelling(value))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{merged, trees};
    use crate::describe::Value;

    fn all(text: &str) -> Vec<Value> {
        let broken = |message: String| -> Value { panic!("{text}: {message}") };
        trees(text)
            .map(|tree| tree.unwrap_or_else(|error| broken(error.message)))
            .collect()
    }

    fn number(value: f64, text: &str) -> Value {
        Value::Number(value, text.to_owned())
    }

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
        Value::Map(entries.map(|(key, value)| (key.to_owned(), value)).into())
    }

    #[test]
    fn a_scalar_keeps_its_meaning_and_its_spelling() {
        for (written, value) in [
            ("1.10", number(1.1, "1.10")),
            ("0x1F", number(31.0, "0x1F")),
            ("1e3", number(1000.0, "1e3")),
            ("0o17", number(15.0, "0o17")),
            (".5", number(0.5, ".5")),
            ("+7", number(7.0, "+7")),
            ("-.INF", number(f64::NEG_INFINITY, "-.INF")),
            (
                "12345678901234567890123",
                number(12_345_678_901_234_567_890_123.0, "12345678901234567890123"),
            ),
            ("True", Value::Bool(true, "True".to_owned())),
            ("FALSE", Value::Bool(false, "FALSE".to_owned())),
            ("1_000", text("1_000")),
            ("010", text("010")),
            ("yes", text("yes")),
            ("2024-01-01", text("2024-01-01")),
            ("'1.10'", text("1.10")),
            ("\"1.10\"", text("1.10")),
            ("!!str 1.10", text("1.10")),
            ("!!int '0x10'", number(16.0, "0x10")),
            ("!!float 1", number(1.0, "1")),
            ("1.10 # not 1.1", number(1.1, "1.10")),
            ("|\n  1.10", text("1.10\n")),
            (">-\n  1.10", text("1.10")),
            ("~", Value::Null),
            ("", Value::Null),
        ] {
            let read = all(&format!("x: {written}\n"));
            assert_eq!(read, [map([("x", value)])], "{written}");
        }
    }

    #[test]
    fn spellings_are_found_in_every_structure() {
        let read = all("a: [1.10, {1.0: True, +1: 0x10}]\n");
        let flow = Value::List(vec![
            number(1.1, "1.10"),
            map([
                ("1.0", Value::Bool(true, "True".to_owned())),
                ("+1", number(16.0, "0x10")),
            ]),
        ]);
        assert_eq!(read, [map([("a", flow)])]);
        let read = all(
            "a: &x 1.10\nb: *x\nc:\n- *x\n- &y {d: 0.50}\n- *y\n- 2.0\n---\n1.20\n---\n- 1.30\n",
        );
        let inner = map([("d", number(0.5, "0.50"))]);
        let list = Value::List(vec![
            number(1.1, "1.10"),
            inner.clone(),
            inner,
            number(2.0, "2.0"),
        ]);
        let first = map([
            ("a", number(1.1, "1.10")),
            ("b", number(1.1, "1.10")),
            ("c", list),
        ]);
        let third = Value::List(vec![number(1.3, "1.30")]);
        assert_eq!(read, [first, number(1.2, "1.20"), third]);
    }

    #[test]
    fn merge_keys_bring_the_entries_that_a_map_does_not_have() {
        for (written, expanded) in [
            (
                "{a: &x {b: 1, c: 2}, d: {<<: *x, c: 3}}",
                "{a: {b: 1, c: 2}, d: {c: 3, b: 1}}",
            ),
            (
                "[&x {b: 1}, &y {b: 2, c: 2}, {<<: [*x, *y], d: 3}]",
                "[{b: 1}, {b: 2, c: 2}, {d: 3, b: 1, c: 2}]",
            ),
            (
                "[&x {b: 1}, &y {<<: *x, c: 2}, {<<: *y}]",
                "[{b: 1}, {c: 2, b: 1}, {c: 2, b: 1}]",
            ),
            ("{<<: 1}", "{<<: 1}"),
            ("{<<: [{a: 1}, 2]}", "{<<: [{a: 1}, 2]}"),
        ] {
            let tree = |text: &str| all(text).pop().unwrap();
            assert_eq!(merged(tree(written)), tree(expanded), "{written}");
        }
    }

    #[test]
    fn what_is_no_tree_is_refused_with_its_line() {
        for (written, line, message) in [
            (
                "a: 1\nb: !own 1\n",
                2,
                "a tag means nothing here; remove it, or quote text that begins with !",
            ),
            ("a:\n  b: 1\n  b: 2\n", 2, "duplicate entry with key \"b\""),
            ("a: 1\n~: 2\n", 1, "a key must be text, got nothing"),
            ("a: 1\n? [b]\n: 2\n", 2, "invalid type: sequence"),
        ] {
            let error = trees(written).find_map(Result::err).unwrap();
            assert_eq!(error.line, line, "{written}");
            assert!(error.message.contains(message), "{}", error.message);
        }
    }
}
