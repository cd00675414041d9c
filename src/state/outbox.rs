//! The outbox in the store.

use std::sync::Arc;

use crate::notify;
use crate::notify::retrain::{Entry, Outbox};

use super::{Batch, Error, Kind, Store};

/// Retraining requests in the store. [`Batch::put_entry`] adds one.
#[derive(Debug, Clone)]
pub struct StoreOutbox {
    store: Arc<Store>,
}

impl StoreOutbox {
    /// Maximum number of entries: a receiver that is down for weeks must not fill the volume.
    pub const CAPACITY: usize = 10_000;

    /// The outbox of a store.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }
}

impl Batch {
    /// Adds a retraining request, to be committed with the transition that caused it.
    ///
    /// # Errors
    /// When the entry cannot be encoded as JSON.
    pub fn put_entry(&mut self, entry: &Entry) -> Result<&mut Self, Error> {
        self.put(Kind::Outbox, &entry.key(), entry)
    }
}

fn failed(error: &Error) -> notify::Error {
    notify::Error::Store(error.to_string())
}

impl StoreOutbox {
    fn commit(
        &self,
        mut batch: Batch,
        change: impl FnOnce(&mut Batch) -> Result<(), Error>,
    ) -> Result<(), notify::Error> {
        change(&mut batch).map_err(|error| failed(&error))?;
        self.store.commit(batch).map_err(|error| failed(&error))
    }
}

impl Outbox for StoreOutbox {
    fn update(&self, entry: &Entry) -> Result<(), notify::Error> {
        if !self.store.contains(Kind::Outbox, &entry.key()) {
            return Ok(());
        }
        // The number of attempts may be lost in a crash; the death of an entry may not.
        let batch = match entry.phase {
            notify::retrain::Phase::Waiting => Batch::lazy(),
            notify::retrain::Phase::Dead => Batch::new(),
        };
        self.commit(batch, |batch| batch.put_entry(entry).map(|_| ()))
    }

    fn remove(&self, key: &str) -> Result<bool, notify::Error> {
        if !self.store.contains(Kind::Outbox, key) {
            return Ok(false);
        }
        self.commit(Batch::new(), |batch| {
            batch.delete(Kind::Outbox, key);
            Ok(())
        })?;
        Ok(true)
    }

    fn list(&self) -> Result<Vec<Entry>, notify::Error> {
        let mut entries: Vec<Entry> = self
            .store
            .all(Kind::Outbox)
            .into_iter()
            .map(|(_, entry)| entry)
            .collect();
        entries.sort_by_key(|entry| entry.created_at);
        Ok(entries)
    }
}
