//! Takes requests from the outbox to their receivers until they arrive, are refused or expire.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::metric::{Matcher, Timestamp};

use super::super::{Backoff, Clock, Error, TransportError};
use super::{Entry, Outbox, Phase, RetrainRequest, RetrainingNotifier};

/// First and longest wait between attempts.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// Longest time for one attempt, whatever a notifier's own time-out is.
const LONGEST: Duration = Duration::from_secs(300);
/// The loop looks around at least this often, so that a jump of the wall clock cannot stall it.
const LOOK_AROUND: Duration = Duration::from_secs(60);

/// Someone who is asked to retrain.
#[derive(Clone)]
pub struct Receiver {
    /// Unique name; entries of the outbox carry it.
    pub name: String,
    /// The request's labels must match all of them; `model_id`, `model_version` and `rule` count as labels.
    pub matchers: Vec<Matcher>,
    /// Asks.
    pub notifier: Arc<dyn RetrainingNotifier>,
    /// How long it is tried.
    pub expiry: Duration,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("name", &self.name)
            .field("matchers", &self.matchers)
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}

impl Receiver {
    fn wants(&self, request: &RetrainRequest) -> bool {
        self.matchers.iter().all(|matcher| {
            let value = match matcher.name() {
                "model_id" => request.model_id.as_str(),
                "model_version" => request.model_version.as_str(),
                "rule" => request.rule.as_str(),
                name => request.labels.get(name).unwrap_or(""),
            };
            matcher.matches(value)
        })
    }
}

/// The counters of one receiver at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceiverStats {
    /// The receiver's name.
    pub name: String,
    /// Requests that arrived.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Requests that wait.
    pub waiting: usize,
    /// Requests that expired or were refused and are still kept.
    pub dead: usize,
    /// The last failure, `None` after a success.
    pub last_error: Option<String>,
}

/// The handle requests are given to. Cloning shares everything.
#[derive(Clone)]
pub struct Deliveries {
    shared: Arc<Shared>,
}

struct Shared {
    outbox: Arc<dyn Outbox>,
    clock: Clock,
    grace: Duration,
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    receivers: Vec<Receiver>,
    entries: BTreeMap<String, Entry>,
    stats: BTreeMap<String, ReceiverStats>,
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
        let outbox = Arc::clone(&self.shared.outbox);
        if let Err(error) = blocking(move || outbox.update(&entry)).await {
            tracing::warn!(%error, "the outbox cannot be updated");
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

/// Runs what may wait for a disk where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::Store(format!("the outbox failed: {error}"))))
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
    handle: Deliveries,
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
