//! The keys of a map, each read by name.

use std::time::Duration;

use super::key::{Description, Kind, Limits};
use super::read::Node;
use super::secrecy::looks_like_key;
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
    /// Whether the section that is being read has a secret key.
    owns_secrets: bool,
    /// Whether one of the sections that were read has a secret key.
    owned_secrets: bool,
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

    /// The fields of a map that is described.
    #[must_use]
    pub fn fields_of(&self, describe: fn() -> Description) -> Option<Fields<'a>> {
        if let Value::Map(_) = self.value() {
            return self.fields();
        }
        self.in_the_place_of(&Kind::Section(describe))
            .wrong("a map")
    }
}

impl<'a> Fields<'a> {
    pub(super) fn new(node: Node<'a>, entries: &'a [(String, Value)]) -> Self {
        Self {
            node,
            entries,
            known: Vec::new(),
            owns_secrets: false,
            owned_secrets: false,
        }
    }

    /// The map itself.
    #[must_use]
    pub fn node(&self) -> &Node<'a> {
        &self.node
    }

    /// Says whether the keys that are read next stand beside a secret key of their section, so that
    /// problems do not repeat their values. Returns what was said before.
    #[doc(hidden)]
    pub fn owning_secrets(&mut self, owns: bool) -> bool {
        self.owned_secrets |= owns;
        std::mem::replace(&mut self.owns_secrets, owns)
    }

    /// A field when present; `key:` with nothing behind it counts as absent.
    pub fn get(&mut self, key: &'static str) -> Option<Node<'a>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let (name, value) = self.entries.iter().find(|(name, _)| name == key)?;
        let node = self.node.child(name, value).private_if(self.owns_secrets);
        Some(node).filter(|node| !node.is_absent())
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
        let node = self.get(key)?.private_if(limits.hides_value());
        S::read(&node, limits)
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
        S::read(&node.private_if(limits.hides_value()), limits)
    }

    /// Reports every key that was not read.
    pub fn finish(self) {
        let may_be_secret = self.owned_secrets || self.node.is_private();
        self.report_unknown(may_be_secret);
    }

    /// The same for the keys of a described section.
    pub fn finish_of(self, describe: fn() -> Description) {
        let is_known = |key: &str| self.known.contains(&key);
        if self.entries.iter().all(|(key, _)| is_known(key)) {
            return;
        }
        let may_be_secret = self.node.is_private() || Kind::Section(describe).holds_secrets();
        self.report_unknown(may_be_secret);
    }

    /// Reports every key that was not read; a key that may be a secret is not repeated.
    fn report_unknown(self, may_be_secret: bool) {
        for (key, value) in self.entries {
            if self.known.contains(&key.as_str()) {
                continue;
            }
            let nearest = nearest(key, self.known.iter().copied(), MAX_EDITS);
            if nearest.is_none() && may_be_secret && !looks_like_key(key, value) {
                self.node.problem(format!(
                    "has an unknown key, which is not repeated since it may be a secret; known keys are {}",
                    self.known.join(", ")
                ));
                continue;
            }
            let hint = match nearest {
                Some(known) => format!("unknown key; did you mean {known}?"),
                None if self.known.is_empty() => "unknown key; there are none here".to_owned(),
                None => format!("unknown key; known keys are {}", self.known.join(", ")),
            };
            self.node.problem_below(key, hint);
        }
    }
}
