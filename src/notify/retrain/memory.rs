//! The outbox of a process without storage.

use std::collections::BTreeMap;

use parking_lot::{Mutex, MutexGuard};

use super::super::Error;
use super::{Entry, Outbox};

/// Most entries kept; a receiver that is down for days must not eat the pod's memory.
const CAPACITY: usize = 10_000;

/// Keeps requests in memory: they survive a receiver's outage, not the process' end.
#[derive(Debug, Default)]
pub struct MemoryOutbox {
    entries: Mutex<BTreeMap<String, Entry>>,
}

impl MemoryOutbox {
    /// An empty outbox.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock()
    }
}

impl Outbox for MemoryOutbox {
    fn put(&self, entry: &Entry) -> Result<bool, Error> {
        let mut entries = self.entries();
        let key = entry.key();
        if entries.contains_key(&key) {
            return Ok(false);
        }
        if entries.len() >= CAPACITY {
            return Err(Error::Store(format!(
                "the outbox is full with {CAPACITY} requests"
            )));
        }
        entries.insert(key, entry.clone());
        Ok(true)
    }

    fn update(&self, entry: &Entry) -> Result<(), Error> {
        if let Some(known) = self.entries().get_mut(&entry.key()) {
            known.clone_from(entry);
        }
        Ok(())
    }

    fn remove(&self, key: &str) -> Result<bool, Error> {
        Ok(self.entries().remove(key).is_some())
    }

    fn list(&self) -> Result<Vec<Entry>, Error> {
        let mut all: Vec<Entry> = self.entries().values().cloned().collect();
        all.sort_by_key(|entry| entry.created_at);
        Ok(all)
    }
}
