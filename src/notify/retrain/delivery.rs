//! The handle to what is on its way to receivers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::metric::Timestamp;

use super::super::{Clock, Error};
use super::{Entry, Outbox, Phase, Receiver, ReceiverStats, RetrainRequest, Runner};

/// The handle requests are given to. Cloning shares everything.
#[derive(Clone)]
pub struct Deliveries {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) clock: Clock,
    pub(super) grace: Duration,
    state: Mutex<State>,
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
    /// A handle and the loop behind it. What the outbox still holds is tried again.
    ///
    /// # Errors
    /// When the outbox cannot be read.
    pub fn new(
        receivers: Vec<Receiver>,
        outbox: Arc<dyn Outbox>,
        clock: Clock,
        grace: Duration,
    ) -> Result<(Self, Runner), Error> {
        let entries = outbox.list()?;
        let shared = Shared {
            outbox,
            clock,
            grace,
            state: Mutex::default(),
            wake: Notify::new(),
        };
        let handle = Self {
            shared: Arc::new(shared),
        };
        handle.reconfigure(receivers);
        let now = (handle.shared.clock)();
        // A restart is a good moment to try again, whatever the waiting time was.
        handle.enqueue(entries.into_iter().map(|entry| Entry {
            next_at: entry.next_at.min(now),
            ..entry
        }));
        let runner = Runner {
            handle: handle.clone(),
        };
        Ok((handle, runner))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock()
    }

    /// Replaces the receivers after a reload. Entries of a receiver that is gone wait until they expire.
    pub fn reconfigure(&self, receivers: Vec<Receiver>) {
        let mut state = self.state();
        for receiver in &receivers {
            let name = receiver.name.clone();
            let stats = state.stats.entry(name.clone()).or_default();
            stats.name = name;
        }
        state.receivers = receivers;
        drop(state);
        self.shared.wake.notify_one();
    }

    /// Looks for due entries now: the wall clock was set.
    pub fn look_around(&self) {
        self.shared.wake.notify_one();
    }

    /// The wall clock went back: what waits is due so much earlier.
    pub fn set_back(&self, by: Duration) {
        for entry in self.state().entries.values_mut() {
            entry.next_at = entry.next_at - by;
        }
        self.look_around();
    }

    /// The outbox entries a request becomes: one per receiver whose matchers it fits.
    ///
    /// Commit them with the alert's transition, then call [`Deliveries::enqueue`].
    #[must_use]
    pub fn route(&self, request: &RetrainRequest) -> Vec<Entry> {
        let now = (self.shared.clock)();
        let state = self.state();
        let wanting = state
            .receivers
            .iter()
            .filter(|receiver| receiver.wants(request));
        wanting
            .map(|receiver| Entry::new(&receiver.name, request.clone(), now, receiver.expiry))
            .collect()
    }

    /// Starts delivering entries that are in the outbox already.
    pub fn enqueue(&self, entries: impl IntoIterator<Item = Entry>) {
        let mut state = self.state();
        for entry in entries {
            state.entries.entry(entry.key()).or_insert(entry);
        }
        drop(state);
        self.shared.wake.notify_one();
    }

    /// Routes a request, remembers it in the outbox and starts delivering it. Gives the number of receivers.
    ///
    /// # Errors
    /// When the outbox refuses it: it is not remembered.
    pub async fn submit(&self, request: &RetrainRequest) -> Result<usize, Error> {
        let entries = self.route(request);
        let count = entries.len();
        let outbox = Arc::clone(&self.shared.outbox);
        let put = blocking(move || {
            let mut fresh = Vec::new();
            for entry in entries {
                if outbox.put(&entry)? {
                    fresh.push(entry);
                }
            }
            Ok(fresh)
        });
        self.enqueue(put.await?);
        Ok(count)
    }

    /// Every entry, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Entry> {
        let mut all: Vec<Entry> = self.state().entries.values().cloned().collect();
        all.sort_by_key(|entry| entry.created_at);
        all
    }

    /// Tries an entry again now, dead ones included. `false` when there is none with this key.
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
        self.shared.wake.notify_one();
        Ok(true)
    }

    /// Forgets an entry. `false` when there is none with this key.
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
            let of_receiver = state
                .entries
                .values()
                .filter(|e| e.receiver == name && e.phase == phase);
            of_receiver.count()
        };
        let all = state.stats.values().cloned();
        all.map(|stats| ReceiverStats {
            waiting: count(&stats.name, Phase::Waiting),
            dead: count(&stats.name, Phase::Dead),
            ..stats
        })
        .collect()
    }
}

/// Runs what may wait for a disk where it holds nobody up.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::Store(format!("the outbox failed: {error}"))))
}

impl Deliveries {
    /// When the next attempt is due, `None` when nothing waits; for the status page.
    #[must_use]
    pub fn next_attempt(&self) -> Option<Timestamp> {
        let state = self.state();
        let waiting = state
            .entries
            .values()
            .filter(|entry| entry.phase == Phase::Waiting);
        waiting.map(|entry| entry.next_at).min()
    }
}
