//! The memory of requests that have not arrived yet.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::metric::Timestamp;

use super::super::Error;
use super::RetrainRequest;

/// Where a request is on its way to one receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It will be tried.
    Waiting,
    /// It expired or was refused; it stays to be looked at and can be retried by hand.
    Dead,
}

/// One request for one receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The receiver's name.
    pub receiver: String,
    /// What is asked.
    pub request: RetrainRequest,
    /// When it was put here.
    pub created_at: Timestamp,
    /// When trying ends.
    pub expires_at: Timestamp,
    /// Attempts so far.
    pub attempts: u32,
    /// Not before this time.
    pub next_at: Timestamp,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// Where it is.
    pub phase: Phase,
}

impl Entry {
    /// A fresh entry that expires after `expiry`.
    #[must_use]
    pub fn new(receiver: &str, request: RetrainRequest, at: Timestamp, expiry: Duration) -> Self {
        Self {
            receiver: receiver.to_owned(),
            request,
            created_at: at,
            expires_at: at + expiry,
            attempts: 0,
            next_at: at,
            last_error: None,
            phase: Phase::Waiting,
        }
    }

    /// The same entry to be tried again now, with as much time as it had at first.
    #[must_use]
    pub fn retried(&self, now: Timestamp) -> Self {
        let lifetime = self.expires_at.since(self.created_at);
        Self {
            phase: Phase::Waiting,
            next_at: now,
            expires_at: self.expires_at.max(now + lifetime),
            ..self.clone()
        }
    }

    /// Identity in an outbox: receiver and request.
    #[must_use]
    pub fn key(&self) -> String {
        entry_key(&self.receiver, &self.request.id)
    }
}

/// The key of a request for a receiver.
pub(crate) fn entry_key(receiver: &str, id: &str) -> String {
    format!("{receiver}/{id}")
}

/// Remembers requests until they arrived. What [`put`](Self::put) accepted survives what the implementation promises
/// to survive: the process for memory, a crash for the store.
///
/// Methods may block for a disk write; call them from a thread that may.
pub trait Outbox: Send + Sync {
    /// Remembers an entry; one with the same key is left as it is. `true` when it is new.
    ///
    /// # Errors
    /// When it cannot be remembered.
    fn put(&self, entry: &Entry) -> Result<bool, Error>;

    /// Replaces an entry that is still there: attempts, next time, phase.
    ///
    /// # Errors
    /// When it cannot be written.
    fn update(&self, entry: &Entry) -> Result<(), Error>;

    /// Forgets an entry that arrived or was dropped by hand. `true` when it was there.
    ///
    /// # Errors
    /// When it cannot be written.
    fn remove(&self, key: &str) -> Result<bool, Error>;

    /// Every entry, oldest first.
    ///
    /// # Errors
    /// When it cannot be read.
    fn list(&self) -> Result<Vec<Entry>, Error>;
}
