//! Deduplicates label names and values among the new series of one scrape.

use std::sync::Arc;

use hashbrown::HashTable;

use crate::metric::hash_bytes;

/// A pool of strings; most of a target's label names and values repeat.
#[derive(Debug)]
pub(super) struct Strings {
    table: HashTable<Arc<str>>,
    seed: u64,
}

impl Strings {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            table: HashTable::new(),
            seed,
        }
    }

    /// The shared copy of a string.
    pub(super) fn share(&mut self, text: &str) -> Arc<str> {
        let seed = self.seed;
        let hash = |text: &str| hash_bytes(text.as_bytes(), seed);
        let entry = self
            .table
            .entry(hash(text), |known| **known == *text, |known| hash(known));
        Arc::clone(entry.or_insert_with(|| text.into()).get())
    }
}
