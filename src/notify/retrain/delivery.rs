//! The handle to requests that are being delivered.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::metric::Timestamp;

use super::super::Error;
use super::{Entry, Outbox, Phase, Receiver, ReceiverStats, RetrainRequest};

/// Returns the wall-clock time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Routes requests to receivers and starts their delivery. Clones share everything.
#[derive(Clone)]
pub struct Deliveries {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) clock: Clock,
    pub(super) grace: Duration,
    pub(super) state: Mutex<State>,
    pub(super) wake: Notify,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) receivers: Vec<Receiver>,
    pub(super) entries: BTreeMap<String, Entry>,
    pub(super) stats: BTreeMap<String, ReceiverStats>,
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliveries").finish_non_exhaustive()
    }
}

impl Deliveries {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock()
    }

    /// Replaces the receivers after a reload. Entries of a removed receiver wait until they expire.
    pub fn reconfigure(&self, receivers: Vec<Receiver>) {
        let mut state = self.state();
        for receiver in &receivers {
            let name = receiver.name.clone();
            let stats = state.stats.entry(name.clone()).or_default();
            stats.name = name;
        }
        state.receivers = receivers;
        drop(state);
        self.wake();
    }

    /// Looks for due entries now, for example after the wall clock was set.
    pub fn wake(&self) {
        self.shared.wake.notify_one();
    }

    /// Moves the next attempts forward by as much as the wall clock was set back.
    pub fn set_back(&self, by: Duration) {
        for entry in self.state().entries.values_mut() {
            entry.next_at = entry.next_at - by;
        }
        self.wake();
    }

    /// The outbox entries for a request: one per receiver that takes its kind and whose matchers
    /// accept it.
    ///
    /// Commit them with the alert transition, then call [`Deliveries::enqueue`].
    #[must_use]
    pub fn route(&self, request: &RetrainRequest) -> Vec<Entry> {
        let now = (self.shared.clock)();
        self.state()
            .receivers
            .iter()
            .filter(|receiver| receiver.notifier.takes(request.kind))
            .filter(|receiver| request.matches(&receiver.matchers))
            .map(|receiver| Entry::new(&receiver.name, request.clone(), now, receiver.expiry))
            .collect()
    }

    /// Starts delivering entries that are already in the outbox.
    pub fn enqueue(&self, entries: impl IntoIterator<Item = Entry>) {
        let mut state = self.state();
        for entry in entries {
            state.entries.entry(entry.key()).or_insert(entry);
        }
        drop(state);
        self.wake();
    }

    /// All entries, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Entry> {
        let mut all: Vec<Entry> = self.state().entries.values().cloned().collect();
        all.sort_by_key(|entry| entry.created_at);
        all
    }

    /// Makes an entry due now, also a dead one. Returns whether the entry exists.
    ///
    /// # Errors
    /// When the outbox cannot be written.
    pub async fn retry(&self, key: &str) -> Result<bool, Error> {
        let now = (self.shared.clock)();
        let entry = {
            let mut state = self.state();
            let Some(entry) = state.entries.get_mut(key) else {
                return Ok(false);
            };
            *entry = entry.retried(now);
            entry.clone()
        };
        let outbox = Arc::clone(&self.shared.outbox);
        blocking(move || outbox.update(&entry)).await?;
        self.wake();
        Ok(true)
    }

    /// Removes an entry. Returns whether it existed.
    ///
    /// # Errors
    /// When the outbox cannot be written.
    pub async fn drop_entry(&self, key: &str) -> Result<bool, Error> {
        let outbox = Arc::clone(&self.shared.outbox);
        let stored = key.to_owned();
        let removed = blocking(move || outbox.remove(&stored)).await?;
        Ok(self.state().entries.remove(key).is_some() || removed)
    }

    /// The counters of every receiver.
    #[must_use]
    pub fn stats(&self) -> Vec<ReceiverStats> {
        let state = self.state();
        let count = |name: &str, phase| {
            state
                .entries
                .values()
                .filter(|entry| entry.receiver == name && entry.phase == phase)
                .count()
        };
        state
            .stats
            .values()
            .map(|stats| ReceiverStats {
                waiting: count(&stats.name, Phase::Waiting),
                dead: count(&stats.name, Phase::Dead),
                ..stats.clone()
            })
            .collect()
    }
}

/// Runs work that may wait for a disk on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::Store(format!("the outbox failed: {error}"))))
}
