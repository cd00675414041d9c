//! A tree of values as written in a file, and the line of every place in it.

use std::collections::HashMap;

/// A value; keys are text, and scalars keep their spelling.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing was written.
    Null,
    /// `true` or `false`, and how it was written, such as `True`.
    Bool(bool, String),
    /// A number and how it was written, such as `1.10` or `0x1F`.
    Number(f64, String),
    /// Text.
    String(String),
    /// A list.
    List(Vec<Value>),
    /// A map in the order written.
    Map(Vec<(String, Value)>),
}

impl Value {
    /// What this is, with its article, for messages.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(_, text) | Self::Number(_, text) => text.clone(),
            Self::String(text) => format!("{text:?}"),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a map".to_owned(),
        }
    }

    /// What kind of value this is, for messages that must not repeat it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(..) => "a boolean",
            Self::Number(..) => "a number",
            Self::String(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// The same value as JSON; numbers that JSON lacks (`.nan`, `.inf`) become text.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value, _) => (*value).into(),
            Self::Number(value, text) => whole_number(text)
                .and_then(|whole| i64::try_from(whole).ok())
                .map_or_else(
                    || serde_json::Number::from_f64(*value).map(Into::into),
                    |whole| Some(whole.into()),
                )
                .unwrap_or_else(|| text.clone().into()),
            Self::String(text) => text.clone().into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => entries
                .iter()
                .map(|(key, value)| (key.clone(), value.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

impl From<&serde_json::Value> for Value {
    fn from(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value, value.to_string()),
            serde_json::Value::Number(number) => {
                Self::Number(number.as_f64().unwrap_or(f64::NAN), number.to_string())
            }
            serde_json::Value::String(text) => Self::String(text.clone()),
            serde_json::Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            serde_json::Value::Object(map) => Self::from(map),
        }
    }
}

impl From<&serde_json::Map<String, serde_json::Value>> for Value {
    fn from(map: &serde_json::Map<String, serde_json::Value>) -> Self {
        let entries = map.iter().map(|(key, value)| (key.clone(), value.into()));
        Self::Map(entries.collect())
    }
}

/// The number that is written without a point or an exponent, as YAML has it: decimal, or with the
/// prefix `0x`, `0o` or `0b`. `None` for other text and for numbers beyond 128 bits.
pub(super) fn whole_number(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let prefixes = [("0x", 16), ("0o", 8), ("0b", 2)];
    let radix = prefixes
        .iter()
        .find_map(|(prefix, radix)| Some((digits.strip_prefix(prefix)?, *radix)));
    let (digits, radix) = radix.unwrap_or((digits, 10));
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i128::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

/// The line of every path of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines(HashMap<String, usize>);

impl Lines {
    /// Notes the line of a path.
    pub fn set(&mut self, path: String, line: usize) {
        self.0.insert(path, line);
    }

    /// Notes the line of a path that has none yet.
    pub fn set_once(&mut self, path: String, line: usize) {
        self.0.entry(path).or_insert(line);
    }

    /// The line of a path, or of the nearest enclosing place that has one; 0 when unknown.
    #[must_use]
    pub fn line(&self, path: &str) -> usize {
        let mut path = path;
        loop {
            if let Some(line) = self.0.get(path) {
                return *line;
            }
            let Some(cut) = path.rfind(['.', '[']) else {
                return self.0.get("").copied().unwrap_or(0);
            };
            path = path.get(..cut).unwrap_or("");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::whole_number;

    #[test]
    fn whole_numbers_are_read_in_every_radix() {
        for (text, number) in [
            ("12", Some(12)),
            ("+7", Some(7)),
            ("-0x1F", Some(-31)),
            ("+0o17", Some(15)),
            ("0b101", Some(5)),
            (
                "12345678901234567890123",
                Some(12_345_678_901_234_567_890_123),
            ),
            ("1e3", None),
            ("1.0", None),
            ("0x-1", None),
            ("--1", None),
            (".inf", None),
            ("", None),
        ] {
            assert_eq!(whole_number(text), number, "{text}");
        }
    }
}
