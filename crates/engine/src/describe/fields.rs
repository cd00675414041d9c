//! The keys of a map, each read by name.

use std::time::Duration;

use super::key::Limits;
use super::read::Node;
use super::shape::Shape;
use super::value::Value;
use crate::metric::{Labels, nearest};

/// A key that differs from a known one by at most this many characters is a mistyped one.
const MAX_EDITS: usize = 2;

/// The fields of a map; what is not read by the end is an unknown key.
#[derive(Debug)]
pub struct Fields<'a> {
    node: Node<'a>,
    entries: &'a [(String, Value)],
    known: Vec<&'static str>,
}

impl<'a> Node<'a> {
    /// The fields of a map.
    #[must_use]
    pub fn fields(&self) -> Option<Fields<'a>> {
        let Value::Map(entries) = self.value() else {
            return self.wrong("a map");
        };
        Some(Fields::new(self.clone(), entries))
    }
}

impl<'a> Fields<'a> {
    pub(super) fn new(node: Node<'a>, entries: &'a [(String, Value)]) -> Self {
        Self {
            node,
            entries,
            known: Vec::new(),
        }
    }

    /// The map itself.
    #[must_use]
    pub fn node(&self) -> &Node<'a> {
        &self.node
    }

    /// A field when present; `key:` with nothing behind it counts as absent.
    pub fn get(&mut self, key: &'static str) -> Option<Node<'a>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let (name, value) = self.entries.iter().find(|(name, _)| name == key)?;
        Some(self.node.child(name, value)).filter(|node| !node.is_absent())
    }

    /// A field that must be there.
    pub fn required(&mut self, key: &'static str) -> Option<Node<'a>> {
        let found = self.get(key);
        if found.is_none() {
            self.node.problem(format!("{key} is missing"));
        }
        found
    }

    /// Text, when present.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        self.get(key)?.text()
    }

    /// A duration, when present.
    pub fn duration(&mut self, key: &'static str) -> Option<Duration> {
        self.get(key)?.duration()
    }

    /// A boolean, when present.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        self.get(key)?.boolean()
    }

    /// A list, empty when absent.
    pub fn list(&mut self, key: &'static str) -> Vec<Node<'a>> {
        self.get(key)
            .and_then(|node| node.list())
            .unwrap_or_default()
    }

    /// Labels, empty when absent.
    pub fn labels(&mut self, key: &'static str) -> Labels {
        self.get(key).map(|node| node.labels()).unwrap_or_default()
    }

    /// The value of a described key, when present and right.
    pub fn value<S: Shape>(&mut self, key: &'static str, limits: &Limits) -> Option<S::Value> {
        if limits.must_be_set {
            return self.required_value::<S>(key, limits);
        }
        S::read(&self.get(key)?, limits)
    }

    /// The value of a described key that must be there.
    pub fn required_value<S: Shape>(
        &mut self,
        key: &'static str,
        limits: &Limits,
    ) -> Option<S::Value> {
        let Some(node) = self.get(key) else {
            let fault = match limits.hint {
                "" => format!("{key} is missing"),
                hint => format!("{key} is missing; {hint}"),
            };
            self.node.problem(fault);
            return None;
        };
        S::read(&node, limits)
    }

    /// Reports every key that was not read.
    pub fn finish(self) {
        for (key, _) in self.entries {
            if self.known.contains(&key.as_str()) {
                continue;
            }
            let hint = match nearest(key, self.known.iter().copied(), MAX_EDITS) {
                Some(known) => format!("unknown key; did you mean {known}?"),
                None if self.known.is_empty() => "unknown key; there are none here".to_owned(),
                None => format!("unknown key; known keys are {}", self.known.join(", ")),
            };
            self.node.problem_below(key, hint);
        }
    }
}
