//! The outbox that survives a crash.

use std::sync::Arc;

use crate::notify;
use crate::notify::retrain::{Entry, Outbox};

use super::{Batch, Error, Kind, Store};

/// Retraining requests in the store: what [`put`](Outbox::put) accepted is on the disk.
#[derive(Debug, Clone)]
pub struct StoreOutbox {
    store: Arc<Store>,
}

impl StoreOutbox {
    /// Most entries kept; a receiver that is down for weeks must not fill the volume.
    pub const CAPACITY: usize = 10_000;

    /// The outbox of a store.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }
}

impl Batch {
    /// Adds a retraining request, so that it is committed with the transition that caused it.
    ///
    /// # Errors
    /// When the entry is no JSON.
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
    fn put(&self, entry: &Entry) -> Result<bool, notify::Error> {
        if self.store.contains(Kind::Outbox, &entry.key()) {
            return Ok(false);
        }
        if self.store.count(Kind::Outbox) >= Self::CAPACITY {
            let text = format!("the outbox is full with {} requests", Self::CAPACITY);
            return Err(notify::Error::Store(text));
        }
        self.commit(Batch::new(), |batch| batch.put_entry(entry).map(|_| ()))?;
        Ok(true)
    }

    fn update(&self, entry: &Entry) -> Result<(), notify::Error> {
        if !self.store.contains(Kind::Outbox, &entry.key()) {
            return Ok(());
        }
        // Attempts may be forgotten by a crash; that an entry is dead may not.
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
