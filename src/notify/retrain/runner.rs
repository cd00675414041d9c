//! The loop that takes requests from the outbox to their receivers.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::super::{Backoff, Error, TransportError};
use super::delivery::blocking;
use super::{Deliveries, Entry, Phase, Receiver, RetrainRequest};

/// First and longest wait between attempts.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// Most dead entries kept; the oldest are dropped.
const MOST_DEAD: usize = 1000;
/// Longest time for one attempt, whatever a notifier's own time-out is.
const LONGEST: Duration = Duration::from_secs(300);
/// The loop looks around at least this often, so that a jump of the wall clock cannot stall it.
const LOOK_AROUND: Duration = Duration::from_secs(60);

impl Deliveries {
    /// The next entry of each receiver that is not busy, and when to look again.
    fn due(&self, busy: &HashSet<String>) -> (Vec<Job>, Duration) {
        let now = (self.shared.clock)();
        let state = self.state();
        let mut wait = LOOK_AROUND;
        let mut due = Vec::new();
        for receiver in &state.receivers {
            if busy.contains(&receiver.name) {
                continue;
            }
            let waiting = state
                .entries
                .values()
                .filter(|entry| entry.receiver == receiver.name && entry.phase == Phase::Waiting);
            let Some(next) = waiting.min_by_key(|entry| (entry.next_at, entry.created_at)) else {
                continue;
            };
            if next.next_at <= now {
                due.push((receiver.clone(), next.clone()));
            } else {
                wait = wait.min(next.next_at.since(now));
            }
        }
        (due, wait)
    }

    /// Whether something could be delivered right now.
    fn has_waiting(&self) -> bool {
        let state = self.state();
        let waiting = |entry: &Entry| {
            let known = state
                .receivers
                .iter()
                .any(|receiver| receiver.name == entry.receiver);
            entry.phase == Phase::Waiting && known
        };
        state.entries.values().any(waiting)
    }

    /// Ends the entries whose time is over.
    async fn expire(&self) {
        let now = (self.shared.clock)();
        let expired: Vec<Entry> = {
            let mut state = self.state();
            let old = state
                .entries
                .values_mut()
                .filter(|entry| entry.phase == Phase::Waiting && entry.expires_at <= now);
            old.map(|entry| {
                entry.phase = Phase::Dead;
                entry.clone()
            })
            .collect()
        };
        for entry in expired {
            tracing::error!(receiver = %entry.receiver, id = %entry.request.id, attempts = entry.attempts, "retraining request expired undelivered");
            self.write(entry).await;
        }
    }

    /// Asks one receiver once and writes down what came of it.
    async fn attempt(&self, receiver: &Receiver, mut entry: Entry) {
        let result = ask(receiver, &entry.request).await;
        let now = (self.shared.clock)();
        entry.attempts = entry.attempts.saturating_add(1);
        let Err(error) = result else {
            self.arrived(&entry).await;
            return;
        };
        if error.is_retryable() {
            let wait = backoff(entry.attempts, error.retry_after());
            entry.next_at = now + wait;
            tracing::warn!(receiver = %entry.receiver, id = %entry.request.id, attempts = entry.attempts, %error, retry_in = ?wait, "retraining request not delivered");
        } else {
            entry.phase = Phase::Dead;
            tracing::error!(receiver = %entry.receiver, id = %entry.request.id, %error, "retraining request refused");
        }
        entry.last_error = Some(error.to_string());
        {
            let mut state = self.state();
            if let Some(stats) = state.stats.get_mut(&entry.receiver) {
                stats.failed += 1;
                stats.last_error.clone_from(&entry.last_error);
            }
            if let Some(known) = state.entries.get_mut(&entry.key()) {
                known.clone_from(&entry);
            }
        }
        self.write(entry).await;
    }

    async fn arrived(&self, entry: &Entry) {
        tracing::info!(receiver = %entry.receiver, id = %entry.request.id, attempts = entry.attempts, "retraining request delivered");
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
            tracing::warn!(%error, "a delivered request stays in the outbox and will be sent again after a restart");
        }
    }

    async fn write(&self, entry: Entry) {
        let dead = entry.phase == Phase::Dead;
        let outbox = Arc::clone(&self.shared.outbox);
        if let Err(error) = blocking(move || outbox.update(&entry)).await {
            tracing::warn!(%error, "the outbox cannot be updated");
        }
        if dead {
            self.bury().await;
        }
    }

    /// Forgets the oldest dead entries, so that they never keep new ones out.
    async fn bury(&self) {
        let buried: Vec<String> = {
            let state = self.state();
            let mut dead: Vec<&Entry> = state
                .entries
                .values()
                .filter(|e| e.phase == Phase::Dead)
                .collect();
            dead.sort_by_key(|entry| std::cmp::Reverse(entry.created_at));
            dead.iter()
                .skip(MOST_DEAD)
                .map(|entry| entry.key())
                .collect()
        };
        for key in buried {
            if let Err(error) = self.drop_entry(&key).await {
                tracing::warn!(%error, "a dead request cannot be dropped");
            }
        }
    }
}

/// Asks, and survives a notifier that hangs or panics.
async fn ask(receiver: &Receiver, request: &RetrainRequest) -> Result<(), Error> {
    let asking = AssertUnwindSafe(receiver.notifier.request(request)).catch_unwind();
    match tokio::time::timeout(LONGEST, asking).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(Error::other("the notifier panicked", true)),
        Err(_) => Err(TransportError::Timeout(LONGEST).into()),
    }
}

fn backoff(attempts: u32, asked: Option<Duration>) -> Duration {
    let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
    for _ in 1..attempts.min(20) {
        backoff.after_failure(None);
    }
    backoff.after_failure(asked)
}

/// One entry and who gets it.
type Job = (Receiver, Entry);

/// The loop that delivers; run it once.
#[derive(Debug)]
pub struct Runner {
    pub(super) handle: Deliveries,
}

impl Runner {
    /// Delivers until `stop`, then what is due within the grace period. The rest stays in the outbox.
    pub async fn run(self, stop: CancellationToken) {
        let mut running: JoinSet<String> = JoinSet::new();
        let mut busy: HashSet<String> = HashSet::new();
        let mut deadline: Option<Instant> = None;
        loop {
            self.handle.expire().await;
            let (due, wait) = self.handle.due(&busy);
            for (receiver, entry) in due {
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
            let until = deadline.unwrap_or_else(|| Instant::now() + LOOK_AROUND);
            tokio::select! {
                () = stop.cancelled(), if deadline.is_none() => deadline = Some(Instant::now() + self.handle.shared.grace),
                () = self.handle.shared.wake.notified() => {}
                () = sleep(wait) => {}
                () = sleep_until(until) => {}
                Some(ended) = running.join_next(), if !running.is_empty() => match ended {
                    Ok(name) => {
                        busy.remove(&name);
                    }
                    Err(error) => {
                        tracing::error!(%error, "a delivery ended badly; it is tried again");
                        busy.clear();
                    }
                },
            }
        }
        running.shutdown().await;
    }
}
