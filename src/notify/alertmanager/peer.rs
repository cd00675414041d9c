//! The loop of one Alertmanager.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::alert::Alert;

use super::super::{Backoff, Clock, Error, Method, Request};
use super::queue::{Item, Pushed, Queue};
use super::stats::{Counters, Stats, add, get, redacted};
use super::{PeerSettings, Settings, payload};

/// First and longest wait between attempts. The longest is well inside the lease of a firing alert.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

pub(super) struct Peer {
    pub(super) settings: PeerSettings,
    /// The discovered URL this peer's address came from.
    pub(super) origin: Option<String>,
    queue: Arc<Mutex<Queue>>,
    counters: Arc<Counters>,
    wake: Arc<Notify>,
    busy: AtomicBool,
    /// A peer with newer settings took the queue over.
    superseded: AtomicBool,
    /// Held while posting, so that a successor never overtakes its predecessor.
    posting: Arc<tokio::sync::Mutex<()>>,
    /// Which settings it was made from.
    pub(super) generation: u64,
    capacity: usize,
    batch: usize,
    grace: Duration,
    clock: Clock,
    target: Arc<str>,
}

/// How a batch ended.
enum Sent {
    All,
    /// What is left was given back; wait before the next attempt.
    Later(Option<Duration>),
}

impl Peer {
    pub(super) fn new(
        settings: PeerSettings,
        origin: Option<String>,
        (all, generation): (&Settings, u64),
        before: Option<&Self>,
    ) -> Self {
        if let Some(before) = before {
            before.superseded.store(true, Ordering::Release);
        }
        let capacity = before.map_or(all.capacity, |peer| peer.capacity);
        let target = format!("{}/api/v2/alerts", settings.url.trim_end_matches('/'));
        Self {
            settings,
            origin,
            queue: before.map_or_else(
                || Arc::new(Mutex::new(Queue::new(capacity))),
                |peer| Arc::clone(&peer.queue),
            ),
            counters: before.map_or_else(Arc::default, |peer| Arc::clone(&peer.counters)),
            wake: before.map_or_else(Arc::default, |peer| Arc::clone(&peer.wake)),
            busy: AtomicBool::new(false),
            superseded: AtomicBool::new(false),
            posting: before.map_or_else(Arc::default, |peer| Arc::clone(&peer.posting)),
            generation,
            capacity,
            batch: all.batch.max(1),
            grace: all.grace,
            clock: Arc::clone(&all.clock),
            target: target.into(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock()
    }

    pub(super) fn push(&self, item: Item) {
        match self.queue().push(item) {
            Pushed::Queued => {}
            Pushed::Coalesced => add(&self.counters.coalesced, 1),
            Pushed::Overflowed => add(&self.counters.dropped, 1),
        }
    }

    /// Counts an alert that is not fit to be sent.
    pub(super) fn refuse(&self, alert: &Alert) {
        add(&self.counters.dropped, 1);
        self.counters
            .set_error(Some(format!("{alert} cannot be sent: it has no labels")));
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            url: redacted(&self.settings.url),
            sent: get(&self.counters.sent),
            failed: get(&self.counters.failed),
            dropped: get(&self.counters.dropped),
            coalesced: get(&self.counters.coalesced),
            queue_length: self.queue().len(),
            queue_capacity: self.capacity,
            last_error: self.counters.error(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queue().len() == 0 && !self.busy.load(Ordering::Acquire)
    }

    /// Posts what is queued until `stop`, then what is left within the grace period.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        while !stop.is_cancelled() {
            if self.queue().len() == 0 {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = self.wake.notified() => continue,
                }
            }
            match self.next_batch(None).await {
                Sent::All => backoff.reset(),
                Sent::Later(asked) => {
                    let wait = backoff.after_failure(asked);
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = sleep(wait) => {}
                    }
                }
            }
        }
        if !self.superseded.load(Ordering::Acquire) {
            self.drain(Instant::now() + self.grace).await;
        }
    }

    async fn drain(&self, deadline: Instant) {
        let mut backoff = Backoff::new(BACKOFF.0, self.grace / 4);
        while self.queue().len() > 0 && Instant::now() < deadline {
            if let Sent::Later(_) = self.next_batch(Some(deadline)).await {
                let again = Instant::now() + backoff.after_failure(None);
                sleep_until(again.min(deadline)).await;
            }
        }
        let left = self.queue().len();
        if left > 0 {
            tracing::warn!(alertmanager = %redacted(&self.settings.url), left, "stopping with alerts unsent");
        }
    }

    async fn next_batch(&self, deadline: Option<Instant>) -> Sent {
        let _turn = self.posting.lock().await;
        self.busy.store(true, Ordering::Release);
        let batch = self.queue().take(self.batch);
        let sent = self.post(batch, deadline).await;
        self.busy.store(false, Ordering::Release);
        sent
    }

    /// Posts a batch; a batch that is refused for what is in it is halved until the alert at fault is found.
    async fn post(&self, batch: Vec<Item>, deadline: Option<Instant>) -> Sent {
        let mut parts = vec![batch];
        while let Some(mut part) = parts.pop() {
            let Err(error) = self.attempt(&part, deadline).await else {
                add(&self.counters.sent, part.len());
                self.counters.set_error(None);
                continue;
            };
            add(&self.counters.failed, part.len());
            self.counters.set_error(Some(error.to_string()));
            if !is_about_the_content(&error) {
                self.report(&error, part.len());
                let rest: Vec<Item> = parts.into_iter().rev().flatten().collect();
                part.extend(rest);
                let lost = self.queue().give_back(part);
                add(&self.counters.dropped, lost);
                return Sent::Later(error.retry_after());
            }
            if let [only] = part.as_slice() {
                add(&self.counters.dropped, 1);
                tracing::error!(alertmanager = %redacted(&self.settings.url), alert = %only.labels, %error, "alertmanager refuses this alert");
                continue;
            }
            let second = part.split_off(part.len() / 2);
            parts.push(second);
            parts.push(part);
        }
        Sent::All
    }

    fn report(&self, error: &Error, alerts: usize) {
        tracing::warn!(alertmanager = %redacted(&self.settings.url), alerts, %error, "alerts not delivered, will try again");
    }

    async fn attempt(&self, items: &[Item], deadline: Option<Instant>) -> Result<(), Error> {
        let request = Request {
            method: Method::Post,
            url: Arc::clone(&self.target),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: payload::body(items),
            timeout: self.settings.timeout,
        };
        // The transport keeps the time-out too; this one holds whatever the transport does.
        let until = Instant::now() + self.settings.timeout;
        let until = deadline.map_or(until, |deadline| deadline.min(until));
        let answer = timeout_at(until, self.settings.transport.send(request)).await;
        let answer = answer.unwrap_or(Err(super::super::TransportError::Timeout(
            self.settings.timeout,
        )))?;
        Error::check(&answer, (self.clock)())
    }
}

/// Whether a smaller batch can succeed. Other refusals (401, 403, 404…) are about the request: the alerts wait.
fn is_about_the_content(error: &Error) -> bool {
    matches!(
        error,
        Error::Status {
            status: 400 | 413 | 422,
            ..
        }
    )
}
