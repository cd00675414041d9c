//! Typed reading of a YAML tree that collects every problem instead of stopping at the first.

use std::cell::RefCell;
use std::time::Duration;

use super::problem::{Problem, Problems};
use super::yaml::{Document, Value};
use crate::metric::{Labels, parse_duration};

/// Reads one document; problems gather behind it.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    document: &'a Document,
    problems: RefCell<Problems>,
}

impl<'a> Reader<'a> {
    /// A reader without problems yet.
    #[must_use]
    pub(crate) fn new(document: &'a Document) -> Self {
        Self {
            document,
            problems: RefCell::default(),
        }
    }

    /// The whole document.
    #[must_use]
    pub(crate) fn root(&'a self) -> Node<'a> {
        Node {
            reader: self,
            value: &self.document.root,
            path: String::new(),
        }
    }

    /// What was found wrong.
    #[must_use]
    pub(crate) fn finish(self) -> Problems {
        self.problems.into_inner()
    }
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    reader: &'a Reader<'a>,
    value: &'a Value,
    path: String,
}

impl<'a> Node<'a> {
    /// The raw value.
    #[must_use]
    pub(crate) fn value(&self) -> &'a Value {
        self.value
    }

    /// The line it stands on.
    #[must_use]
    pub(crate) fn line(&self) -> usize {
        self.reader.document.line(&self.path)
    }

    /// The place in its document, empty for the root.
    #[must_use]
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Adds a problem at this place.
    pub(crate) fn problem(&self, message: impl Into<String>) {
        self.problem_below("", message);
    }

    /// Adds a problem at a place below this one; `below` is a path such as `alpha` or `of[0].type`.
    pub(crate) fn problem_below(&self, below: &str, message: impl Into<String>) {
        let path = match (self.path.is_empty(), below.is_empty()) {
            (_, true) => self.path.clone(),
            (true, false) => below.to_owned(),
            (false, false) if below.starts_with('[') => format!("{}{below}", self.path),
            (false, false) => format!("{}.{below}", self.path),
        };
        self.push(self.reader.document.problem(&path, message));
    }

    fn push(&self, problem: Problem) {
        self.reader.problems.borrow_mut().push(problem);
    }

    fn wrong<T>(&self, wanted: &str) -> Option<T> {
        self.problem(format!("must be {wanted}, got {}", self.value.describe()));
        None
    }

    /// Text; a number or boolean is taken as written.
    #[must_use]
    pub(crate) fn text(&self) -> Option<String> {
        match self.value {
            Value::String(text) | Value::Number(_, text) => Some(text.clone()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Null | Value::List(_) | Value::Map(_) => self.wrong("text"),
        }
    }

    /// A duration such as `30s`.
    #[must_use]
    pub(crate) fn duration(&self) -> Option<Duration> {
        let text = self.text()?;
        parse_duration(&text)
            .map_err(|message| self.problem(message))
            .ok()
    }

    /// `true` or `false`.
    #[must_use]
    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(*value),
            Value::Null | Value::Number(..) | Value::String(_) | Value::List(_) | Value::Map(_) => {
                self.wrong("true or false")
            }
        }
    }

    /// A whole number from 0.
    #[must_use]
    pub(crate) fn count(&self) -> Option<u64> {
        let parsed = match self.value {
            Value::Number(_, text) => text.parse().ok(),
            Value::Null | Value::Bool(_) | Value::String(_) | Value::List(_) | Value::Map(_) => {
                None
            }
        };
        parsed.or_else(|| self.wrong("a whole number, 0 or more"))
    }

    /// A number that is finite.
    #[must_use]
    pub(crate) fn number(&self) -> Option<f64> {
        match self.value {
            Value::Number(number, _) if number.is_finite() => Some(*number),
            Value::Null
            | Value::Bool(_)
            | Value::Number(..)
            | Value::String(_)
            | Value::List(_)
            | Value::Map(_) => self.wrong("a number"),
        }
    }

    /// A size in bytes: a number, or one with a unit such as `64MiB`.
    #[must_use]
    pub(crate) fn bytes(&self) -> Option<u64> {
        let text = self.text()?;
        let parsed = parse_bytes(&text);
        if parsed.is_none() {
            self.problem(format!(
                "must be a size such as 64MiB or 1048576, got {text:?}"
            ));
        }
        parsed
    }

    /// The items of a list.
    #[must_use]
    pub(crate) fn list(&self) -> Option<Vec<Self>> {
        let Value::List(items) = self.value else {
            return self.wrong("a list");
        };
        let item = |(index, value)| Self {
            reader: self.reader,
            value,
            path: format!("{}[{index}]", self.path),
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// The fields of a map.
    #[must_use]
    pub(crate) fn fields(&self) -> Option<Fields<'a>> {
        let Value::Map(entries) = self.value else {
            return self.wrong("a map");
        };
        Some(Fields {
            node: self.clone(),
            entries,
            known: Vec::new(),
        })
    }

    /// A field by name without claiming it; `None` when this is no map.
    #[must_use]
    pub(crate) fn peek(&self, key: &str) -> Option<Self> {
        let Value::Map(entries) = self.value else {
            return None;
        };
        let (name, value) = entries.iter().find(|(name, _)| name == key)?;
        Some(self.child(name, value))
    }

    /// The items when this is a list, without complaint when it is not.
    #[must_use]
    pub(crate) fn peek_list(self) -> Vec<Self> {
        if matches!(self.value, Value::List(_)) {
            return self.list().unwrap_or_default();
        }
        Vec::new()
    }

    /// The text when this is text, without complaint when it is not.
    #[must_use]
    pub(crate) fn peek_text(&self) -> Option<String> {
        let Value::String(text) = self.value else {
            return None;
        };
        Some(text.clone())
    }

    /// Every key of a map with its value, for maps whose keys are data.
    #[must_use]
    pub(crate) fn entries(&self) -> Option<Vec<(&'a str, Self)>> {
        let Value::Map(entries) = self.value else {
            return self.wrong("a map");
        };
        Some(
            entries
                .iter()
                .map(|(key, value)| (key.as_str(), self.child(key, value)))
                .collect(),
        )
    }

    /// Names and texts, such as labels or annotations.
    #[must_use]
    pub(crate) fn text_map(&self) -> Option<Vec<(String, String)>> {
        let pairs = self.entries()?.into_iter();
        Some(
            pairs
                .filter_map(|(key, node)| Some((key.to_owned(), node.text()?)))
                .collect(),
        )
    }

    fn child(&self, key: &str, value: &'a Value) -> Self {
        let path = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        };
        Self {
            reader: self.reader,
            value,
            path,
        }
    }
}

/// The fields of a map; what is not asked for by the end is an unknown key.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    node: Node<'a>,
    entries: &'a [(String, Value)],
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The map itself.
    #[must_use]
    pub(crate) fn node(&self) -> &Node<'a> {
        &self.node
    }

    /// A field when present; `key:` with nothing behind it counts as absent.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<Node<'a>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let (name, value) = self.entries.iter().find(|(name, _)| name == key)?;
        (*value != Value::Null).then(|| self.node.child(name, value))
    }

    /// A field that must be there.
    pub(crate) fn required(&mut self, key: &'static str) -> Option<Node<'a>> {
        let found = self.get(key);
        if found.is_none() {
            self.node.problem(format!("{key} is missing"));
        }
        found
    }

    /// Text, when present.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<String> {
        self.get(key)?.text()
    }

    /// A duration, when present.
    pub(crate) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        self.get(key)?.duration()
    }

    /// A boolean, when present.
    pub(crate) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        self.get(key)?.boolean()
    }

    /// A whole number, when present.
    pub(crate) fn count(&mut self, key: &'static str) -> Option<u64> {
        self.get(key)?.count()
    }

    /// A list, empty when absent.
    pub(crate) fn list(&mut self, key: &'static str) -> Vec<Node<'a>> {
        self.get(key)
            .and_then(|node| node.list())
            .unwrap_or_default()
    }

    /// Texts of a list, empty when absent.
    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<String> {
        self.list(key).iter().filter_map(Node::text).collect()
    }

    /// Labels, checked for names that Prometheus refuses.
    pub(crate) fn labels(&mut self, key: &'static str) -> Labels {
        let Some(node) = self.get(key) else {
            return Labels::empty();
        };
        let pairs = node.text_map().unwrap_or_default();
        for (name, _) in &pairs {
            if name.is_empty() || name.starts_with("__") {
                node.problem_below(
                    name,
                    "label names must not be empty or start with __, which is reserved",
                );
            }
        }
        Labels::new(pairs)
    }

    /// Reports every key that nobody asked for.
    pub(crate) fn finish(self) {
        for (key, _) in self.entries {
            if self.known.contains(&key.as_str()) {
                continue;
            }
            let hint = match nearest(key, &self.known) {
                Some(known) => format!("unknown key; did you mean {known}?"),
                None => format!("unknown key; known keys are {}", self.known.join(", ")),
            };
            self.node.problem_below(key, hint);
        }
    }
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

/// The known word closest to what was written, if it is close enough to be a slip.
#[must_use]
pub(crate) fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let scored = known
        .iter()
        .map(|candidate| (edit_distance(word, candidate), *candidate));
    let (distance, candidate) = scored.min()?;
    (distance <= 2 && distance < candidate.len()).then_some(candidate)
}

/// Levenshtein distance in characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::{Reader, nearest, parse_bytes};
    use crate::config::yaml::Document;

    #[test]
    fn every_problem_of_a_document_is_found_in_one_pass() {
        let document =
            Document::parse("c.yaml", "interval: soon\ncount: -1\nlabls: {a: b}\n").unwrap();
        let reader = Reader::new(&document);
        let mut fields = reader.root().fields().unwrap();
        assert_eq!(fields.duration("interval"), None);
        assert_eq!(fields.count("count"), None);
        assert!(fields.labels("labels").is_empty());
        fields.required("url");
        fields.finish();
        let text = reader.finish().into_result(()).unwrap_err().to_string();
        assert_eq!(
            text,
            "c.yaml:1: url is missing\n\
             c.yaml:1: interval: not a duration: \"soon\"; write it as 30s, 5m or 1h30m\n\
             c.yaml:2: count: must be a whole number, 0 or more, got -1\n\
             c.yaml:3: labls: unknown key; did you mean labels?"
        );
    }

    #[test]
    fn sizes_take_units() {
        assert_eq!(parse_bytes("64MiB"), Some(64 << 20));
        assert_eq!(parse_bytes("10"), Some(10));
        assert_eq!(parse_bytes("ten"), None);
    }

    #[test]
    fn a_slip_of_the_pen_is_recognised() {
        assert_eq!(nearest("labls", &["labels", "expr"]), Some("labels"));
        assert_eq!(nearest("something", &["labels", "expr"]), None);
    }
}
