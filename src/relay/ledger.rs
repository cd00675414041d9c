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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{GATES, Ledger};
    use crate::config::relay::read_relay;
    use crate::metric::Labels;
    use crate::notify::LogNotifier;
    use crate::notify::retrain::{Deliveries, Gates, Outbox as _, Receiver};
    use crate::relay::{Notification, Received};
    use crate::runtime::clock;
    use crate::state::{Kind, Store, StoreOutbox};

    fn ledger(store: &Arc<Store>) -> Ledger {
        let text = "retrain: [{matchers: ['retrain=true']}]\nretraining: {webhooks: [{url: 'http://x'}]}\n";
        let relay = read_relay("relay.yaml", text, &|_| None).unwrap();
        let receiver = Receiver {
            name: "log".to_owned(),
            matchers: Vec::new(),
            notifier: Arc::new(LogNotifier),
            expiry: Duration::from_secs(3600),
        };
        let outbox = Arc::new(StoreOutbox::new(Arc::clone(store)));
        let clock = Arc::new(clock::now);
        let (deliveries, _) =
            Deliveries::new(vec![receiver], outbox, clock, Duration::ZERO).unwrap();
        Ledger::new(Arc::new(relay), Arc::clone(store), deliveries)
    }

    fn notification() -> Notification {
        let labels = [
            ("alertname", "Drift"),
            ("model_id", "m"),
            ("retrain", "true"),
        ];
        Notification {
            alerts: vec![Received {
                firing: true,
                labels: Labels::new(labels),
                annotations: Labels::empty(),
                starts_at: clock::now(),
                generator_url: String::new(),
            }],
            ..Notification::default()
        }
    }

    #[tokio::test]
    async fn what_is_not_on_the_disk_was_not_decided() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), clock::now()).unwrap();
        let store = Arc::new(store);
        let broken = ledger(&store);
        store.close().unwrap();
        let error = broken.take(notification()).await.unwrap_err();
        assert!(error.contains("not on the disk"), "{error}");
        assert!(broken.deliveries.list().is_empty());
        assert!(broken.describe().await.is_empty());
        // Not in memory either, so that a later commit cannot bring it back.
        assert!(!store.contains(Kind::Outbox, "log"));
        assert_eq!(store.count(Kind::Outbox), 0);

        let (store, _) = Store::open(dir.path(), clock::now()).unwrap();
        let store = Arc::new(store);
        let mended = ledger(&store);
        let decided = mended.take(notification()).await.unwrap();
        assert_eq!(decided.requests.len(), 1);
        // Answered means on the disk: another life finds both.
        drop((mended, broken));
        store.close().unwrap();
        let (store, _) = Store::open(dir.path(), clock::now()).unwrap();
        let store = Arc::new(store);
        assert_eq!(
            StoreOutbox::new(Arc::clone(&store)).list().unwrap().len(),
            1
        );
        assert_eq!(store.get::<Gates>(Kind::Gates, GATES).unwrap().len(), 1);
        let again = ledger(&store).take(notification()).await.unwrap();
        assert!(again.requests.is_empty());
    }

    #[tokio::test]
    async fn a_retraining_reported_done_is_no_longer_under_way() {
        let store = Arc::new(Store::in_memory());
        let ledger = ledger(&store);
        let id = ledger.take(notification()).await.unwrap().requests[0]
            .id
            .clone();
        assert!(!ledger.done("somebody else's").await);
        assert!(ledger.done(&id).await);
        assert!(!ledger.done(&id).await);
        assert!(ledger.describe().await[0].starts_with("cooling down"));
    }
}
