//! The loop that delivers outbox entries to their receivers.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::super::{Backoff, Error};
use super::delivery::{Clock, Deliveries, Shared, blocking};
use super::{Entry, Outbox, Phase, Receiver, RetrainRequest};

/// Upper bound of the delay after the first failure.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// Upper bound of the delay after many failures.
const MAX_BACKOFF: Duration = Duration::from_secs(300);
/// Dead entries kept; the oldest are dropped.
const MAX_DEAD: usize = 1000;
/// Time limit of one attempt, whatever the timeout of the notifier is.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest time between two looks at the entries: a jump of the wall clock cannot stall the loop.
const POLL_INTERVAL: Duration = Duration::from_secs(60);

/// One entry and its receiver.
struct Job {
    receiver: Receiver,
    entry: Entry,
}

impl Deliveries {
    /// A handle and the loop that delivers. Entries that are still in the outbox are due at once.
    /// After a stop, the loop delivers for at most `grace`.
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
        // Retry at once after a restart, whatever the backoff was.
        handle.enqueue(entries.into_iter().map(|entry| Entry {
            next_at: entry.next_at.min(now),
            ..entry
        }));
        let runner = Runner {
            handle: handle.clone(),
        };
        Ok((handle, runner))
    }

    /// The due entry of each receiver that is not busy, and the time until the next one is due.
    fn due(&self, busy: &HashSet<String>) -> (Vec<Job>, Duration) {
        let now = (self.shared.clock)();
        let state = self.state();
        let mut wait = POLL_INTERVAL;
        let mut due = Vec::new();
        for receiver in &state.receivers {
            if busy.contains(&receiver.name) {
                continue;
            }
            let next = state
                .entries
                .values()
                .filter(|entry| entry.receiver == receiver.name && entry.phase == Phase::Waiting)
                .min_by_key(|entry| (entry.next_at, entry.created_at));
            let Some(next) = next else {
                continue;
            };
            if next.next_at <= now {
                due.push(Job {
                    receiver: receiver.clone(),
                    entry: next.clone(),
                });
            } else {
                wait = wait.min(next.next_at.since(now));
            }
        }
        (due, wait)
    }

    /// Whether an entry waits for a configured receiver.
    fn has_waiting(&self) -> bool {
        let state = self.state();
        let is_configured = |entry: &Entry| {
            state
                .receivers
                .iter()
                .any(|receiver| receiver.name == entry.receiver)
        };
        state
            .entries
            .values()
            .any(|entry| entry.phase == Phase::Waiting && is_configured(entry))
    }

    /// Marks expired entries as dead.
    async fn expire(&self) {
        let now = (self.shared.clock)();
        let expired: Vec<Entry> = self
            .state()
            .entries
            .values_mut()
            .filter(|entry| entry.phase == Phase::Waiting && entry.expires_at <= now)
            .map(|entry| {
                entry.phase = Phase::Dead;
                entry.clone()
            })
            .collect();
        for entry in expired {
            tracing::error!(
                receiver = %entry.receiver, id = %entry.request.id, attempts = entry.attempts,
                "retraining request expired before it was delivered"
            );
            self.update(entry).await;
        }
    }

    /// Sends one entry once and records the outcome.
    async fn attempt(&self, receiver: &Receiver, mut entry: Entry) {
        let result = notify(receiver, &entry.request).await;
        let now = (self.shared.clock)();
        entry.attempts = entry.attempts.saturating_add(1);
        let Err(error) = result else {
            self.delivered(&entry).await;
            return;
        };
        if error.is_retryable() {
            let wait = backoff(entry.attempts, error.retry_after());
            entry.next_at = now + wait;
            tracing::warn!(
                receiver = %entry.receiver, id = %entry.request.id, attempts = entry.attempts,
                %error, retry_in = ?wait, "retraining request not delivered"
            );
        } else {
            entry.phase = Phase::Dead;
            tracing::error!(
                receiver = %entry.receiver, id = %entry.request.id, %error,
                "retraining request refused"
            );
        }
        entry.last_error = Some(error.to_string());
        {
            let mut state = self.state();
            if let Some(stats) = state.stats.get_mut(&entry.receiver) {
                stats.failed += 1;
                stats.last_error.clone_from(&entry.last_error);
            }
            if let Some(current) = state.entries.get_mut(&entry.key()) {
                current.clone_from(&entry);
            }
        }
        self.update(entry).await;
    }

    /// Removes a delivered entry.
    async fn delivered(&self, entry: &Entry) {
        tracing::info!(
            receiver = %entry.receiver, id = %entry.request.id, attempts = entry.attempts,
            "retraining request delivered"
        );
        let key = entry.key();
        {
            let mut state = self.state();
            state.entries.remove(&key);
            if let Some(stats) = state.stats.get_mut(&entry.receiver) {
                stats.delivered += 1;
                stats.last_error = None;
            }
        }
        let outbox = Arc::clone(&self.shared.outbox);
        if let Err(error) = blocking(move || outbox.remove(&key)).await {
            tracing::warn!(
                %error,
                "cannot remove a delivered request from the outbox; it will be sent again after a restart"
            );
        }
    }

    /// Writes an entry to the outbox; afterwards drops the oldest dead entries above the limit.
    async fn update(&self, entry: Entry) {
        let is_dead = entry.phase == Phase::Dead;
        let outbox = Arc::clone(&self.shared.outbox);
        if let Err(error) = blocking(move || outbox.update(&entry)).await {
            tracing::warn!(%error, "cannot update the outbox");
        }
        if is_dead {
            self.drop_oldest_dead().await;
        }
    }

    /// Drops the oldest dead entries, so that they never fill the outbox.
    async fn drop_oldest_dead(&self) {
        let excess: Vec<String> = {
            let state = self.state();
            let mut dead: Vec<&Entry> = state
                .entries
                .values()
                .filter(|entry| entry.phase == Phase::Dead)
                .collect();
            dead.sort_by_key(|entry| std::cmp::Reverse(entry.created_at));
            dead.iter()
                .skip(MAX_DEAD)
                .map(|entry| entry.key())
                .collect()
        };
        for key in excess {
            if let Err(error) = self.drop_entry(&key).await {
                tracing::warn!(%error, "cannot drop a dead request");
            }
        }
    }
}

/// Calls the notifier; a hang or a panic becomes an error.
async fn notify(receiver: &Receiver, request: &RetrainRequest) -> Result<(), Error> {
    let call = AssertUnwindSafe(receiver.notifier.request(request)).catch_unwind();
    match tokio::time::timeout(ATTEMPT_TIMEOUT, call).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(Error::other("the notifier panicked", true)),
        Err(_) => Err(Error::Timeout(ATTEMPT_TIMEOUT)),
    }
}

/// The delay after this many attempts.
fn backoff(attempts: u32, retry_after: Option<Duration>) -> Duration {
    let mut backoff = Backoff::new(FIRST_BACKOFF, MAX_BACKOFF);
    for _ in 1..attempts.min(20) {
        backoff.after_failure(None);
    }
    backoff.after_failure(retry_after)
}

/// The loop that delivers; run it once.
#[derive(Debug)]
pub struct Runner {
    handle: Deliveries,
}

impl Runner {
    /// Delivers until `stop`, then whatever is due within the grace period. The rest stays in the
    /// outbox.
    pub async fn run(self, stop: CancellationToken) {
        let mut running: JoinSet<String> = JoinSet::new();
        let mut busy: HashSet<String> = HashSet::new();
        let mut deadline: Option<Instant> = None;
        loop {
            self.handle.expire().await;
            let (due, wait) = self.handle.due(&busy);
            for Job { receiver, entry } in due {
                busy.insert(receiver.name.clone());
                let handle = self.handle.clone();
                running.spawn(async move {
                    handle.attempt(&receiver, entry).await;
                    receiver.name
                });
            }
            let finished = busy.is_empty() && !self.handle.has_waiting();
            if deadline.is_some_and(|deadline| finished || Instant::now() >= deadline) {
                break;
            }
            let until = deadline.unwrap_or_else(|| Instant::now() + POLL_INTERVAL);
            tokio::select! {
                () = stop.cancelled(), if deadline.is_none() => {
                    deadline = Some(Instant::now() + self.handle.shared.grace);
                }
                () = self.handle.shared.wake.notified() => {}
                () = sleep(wait) => {}
                () = sleep_until(until) => {}
                Some(ended) = running.join_next(), if !running.is_empty() => match ended {
                    Ok(name) => {
                        busy.remove(&name);
                    }
                    Err(error) => {
                        tracing::error!(%error, "a delivery task failed; its request will be retried");
                        busy.clear();
                    }
                },
            }
        }
        running.shutdown().await;
    }
}
