//! Decides and remembers in one step: nobody is told of what is not on the disk.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::decision::{Decided, decide};
use super::message::Notification;
use crate::config::relay::Relay;
use crate::notify::retrain::{Deliveries, Entry, Gates};
use crate::runtime::clock;
use crate::state::{Batch, Error, Kind, Store, StoreOutbox};

/// The one record of all gates of a relay.
const GATES: &str = "relay";
/// Most gates; more series than that are no models.
const MOST_GATES: usize = 10_000;
/// How long a notification waits for the disk. Alertmanager gives up a little later.
const PATIENCE: Duration = Duration::from_secs(5);

/// The settings in force and the gates; one notification at a time.
#[derive(Debug)]
struct Book {
    relay: Arc<Relay>,
    gates: Gates,
}

/// What a relay knows and where it is kept. Cloning shares everything.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    book: Arc<Mutex<Book>>,
    store: Arc<Store>,
    deliveries: Deliveries,
}

impl Ledger {
    /// Continues from what the store holds.
    pub(super) fn new(relay: Arc<Relay>, store: Arc<Store>, deliveries: Deliveries) -> Self {
        let gates: Gates = store.get(Kind::Gates, GATES).unwrap_or_default();
        info!(gates = gates.len(), "continuing from the store");
        Self {
            book: Arc::new(Mutex::new(Book { relay, gates })),
            store,
            deliveries,
        }
    }

    /// Other settings after a reload; the gates stay.
    pub(super) async fn reconfigure(&self, relay: Arc<Relay>) {
        self.book.lock().await.relay = relay;
    }

    /// The settings in force, and one line for each series that cools down.
    pub(super) async fn describe(&self) -> Vec<String> {
        let book = self.book.lock().await;
        let at = clock::now();
        let gates = book.gates.iter();
        let lines = gates.filter_map(|(key, gate)| {
            let last = gate.last_request()?;
            let state = gate.in_flight().map_or("cooling down", |_| "under way");
            let ago = crate::metric::format_duration(Duration::from_secs(at.since(last).as_secs()));
            Some(format!(
                "{state}, asked {ago} ago: {} {}",
                key.rule, key.series
            ))
        });
        lines.collect()
    }

    /// Decides about a notification. When this returns `Ok`, everything that it asks for is on the disk.
    ///
    /// # Errors
    /// Why it is not; nothing was decided then, and the sender has to try again.
    pub(super) async fn take(&self, notification: Notification) -> Result<Decided, String> {
        let this = self.clone();
        let work = async move {
            let book = Arc::clone(&this.book).lock_owned().await;
            let work = spawn_blocking(move || this.decide(book, &notification));
            work.await
                .unwrap_or_else(|error| Err(format!("the decision failed: {error}")))
        };
        let decided = timeout(PATIENCE, work).await;
        decided.unwrap_or_else(|_| Err("the disk takes too long".to_owned()))
    }

    fn decide(
        &self,
        mut book: OwnedMutexGuard<Book>,
        notification: &Notification,
    ) -> Result<Decided, String> {
        let at = clock::now();
        let relay = Arc::clone(&book.relay);
        let mut gates = book.gates.clone();
        let longest = relay.asks.iter().map(|ask| ask.cooldown).max();
        let longest = longest.unwrap_or_default();
        let flight = relay.retraining.in_flight_timeout.unwrap_or(longest);
        gates.forget(longest, flight, at);
        let decided = decide(&relay, &mut gates, notification, at);
        if gates.len() > MOST_GATES {
            return Err(format!("more than {MOST_GATES} series have asked lately"));
        }
        let entries = self.entries(&decided)?;
        let is_worth = !decided.requests.is_empty() || !decided.done.is_empty();
        // A dry run is not worth a wait, but its cool-down should survive a stop.
        if gates != book.gates {
            self.commit(&book.gates, &gates, &entries, !is_worth)?;
            book.gates = gates;
        }
        self.deliveries.enqueue(entries);
        Ok(decided)
    }

    /// What has to be in the outbox for these requests.
    fn entries(&self, decided: &Decided) -> Result<Vec<Entry>, String> {
        let mut entries = Vec::new();
        for request in &decided.requests {
            let routed = self.deliveries.route(request);
            let (id, rule, model) = (&request.id, &request.rule, &request.model_id);
            if routed.is_empty() {
                warn!(id, rule, model, "no receiver wants this request");
            } else {
                info!(
                    id,
                    rule,
                    model,
                    receivers = routed.len(),
                    "asking for retraining"
                );
            }
            entries.extend(routed);
        }
        entries.retain(|entry| !self.store.contains(Kind::Outbox, &entry.key()));
        if !entries.is_empty()
            && self.store.count(Kind::Outbox) + entries.len() > StoreOutbox::CAPACITY
        {
            return Err(format!(
                "the outbox is full with {} requests",
                StoreOutbox::CAPACITY
            ));
        }
        Ok(entries)
    }

    fn commit(
        &self,
        before: &Gates,
        gates: &Gates,
        entries: &[Entry],
        lazy: bool,
    ) -> Result<(), String> {
        let mut batch = if lazy { Batch::lazy() } else { Batch::new() };
        let filled = batch.put(Kind::Gates, GATES, gates).map(|_| ());
        let filled = filled.and_then(|()| {
            entries
                .iter()
                .try_for_each(|entry| batch.put_entry(entry).map(|_| ()))
        });
        let committed = filled.and_then(|()| self.store.commit(batch));
        committed.map_err(|error| {
            if let Err(error) = self.undo(before, entries) {
                debug!(%error, "not undone on the disk; in memory it is");
            }
            format!("the request is not on the disk: {error}")
        })
    }

    /// A failed commit is in the store's memory all the same; the sender tries again, so it must not stay there.
    fn undo(&self, before: &Gates, entries: &[Entry]) -> Result<(), Error> {
        let mut batch = Batch::lazy();
        batch.put(Kind::Gates, GATES, before)?;
        for entry in entries {
            batch.delete(Kind::Outbox, &entry.key());
        }
        self.store.commit(batch)
    }

    /// A retraining is over; the answer says whether it was under way.
    pub(super) async fn done(&self, id: &str) -> bool {
        let mut book = Arc::clone(&self.book).lock_owned().await;
        let (this, id) = (self.clone(), id.to_owned());
        let work = spawn_blocking(move || {
            let before = book.gates.clone();
            let known = book.gates.done(&id).is_some();
            if known && let Err(error) = this.commit(&before, &book.gates.clone(), &[], false) {
                warn!(%error, "that the retraining is over may be forgotten by a restart");
            }
            known
        });
        work.await.unwrap_or(false)
    }
}
