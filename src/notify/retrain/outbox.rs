//! The store of requests that have not been delivered yet.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::metric::Timestamp;

use super::super::Error;
use super::RetrainRequest;

/// The state of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Delivery will be tried.
    Waiting,
    /// The request expired or was refused. The entry is kept for inspection and can be retried by
    /// hand.
    Dead,
}

/// One request for one receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The name of the receiver.
    pub receiver: String,
    /// The request.
    pub request: RetrainRequest,
    /// When the entry was created.
    pub created_at: Timestamp,
    /// When delivery is given up.
    pub expires_at: Timestamp,
    /// Attempts so far.
    pub attempts: u32,
    /// Earliest time of the next attempt.
    pub next_at: Timestamp,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
    /// Whether delivery will be tried.
    pub phase: Phase,
}

impl Entry {
    /// A new entry that expires after `expiry`.
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

    /// The same entry due now, with as much time until it expires as a new one.
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

    /// Identity within an outbox: receiver and request.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.receiver, self.request.id)
    }
}

/// Stores requests until they are delivered. The owner writes new entries together with the state
/// that caused them; deliveries read, update and remove them.
///
/// Methods may block for a disk write; call them from a thread that may block.
pub trait Outbox: Send + Sync {
    /// Replaces an entry that still exists: attempts, next time, phase.
    ///
    /// # Errors
    /// When it cannot be written.
    fn update(&self, entry: &Entry) -> Result<(), Error>;

    /// Removes an entry. Returns whether it existed.
    ///
    /// # Errors
    /// When it cannot be written.
    fn remove(&self, key: &str) -> Result<bool, Error>;

    /// All entries, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    fn list(&self) -> Result<Vec<Entry>, Error>;
}
