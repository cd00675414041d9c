//! One Alertmanager: its queue and the loop that posts from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::alert::{Alert, AlertState};
use crate::metric::Timestamp;
use crate::runtime::http::bare_url;

use super::super::{Backoff, Error, relabel};
use super::ledger::Ledger;
use super::payload::{self, Relabelled, TimeCache};
use super::queue::{Item, Pushed, Queue};
use super::settings::{PeerSettings, Settings};
use super::stats::{Counters, Stats, add, get};

/// Upper bound of the delay after the first failure.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// Upper bound of the delay after many failures; well below the time after which a firing alert
/// resolves by itself.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

pub(super) struct Peer {
    pub(super) settings: PeerSettings,
    /// The discovered URL this peer's address came from.
    pub(super) origin: Option<String>,
    queue: Arc<Mutex<Queue>>,
    ledger: Arc<Mutex<Ledger>>,
    counters: Arc<Counters>,
    wake: Arc<Notify>,
    busy: AtomicBool,
    /// A peer with newer settings has taken over the queue.
    superseded: AtomicBool,
    /// Held while posting: a successor waits for its predecessor.
    posting: Arc<tokio::sync::Mutex<()>>,
    /// The generation of the settings that it was made from.
    pub(super) generation: u64,
    capacity: usize,
    batch: usize,
    grace: Duration,
    /// The address to post to.
    target: String,
}

/// The outcome of posting a batch.
enum BatchOutcome {
    Done,
    /// Unsent alerts are back in the queue. Retry later; the receiver may ask for a delay.
    Retry(Option<Duration>),
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
            ledger: before.map_or_else(Arc::default, |peer| Arc::clone(&peer.ledger)),
            counters: before.map_or_else(Arc::default, |peer| Arc::clone(&peer.counters)),
            wake: before.map_or_else(Arc::default, |peer| Arc::clone(&peer.wake)),
            busy: AtomicBool::new(false),
            superseded: AtomicBool::new(false),
            posting: before.map_or_else(Arc::default, |peer| Arc::clone(&peer.posting)),
            generation,
            capacity,
            batch: all.batch.max(1),
            grace: all.grace,
            target,
        }
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock()
    }

    /// Queues the alerts of a batch that concern this peer.
    pub(super) fn push_batch(
        &self,
        batch: &[Relabelled<'_>],
        times: &mut TimeCache,
        now: Timestamp,
    ) {
        let own = |labels| relabel::relabel(labels, &self.settings.relabel);
        let (wanted, labelled): (Vec<_>, Vec<_>) = batch
            .iter()
            .filter_map(|one| Some((one, (one.alert, own(&one.labels)?))))
            .unzip();
        let admitted = self.ledger.lock().admit(&labelled, now);
        for ((one, (_, labels)), _) in wanted
            .iter()
            .zip(&labelled)
            .zip(admitted)
            .filter(|(_, is)| *is)
        {
            match one.item(labels, times) {
                Some(item) => self.push(item),
                None => self.reject(one.alert),
            }
        }
    }

    /// Queues the end of each alert that fires under labels which these settings do not give to any
    /// firing alert.
    pub(super) fn relabel(&self, all: &Settings, now: Timestamp) {
        let ended = self.ledger.lock().relabel(now, |origin| {
            relabel::relabel(&all.labels(origin)?, &self.settings.relabel)
        });
        let mut times = TimeCache::default();
        for (labels, alert) in ended {
            let end = Alert {
                state: AlertState::Resolved,
                resolved_at: Some(now),
                ..alert
            };
            if let Some(item) = payload::item(&end, &labels, &mut times) {
                self.push(item);
            }
        }
    }

    fn push(&self, item: Item) {
        match self.queue().push(item) {
            Pushed::Queued => {}
            Pushed::Coalesced => add(&self.counters.coalesced, 1),
            Pushed::Overflowed => add(&self.counters.dropped, 1),
        }
    }

    /// Counts an alert that cannot be sent.
    fn reject(&self, alert: &Alert) {
        add(&self.counters.dropped, 1);
        self.counters
            .set_error(Some(format!("{alert} cannot be sent: it has no labels")));
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            url: bare_url(&self.settings.url),
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

    /// Posts queued alerts until `stop`, then the rest within the grace period.
    pub(super) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut backoff = Backoff::new(FIRST_BACKOFF, MAX_BACKOFF);
        while !stop.is_cancelled() {
            if self.queue().len() == 0 {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = self.wake.notified() => continue,
                }
            }
            match self.next_batch(None).await {
                BatchOutcome::Done => backoff.reset(),
                BatchOutcome::Retry(retry_after) => {
                    let delay = backoff.after_failure(retry_after);
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = sleep(delay) => {}
                    }
                }
            }
        }
        if !self.superseded.load(Ordering::Acquire) {
            self.drain(Instant::now() + self.grace).await;
        }
    }

    async fn drain(&self, deadline: Instant) {
        let mut backoff = Backoff::new(FIRST_BACKOFF, self.grace / 4);
        while self.queue().len() > 0 && Instant::now() < deadline {
            if let BatchOutcome::Retry(_) = self.next_batch(Some(deadline)).await {
                let again = Instant::now() + backoff.after_failure(None);
                sleep_until(again.min(deadline)).await;
            }
        }
        let unsent = self.queue().len();
        if unsent > 0 {
            tracing::warn!(alertmanager = %bare_url(&self.settings.url), unsent, "stopping with unsent alerts");
        }
    }

    async fn next_batch(&self, deadline: Option<Instant>) -> BatchOutcome {
        let _turn = self.posting.lock().await;
        self.busy.store(true, Ordering::Release);
        let batch = self.queue().take(self.batch);
        let sent = self.post(batch, deadline).await;
        self.busy.store(false, Ordering::Release);
        sent
    }

    /// Posts a batch. Halves a batch that is refused for its content until the alert at fault is
    /// found; after every other refusal the alerts wait.
    async fn post(&self, batch: Vec<Item>, deadline: Option<Instant>) -> BatchOutcome {
        let mut parts = vec![batch];
        while let Some(mut part) = parts.pop() {
            let Err(error) = self.attempt(&part, deadline).await else {
                add(&self.counters.sent, part.len());
                self.counters.set_error(None);
                continue;
            };
            add(&self.counters.failed, part.len());
            self.counters.set_error(Some(error.to_string()));
            if !error.is_about_content() {
                self.report(&error, part.len());
                let rest: Vec<Item> = parts.into_iter().rev().flatten().collect();
                part.extend(rest);
                let dropped = self.queue().requeue(part);
                add(&self.counters.dropped, dropped);
                return BatchOutcome::Retry(error.retry_after());
            }
            if let [only] = part.as_slice() {
                add(&self.counters.dropped, 1);
                tracing::error!(alertmanager = %bare_url(&self.settings.url), alert = %only.labels, %error, "alertmanager refused this alert");
                continue;
            }
            let second = part.split_off(part.len() / 2);
            parts.push(second);
            parts.push(part);
        }
        BatchOutcome::Done
    }

    fn report(&self, error: &Error, alerts: usize) {
        tracing::warn!(alertmanager = %bare_url(&self.settings.url), alerts, %error, "alerts not delivered; will retry");
    }

    async fn attempt(&self, items: &[Item], deadline: Option<Instant>) -> Result<(), Error> {
        let left = deadline.map_or(Duration::MAX, |at| at.duration_since(Instant::now()));
        let timeout = self.settings.timeout.min(left);
        let response = self
            .settings
            .client
            .post_json(&self.target, &[], payload::body(items), timeout)
            .await?;
        Error::check(&response)
    }
}
