//! Typed reading of a tree of values that collects every problem instead of stopping at the first.

use std::cell::RefCell;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::key::Kind;
use super::secrecy::{is_harmless, may_be_value};
use super::value::{Lines, Value, whole_number};
use crate::metric::{Labels, parse_duration};

/// Looks up an environment variable.
pub type Environment = dyn Fn(&str) -> Option<String>;

/// Context for reading a file: where relative paths start, and the environment.
#[derive(Clone, Copy)]
pub struct ReadContext<'a> {
    /// The folder that relative paths are below.
    pub base: &'a Path,
    /// The environment for `${VAR}`.
    pub env: &'a Environment,
}

impl fmt::Debug for ReadContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadContext")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl ReadContext<'_> {
    /// No folder and an empty environment.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            base: Path::new(""),
            env: &|_| None,
        }
    }
}

/// A mistake at a place of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The place, such as `groups[0].rules[2].strategy.alpha`; empty for the whole document.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Reads one document and collects what is wrong with it.
#[derive(Debug)]
pub struct Reader<'a> {
    root: &'a Value,
    lines: Option<&'a Lines>,
    context: ReadContext<'a>,
    null_is_absent: bool,
    faults: RefCell<Vec<Fault>>,
}

impl<'a> Reader<'a> {
    /// A reader of a tree without lines.
    #[must_use]
    pub fn new(root: &'a Value, context: ReadContext<'a>) -> Self {
        Self {
            root,
            lines: None,
            context,
            null_is_absent: true,
            faults: RefCell::default(),
        }
    }

    /// The same, with the line of every path.
    #[must_use]
    pub fn with_lines(self, lines: &'a Lines) -> Self {
        Self {
            lines: Some(lines),
            ..self
        }
    }

    /// The same, but `null` is a value like any other, where it usually counts as absent.
    #[must_use]
    pub fn with_null_as_value(self) -> Self {
        Self {
            null_is_absent: false,
            ..self
        }
    }

    /// The whole document.
    #[must_use]
    pub fn root(&'a self) -> Node<'a> {
        Node {
            reader: self,
            value: self.root,
            path: String::new(),
            is_private: false,
        }
    }

    /// What was found wrong.
    #[must_use]
    pub fn finish(self) -> Vec<Fault> {
        self.faults.into_inner()
    }
}

/// A value and its place.
#[derive(Debug, Clone)]
pub struct Node<'a> {
    reader: &'a Reader<'a>,
    value: &'a Value,
    path: String,
    /// Whether the value may be secret, here and below.
    is_private: bool,
}

impl<'a> Node<'a> {
    /// The raw value.
    #[must_use]
    pub fn value(&self) -> &'a Value {
        self.value
    }

    /// The line it stands on.
    #[must_use]
    pub fn line(&self) -> usize {
        self.reader.lines.map_or(0, |lines| lines.line(&self.path))
    }

    /// The folder that relative paths are below.
    #[must_use]
    pub fn base(&self) -> &'a Path {
        self.reader.context.base
    }

    /// The place in its document, empty for the root.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Adds a problem at this place.
    pub fn problem(&self, message: impl Into<String>) {
        self.problem_below("", message);
    }

    /// Adds a problem at a place below this one; `below` is a path such as `alpha` or `of[0].type`.
    pub fn problem_below(&self, below: &str, message: impl Into<String>) {
        let path = match (self.path.is_empty(), below.is_empty()) {
            (_, true) => self.path.clone(),
            (true, false) => below.to_owned(),
            (false, false) if below.starts_with('[') => format!("{}{below}", self.path),
            (false, false) => format!("{}.{below}", self.path),
        };
        let message = message.into();
        self.reader
            .faults
            .borrow_mut()
            .push(Fault { path, message });
    }

    /// Text in which `${VAR}` is replaced by the environment's value and `$$` by `$`; an unset
    /// variable is a problem.
    #[must_use]
    pub fn expand(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            if let Some(tail) = after.strip_prefix('$') {
                out.push('$');
                rest = tail;
                continue;
            }
            let Some((name, tail)) = after
                .strip_prefix('{')
                .and_then(|after| after.split_once('}'))
            else {
                out.push('$');
                rest = after;
                continue;
            };
            match (self.reader.context.env)(name) {
                Some(value) => out.push_str(&value),
                None if is_variable(name) => {
                    self.problem(format!("the environment variable {name} is not set"));
                }
                // It may be part of a password.
                None => self.problem(
                    "what stands in ${…} is not the name of an environment variable; write $$ for a dollar sign",
                ),
            }
            rest = tail;
        }
        out.push_str(rest);
        out
    }

    pub(super) fn wrong<T>(&self, wanted: &str) -> Option<T> {
        self.problem(format!("must be {wanted}, got {}", self.got()));
        None
    }

    /// Whether a message may repeat the value.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        !self.is_private && is_harmless(self.value)
    }

    /// The value for a message; only its kind where it may be secret.
    #[must_use]
    pub fn got(&self) -> String {
        if self.is_repeatable() {
            self.value.describe()
        } else {
            self.value.kind().to_owned()
        }
    }

    /// The same for text, which is quoted also where it was written as a number.
    #[must_use]
    pub fn got_text(&self) -> String {
        match self.value {
            Value::Bool(_, text) | Value::Number(_, text) if self.is_repeatable() => {
                format!("{text:?}")
            }
            Value::Null
            | Value::Bool(..)
            | Value::Number(..)
            | Value::String(_)
            | Value::List(_)
            | Value::Map(_) => self.got(),
        }
    }

    pub(super) fn is_private(&self) -> bool {
        self.is_private
    }

    /// The same place, whose value may be secret if `is_private`.
    pub(super) fn private_if(self, is_private: bool) -> Self {
        Self {
            is_private: self.is_private || is_private,
            ..self
        }
    }

    /// The same place where a value of this kind was expected and something else stands.
    pub(super) fn in_the_place_of(&self, kind: &Kind) -> Self {
        self.clone().private_if(kind.holds_secrets())
    }

    /// Text; a number or boolean is taken as written.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        match self.value {
            Value::String(text) | Value::Bool(_, text) | Value::Number(_, text) => {
                Some(text.clone())
            }
            Value::Null | Value::List(_) | Value::Map(_) => self.wrong("text"),
        }
    }

    /// A duration such as `30s`.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        let text = self.text()?;
        let read = parse_duration(&text);
        if let Err(message) = &read {
            if self.is_repeatable() {
                self.problem(message.as_str());
            } else {
                let got = self.got();
                self.problem(format!("must be a duration such as 30s, got {got}"));
            }
        }
        read.ok()
    }

    /// `true` or `false`.
    #[must_use]
    pub fn boolean(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value, _) => Some(*value),
            Value::Null | Value::Number(..) | Value::String(_) | Value::List(_) | Value::Map(_) => {
                self.wrong("true or false")
            }
        }
    }

    /// A whole number from 0.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        let count = self.peek_count();
        count.or_else(|| self.wrong("a whole number, 0 or more"))
    }

    /// The whole number from 0 when this is one, without complaint when it is not.
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    #[expect(clippy::cast_sign_loss, reason = "the range is checked")]
    pub(super) fn peek_count(&self) -> Option<u64> {
        match self.value {
            Value::Number(number, text) => match whole_number(text) {
                Some(whole) => u64::try_from(whole).ok(),
                None => {
                    let is_whole = (0.0..9e15).contains(number) && number.fract() == 0.0;
                    is_whole.then_some(*number as u64)
                }
            },
            Value::Null | Value::Bool(..) | Value::String(_) | Value::List(_) | Value::Map(_) => {
                None
            }
        }
    }

    /// A number that is finite.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self.value {
            Value::Number(number, _) if number.is_finite() => Some(*number),
            Value::Null
            | Value::Bool(..)
            | Value::Number(..)
            | Value::String(_)
            | Value::List(_)
            | Value::Map(_) => self.wrong("a number"),
        }
    }

    /// A size in bytes: a number, or one with a unit such as `64MiB`.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        let text = self.text()?;
        let parsed = self.peek_count().or_else(|| parse_bytes(&text));
        if parsed.is_none() {
            self.problem(format!(
                "must be a size such as 64MiB or 1048576, got {}",
                self.got_text()
            ));
        }
        parsed
    }

    /// The items of a list.
    #[must_use]
    pub fn list(&self) -> Option<Vec<Self>> {
        let Value::List(items) = self.value else {
            return self.wrong("a list");
        };
        let item = |(index, value)| Self {
            reader: self.reader,
            value,
            path: format!("{}[{index}]", self.path),
            is_private: self.is_private,
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// A field by name without claiming it; `None` when this is no map.
    #[must_use]
    pub fn peek(&self, key: &str) -> Option<Self> {
        let Value::Map(entries) = self.value else {
            return None;
        };
        let (name, value) = entries.iter().find(|(name, _)| name == key)?;
        Some(self.child(name, value))
    }

    /// Whether a map has this key with something behind it.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.peek(key).is_some_and(|node| !node.is_absent())
    }

    /// Whether this counts as if the key were not there.
    pub(super) fn is_absent(&self) -> bool {
        *self.value == Value::Null && self.reader.null_is_absent
    }

    /// The items when this is a list, without complaint when it is not.
    #[must_use]
    pub fn peek_list(self) -> Vec<Self> {
        if matches!(self.value, Value::List(_)) {
            return self.list().unwrap_or_default();
        }
        Vec::new()
    }

    /// The text when this is text, without complaint when it is not.
    #[must_use]
    pub fn peek_text(&self) -> Option<String> {
        let Value::String(text) = self.value else {
            return None;
        };
        Some(text.clone())
    }

    /// Every key of a map with its value, for maps whose keys are data.
    #[must_use]
    pub fn entries(&self) -> Option<Vec<(&'a str, Self)>> {
        let Value::Map(entries) = self.value else {
            return self.wrong("a map");
        };
        let named = |(key, value): &'a (String, Value)| {
            let is_hidden = self.is_private && may_be_value(key, value);
            let shown = if is_hidden { "…" } else { key };
            (key.as_str(), self.child(shown, value))
        };
        Some(entries.iter().map(named).collect())
    }

    /// Labels, checked for names that Prometheus refuses.
    #[must_use]
    pub fn labels(&self) -> Labels {
        Labels::new(self.label_pairs())
    }

    /// The same labels as written, those with an empty value included, sorted by name.
    #[must_use]
    pub fn label_pairs(&self) -> Vec<(String, String)> {
        let mut pairs = self.text_map().unwrap_or_default();
        for (name, _) in &pairs {
            if name.is_empty() || name.starts_with("__") {
                self.problem_below(
                    name,
                    "label names must not be empty or start with __, which is reserved",
                );
            }
        }
        pairs.sort();
        pairs
    }

    /// Names and texts, such as labels or annotations. A name with nothing behind it has the empty
    /// text, as in Prometheus.
    #[must_use]
    pub fn text_map(&self) -> Option<Vec<(String, String)>> {
        let pairs = self.entries()?.into_iter();
        Some(
            pairs
                .filter_map(|(key, node)| {
                    let is_nothing = *node.value() == Value::Null;
                    let text = if is_nothing {
                        String::new()
                    } else {
                        node.text()?
                    };
                    Some((key.to_owned(), text))
                })
                .collect(),
        )
    }

    pub(super) fn child(&self, key: &str, value: &'a Value) -> Self {
        let path = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        };
        Self {
            reader: self.reader,
            value,
            path,
            is_private: self.is_private,
        }
    }
}

/// Whether this can be the name of an environment variable.
fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let scale: u64 = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "K" | "KB" | "KIB" => 1 << 10,
        "M" | "MB" | "MIB" => 1 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::{ReadContext, Reader, parse_bytes};
    use crate::describe::Value;

    #[test]
    fn every_problem_of_a_document_is_found_in_one_pass() {
        let json = serde_json::json!({"interval": "soon", "count": -1, "labls": {"a": "b"}});
        let root = Value::from(&json);
        let reader = Reader::new(&root, ReadContext::empty());
        let mut fields = reader.root().fields().unwrap();
        assert_eq!(fields.duration("interval"), None);
        assert_eq!(fields.get("count").unwrap().count(), None);
        assert!(fields.labels("labels").is_empty());
        fields.required("url");
        fields.finish();
        let faults = reader.finish();
        let told: Vec<(&str, &str)> = faults
            .iter()
            .map(|fault| (fault.path.as_str(), fault.message.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (
                    "interval",
                    "not a duration: \"soon\"; write it as 30s, 5m or 1h30m"
                ),
                ("count", "must be a whole number, 0 or more, got -1"),
                ("", "url is missing"),
                ("labls", "unknown key; did you mean labels?"),
            ]
        );
    }

    #[test]
    fn sizes_take_units() {
        assert_eq!(parse_bytes("64MiB"), Some(64 << 20));
        assert_eq!(parse_bytes("10"), Some(10));
        assert_eq!(parse_bytes("ten"), None);
    }
}
