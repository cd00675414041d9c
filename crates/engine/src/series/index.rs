//! The labels of a set of rows: finds the row of a label set and the rows that a selector matches.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use super::strings::Strings;
use super::{Found, next_epoch};
use crate::metric::{Labels, Selector};

/// The end of a chain of rows with the same hash.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Entry {
    /// `None` for a free row.
    labels: Option<Labels>,
    hash: u64,
    generation: u32,
    /// The next row with the same hash.
    next: u32,
}

/// The labels of each row, found by their hash or by the metric's name.
#[derive(Debug)]
pub(super) struct Index {
    entries: Vec<Entry>,
    free: Vec<u32>,
    first_of_hash: HashMap<u64, u32>,
    /// Rows by metric name. A set, because many series of one name may come and go in one scrape.
    by_name: HashMap<Arc<str>, BTreeSet<u32>>,
    hasher: RandomState,
    strings: Strings,
    epoch: u64,
}

impl Index {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            first_of_hash: HashMap::new(),
            by_name: HashMap::new(),
            hasher: RandomState::new(),
            strings: Strings::default(),
            epoch: next_epoch(),
        }
    }

    /// Changes whenever the set of series changes; unique in the process.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The number of series.
    pub(super) fn series(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// One past the highest row that was ever in use.
    pub(super) fn height(&self) -> u32 {
        self.entries.len() as u32
    }

    pub(super) fn labels(&self, row: u32) -> Option<&Labels> {
        self.entries.get(row as usize)?.labels.as_ref()
    }

    /// The generation of a row in use.
    pub(super) fn generation(&self, row: u32) -> Option<u32> {
        let entry = self.entries.get(row as usize)?;
        entry.labels.is_some().then_some(entry.generation)
    }

    /// The row of these labels.
    pub(super) fn find(&self, labels: &Labels) -> Option<u32> {
        let hash = self.hasher.hash_one(labels);
        let mut row = *self.first_of_hash.get(&hash)?;
        while row != NONE {
            let entry = &self.entries[row as usize];
            if entry.labels.as_ref() == Some(labels) {
                return Some(row);
            }
            row = entry.next;
        }
        None
    }

    /// Assigns a row to labels that have none yet; `None` when there are 2³² rows.
    pub(super) fn insert(&mut self, labels: &Labels) -> Option<u32> {
        let hash = self.hasher.hash_one(labels);
        let labels = self.strings.intern(labels);
        let row = match self.free.pop() {
            Some(row) => row,
            None => u32::try_from(self.entries.len())
                .ok()
                .filter(|row| *row != NONE)?,
        };
        if let Some(label) = labels.as_slice().iter().find(|l| &*l.name == Labels::NAME) {
            let rows = self.by_name.entry(Arc::clone(&label.value)).or_default();
            rows.insert(row);
        }
        let next = self.first_of_hash.insert(hash, row).unwrap_or(NONE);
        let entry = Entry {
            labels: Some(labels),
            hash,
            generation: 0,
            next,
        };
        match self.entries.get_mut(row as usize) {
            Some(free) => {
                let generation = free.generation;
                *free = Entry {
                    generation,
                    ..entry
                };
            }
            None => self.entries.push(entry),
        }
        self.epoch = next_epoch();
        Some(row)
    }

    /// Frees a row; handles to it become invalid.
    pub(super) fn remove(&mut self, row: u32) {
        let Some(entry) = self.entries.get_mut(row as usize) else {
            return;
        };
        let Some(labels) = entry.labels.take() else {
            return;
        };
        entry.generation = entry.generation.wrapping_add(1);
        let (hash, next) = (entry.hash, entry.next);
        self.unchain(hash, row, next);
        if let Some(name) = labels.name()
            && let Some(rows) = self.by_name.get_mut(name)
        {
            rows.remove(&row);
            if rows.is_empty() {
                self.by_name.remove(name);
            }
        }
        self.free.push(row);
        self.epoch = next_epoch();
    }

    /// Removes a row from the chain of its hash.
    fn unchain(&mut self, hash: u64, row: u32, next: u32) {
        let Some(first) = self.first_of_hash.get_mut(&hash) else {
            return;
        };
        if *first == row {
            *first = next;
            if next == NONE {
                self.first_of_hash.remove(&hash);
            }
            return;
        }
        let mut at = *first;
        while at != NONE {
            let entry = &mut self.entries[at as usize];
            if entry.next == row {
                entry.next = next;
                return;
            }
            at = entry.next;
        }
    }

    /// Drops the strings of removed series.
    pub(super) fn sweep(&mut self) {
        self.strings.sweep();
    }

    /// Calls `found` with the rows that the selector matches, in ascending order.
    pub(super) fn select(&self, selector: &Selector, found: &mut Found<'_, u32>) {
        let mut offer = |row: u32| {
            if let Some(labels) = self.labels(row)
                && selector.matches(labels)
            {
                found(row, labels);
            }
        };
        match selector.metric_name() {
            Some(name) if !name.is_empty() => self
                .by_name
                .get(name)
                .into_iter()
                .flatten()
                .for_each(|row| offer(*row)),
            _ => (0..self.height()).for_each(offer),
        }
    }
}
