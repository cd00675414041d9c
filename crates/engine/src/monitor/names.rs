//! Pairs the rules of before a reload or restart with those of after it.

use std::collections::HashMap;
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use crate::rules::{RuleId, RuleSet, definitions};

/// A rule as its stored state knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Group, name and labels.
    pub(super) id: RuleId,
    /// The digest of its expression and the records that it reads.
    pub(super) definition: String,
}

impl Identity {
    /// A rule of which only the names of group and rule are known.
    pub(super) fn of_name(group: &str, name: &str) -> Self {
        let id = RuleId {
            group: group.to_owned(),
            name: name.to_owned(),
            ..RuleId::default()
        };
        Self {
            id,
            definition: String::new(),
        }
    }
}

/// The identity of every rule, in order.
pub(super) fn identities(rules: &RuleSet) -> Vec<Identity> {
    let ids = rules.groups.iter().flat_map(|group| {
        let rules = group.rules.iter();
        rules.map(|rule| RuleId::new(&group.name, rule))
    });
    ids.zip(definitions(rules))
        .map(|(id, definition)| Identity { id, definition })
        .collect()
}

/// A unique key for every rule: its id, and a number for rules with equal ids.
pub(super) fn keys(identities: &[Identity]) -> Vec<String> {
    let mut seen: HashMap<&RuleId, usize> = HashMap::new();
    identities
        .iter()
        .map(|Identity { id, .. }| {
            let count = seen.entry(id).or_default();
            *count += 1;
            match *count {
                1 => id.to_string(),
                n => format!("{id}#{n}"),
            }
        })
        .collect()
}

/// For every new rule, the position of the old rule that it continues.
///
/// A rule continues the one with its id; among rules with equal ids, the one with its definition. A
/// rule without such a predecessor may have moved to another group, or its labels may have changed:
/// it continues the only other rule that this can be.
pub(super) fn pair(old: &[&Identity], new: &[&Identity]) -> Vec<Option<usize>> {
    let mut pairs = Pairs::new(old, new);
    pairs.first(|rule| rule);
    pairs.first(|rule| &rule.id);
    pairs.only(|rule| (&rule.id.name, &rule.id.labels));
    pairs.only(|rule| (&rule.id.group, &rule.id.name));
    pairs.of_new
}

/// The elements of one key that are not paired, by position.
#[derive(Default)]
struct Free {
    old: Vec<usize>,
    new: Vec<usize>,
}

/// A pairing in progress: what is paired stays so.
pub(super) struct Pairs<'a, T> {
    old: &'a [&'a T],
    new: &'a [&'a T],
    is_free: Vec<bool>,
    /// For every new element, the position of its old one.
    pub(super) of_new: Vec<Option<usize>>,
}

impl<'a, T> Pairs<'a, T> {
    pub(super) fn new(old: &'a [&'a T], new: &'a [&'a T]) -> Self {
        Self {
            old,
            new,
            is_free: vec![true; old.len()],
            of_new: vec![None; new.len()],
        }
    }

    /// Pairs the free elements of equal key, the first with the first.
    pub(super) fn first<K: Eq + Hash>(&mut self, key: impl Fn(&'a T) -> K) {
        self.by(key, |_, _| true);
    }

    /// Pairs the free elements that are the only ones of their key.
    pub(super) fn only<K: Eq + Hash>(&mut self, key: impl Fn(&'a T) -> K) {
        self.by(key, |old, new| old == 1 && new == 1);
    }

    fn by<K: Eq + Hash>(&mut self, key: impl Fn(&'a T) -> K, may: impl Fn(usize, usize) -> bool) {
        let mut free: HashMap<K, Free> = HashMap::new();
        for (index, old) in self.old.iter().enumerate() {
            if self.is_free[index] {
                free.entry(key(old)).or_default().old.push(index);
            }
        }
        for (index, new) in self.new.iter().enumerate() {
            if self.of_new[index].is_none() {
                free.entry(key(new)).or_default().new.push(index);
            }
        }
        for Free { old, new } in free.into_values() {
            if !may(old.len(), new.len()) {
                continue;
            }
            for (found, index) in old.into_iter().zip(new) {
                self.is_free[found] = false;
                self.of_new[index] = Some(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Identity, RuleId, keys, pair};

    /// A rule `group/name`, with a severity and an expression.
    fn rule(path: &str, severity: &str, definition: &str) -> Identity {
        let (group, name) = path.split_once('/').unwrap();
        let labels = [("severity".to_owned(), severity.to_owned())];
        Identity {
            id: RuleId {
                group: group.to_owned(),
                name: name.to_owned(),
                labels: labels.into(),
            },
            definition: definition.to_owned(),
        }
    }

    fn paired(old: &[Identity], new: &[Identity]) -> Vec<Option<usize>> {
        let (old, new): (Vec<_>, Vec<_>) = (old.iter().collect(), new.iter().collect());
        pair(&old, &new)
    }

    #[test]
    fn rules_of_one_name_are_told_apart_by_their_labels_wherever_they_stand() {
        let old = [
            rule("g/Deep", "warning", "5"),
            rule("g/Deep", "critical", "6"),
        ];
        let new = [
            rule("g/Deep", "info", "4"),
            rule("g/Deep", "critical", "60"),
            rule("g/Deep", "warning", "5"),
        ];
        assert_eq!(paired(&old, &new), [None, Some(1), Some(0)]);
    }

    #[test]
    fn rules_with_equal_ids_are_told_apart_by_their_expressions() {
        let old = [rule("g/Deep", "page", "a"), rule("g/Deep", "page", "b")];
        let new = [
            rule("g/Deep", "page", "b"),
            rule("g/Deep", "page", "new"),
            rule("g/Deep", "page", "a"),
        ];
        assert_eq!(paired(&old, &new), [Some(1), None, Some(0)]);
        assert_eq!(
            keys(&new),
            [
                r#"g/Deep{severity="page"}"#,
                r#"g/Deep{severity="page"}#2"#,
                r#"g/Deep{severity="page"}#3"#,
            ]
        );
    }

    #[test]
    fn a_rule_that_moved_or_changed_its_labels_is_found_when_there_is_only_one_candidate() {
        let old = [rule("a/Slow", "page", "x"), rule("b/Slow", "page", "x")];
        assert_eq!(paired(&old[..1], &[rule("c/Slow", "page", "y")]), [Some(0)]);
        assert_eq!(paired(&old, &[rule("c/Slow", "page", "y")]), [None]);
        assert_eq!(paired(&old, &[rule("b/Slow", "ticket", "x")]), [Some(1)]);
        // b/Slow belongs to its own rule.
        let new = [rule("c/Slow", "page", "x"), rule("b/Slow", "page", "x")];
        assert_eq!(paired(&old, &new), [Some(0), Some(1)]);
    }
}
