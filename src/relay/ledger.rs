//! Makes decisions and commits them to the store in one step, so that no request is sent before it
//! is on disk.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

use super::decision::{Decisions, Ends, decide};
use super::message::Received;
use crate::config::relay::Relay;
use crate::metric::format_duration;
use crate::notify::retrain::{Deliveries, Entry, Gates};
use crate::runtime::clock;
use crate::state::{Batch, Error, Kind, Store, StoreOutbox};

/// Name of the record that holds all gates of a relay.
const GATES: &str = "relay";
/// How long alerts may wait for other notifications, the decision and the disk. It is shorter than the
/// timeout of Alertmanager.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The current settings and the gates. The lock admits one notification at a time.
#[derive(Debug)]
struct LedgerState {
    relay: Arc<Relay>,
    gates: Gates,
}

/// What is decided, and not on disk yet. It holds the lock.
struct Draft {
    state: OwnedMutexGuard<LedgerState>,
    gates: Gates,
    entries: Vec<Entry>,
    is_lazy: bool,
    decided: (Decisions, Ends),
}

/// The state of a relay and its store. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    state: Arc<Mutex<LedgerState>>,
    store: Arc<Store>,
    deliveries: Deliveries,
}

impl Ledger {
    /// A ledger with the gates that the store holds.
    pub(super) fn new(relay: Arc<Relay>, store: Arc<Store>, deliveries: Deliveries) -> Self {
        let gates: Gates = store.get(Kind::Gates, GATES).unwrap_or_default();
        let gates = gates.restored();
        info!(gates = gates.len(), "restored from the store");
        Self {
            state: Arc::new(Mutex::new(LedgerState { relay, gates })),
            store,
            deliveries,
        }
    }

    /// Replaces the settings after a reload. The gates stay.
    pub(super) async fn reconfigure(&self, relay: Arc<Relay>) {
        self.state.lock().await.relay = relay;
    }

    /// One line for each series with a recent request.
    pub(super) async fn describe(&self) -> Vec<String> {
        let state = self.state.lock().await;
        let at = clock::now();
        state
            .gates
            .iter()
            .filter_map(|(key, gate)| {
                let elapsed = at.since(gate.last_request()?);
                let ago = format_duration(Duration::from_secs(elapsed.as_secs()));
                let status = gate.in_flight().map_or("cooling down", |_| "in flight");
                Some(format!(
                    "{status}, requested {ago} ago: {} {}",
                    key.rule, key.series
                ))
            })
            .collect()
    }

    /// Decides about alerts of a notification, `is_last` with all others of it decided. `Ok` means that
    /// all their requests are on disk.
    ///
    /// # Errors
    /// Why the requests are not on disk. The sender has to retry.
    pub(super) async fn accept(
        &self,
        alerts: Vec<Received>,
        ends: Ends,
        is_last: bool,
    ) -> Result<(Decisions, Ends), String> {
        let deadline = Instant::now() + TIMEOUT;
        let late = |what: &'static str| move |_| format!("{what}; the sender has to retry");
        let state = timeout_at(deadline, Arc::clone(&self.state).lock_owned());
        let state = state
            .await
            .map_err(late("other notifications take too long"))?;
        let this = self.clone();
        let draft = spawn_blocking(move || this.draft(state, &alerts, ends, is_last));
        let draft = timeout_at(deadline, draft)
            .await
            .map_err(late("the decision takes too long"))?;
        let draft = draft.unwrap_or_else(|error| Err(format!("the decision failed: {error}")))?;
        let this = self.clone();
        let commit = spawn_blocking(move || this.commit_draft(draft));
        let committed = timeout_at(deadline, commit)
            .await
            .map_err(late("the disk takes too long"))?;
        committed.unwrap_or_else(|error| Err(format!("the commit failed: {error}")))
    }

    fn draft(
        &self,
        state: OwnedMutexGuard<LedgerState>,
        alerts: &[Received],
        mut ends: Ends,
        is_last: bool,
    ) -> Result<Draft, String> {
        let at = clock::now();
        let relay = &state.relay;
        let mut gates = state.gates.clone();
        let cooldowns = relay.asks.iter().map(|entry| entry.cooldown);
        let longest = cooldowns.max().unwrap_or_default();
        let in_flight_timeout = relay.retraining.in_flight_timeout.unwrap_or(longest);
        gates.forget(longest, in_flight_timeout, at);
        let decisions = decide(relay, &mut gates, alerts, &mut ends, at);
        let has_ended = is_last && !ends.finish(&mut gates).is_empty();
        // A dry run changes only cool-downs. They need not be on disk before the response.
        let is_lazy = decisions.requests.is_empty() && !has_ended;
        let entries = self.entries(&decisions)?;
        Ok(Draft {
            state,
            gates,
            entries,
            is_lazy,
            decided: (decisions, ends),
        })
    }

    fn commit_draft(&self, draft: Draft) -> Result<(Decisions, Ends), String> {
        let Draft {
            mut state,
            gates,
            entries,
            is_lazy,
            decided,
        } = draft;
        if gates != state.gates {
            self.commit(&state.gates, &gates, &entries, is_lazy)?;
            state.gates = gates;
        }
        self.deliveries.enqueue(entries);
        Ok(decided)
    }

    /// The outbox entries for the requests.
    fn entries(&self, decisions: &Decisions) -> Result<Vec<Entry>, String> {
        let mut entries = Vec::new();
        for request in &decisions.requests {
            let routed = self.deliveries.route(request);
            let (id, rule, model) = (&request.id, &request.rule, &request.model_id);
            if routed.is_empty() {
                warn!(id, rule, model, "no receiver matches this request");
            } else {
                info!(
                    id,
                    rule,
                    model,
                    receivers = routed.len(),
                    "requesting retraining"
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
        let write = || {
            batch.put(Kind::Gates, GATES, gates)?;
            for entry in entries {
                batch.put_entry(entry)?;
            }
            self.store.commit(batch)
        };
        write().map_err(|error| {
            if let Err(error) = self.undo(before, entries) {
                debug!(%error, "undone in memory, but not on disk");
            }
            format!("the request is not on disk: {error}")
        })
    }

    /// Removes the changes of a failed commit from the store's memory, because the sender retries.
    fn undo(&self, before: &Gates, entries: &[Entry]) -> Result<(), Error> {
        let mut batch = Batch::lazy();
        batch.put(Kind::Gates, GATES, before)?;
        for entry in entries {
            batch.delete(Kind::Outbox, &entry.key());
        }
        self.store.commit(batch)
    }

    /// Marks a retraining as done. Returns whether it was in flight.
    pub(super) async fn done(&self, id: &str) -> bool {
        let mut state = Arc::clone(&self.state).lock_owned().await;
        let (this, id) = (self.clone(), id.to_owned());
        let work = spawn_blocking(move || {
            let before = state.gates.clone();
            let was_in_flight = state.gates.done(&id).is_some();
            if was_in_flight && let Err(error) = this.commit(&before, &state.gates, &[], false) {
                warn!(%error, "the retraining is done, but a restart may restore it as in flight");
            }
            was_in_flight
        });
        work.await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{GATES, Ledger};
    use crate::alert::Annotations;
    use crate::config::relay::read_relay;
    use crate::metric::Labels;
    use crate::notify::LogNotifier;
    use crate::notify::retrain::{Deliveries, Gates, Outbox as _, Receiver};
    use crate::relay::decision::{Decisions, Ends};
    use crate::relay::message::Received;
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

    async fn accept(ledger: &Ledger) -> Result<Decisions, String> {
        let labels = [
            ("alertname", "Drift"),
            ("model_id", "m"),
            ("retrain", "true"),
        ];
        let alert = Received {
            firing: true,
            labels: Labels::new(labels),
            annotations: Annotations::default(),
            starts_at: clock::now(),
            generator_url: String::new(),
        };
        let decided = ledger.accept(vec![alert], Ends::default(), true).await;
        decided.map(|(decisions, _)| decisions)
    }

    #[tokio::test]
    async fn a_failed_commit_leaves_no_request_behind() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), clock::now()).unwrap();
        let store = Arc::new(store);
        let broken = ledger(&store);
        store.close().unwrap();
        let error = accept(&broken).await.unwrap_err();
        assert!(error.contains("not on disk"), "{error}");
        assert!(broken.deliveries.list().is_empty());
        assert!(broken.describe().await.is_empty());
        // It is not in memory either, so a later commit cannot restore it.
        assert!(!store.contains(Kind::Outbox, "log"));
        assert_eq!(store.count(Kind::Outbox), 0);

        let (store, _) = Store::open(dir.path(), clock::now()).unwrap();
        let store = Arc::new(store);
        let restarted = ledger(&store);
        let decided = accept(&restarted).await.unwrap();
        assert_eq!(decided.requests.len(), 1);
        // After the response both are on disk: a restart restores them.
        drop((restarted, broken));
        store.close().unwrap();
        let (store, _) = Store::open(dir.path(), clock::now()).unwrap();
        let store = Arc::new(store);
        assert_eq!(
            StoreOutbox::new(Arc::clone(&store)).list().unwrap().len(),
            1
        );
        assert_eq!(store.get::<Gates>(Kind::Gates, GATES).unwrap().len(), 1);
        let again = accept(&ledger(&store)).await.unwrap();
        assert!(again.requests.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_named() {
        let ledger = ledger(&Arc::new(Store::in_memory()));
        let lock = Arc::clone(&ledger.state).lock_owned().await;
        let error = accept(&ledger).await.unwrap_err();
        assert!(
            error.starts_with("other notifications take too long"),
            "{error}"
        );
        drop(lock);
        assert_eq!(accept(&ledger).await.unwrap().requests.len(), 1);
    }

    #[tokio::test]
    async fn a_retraining_reported_as_done_is_no_longer_in_flight() {
        let store = Arc::new(Store::in_memory());
        let ledger = ledger(&store);
        let id = accept(&ledger).await.unwrap().requests[0].id.clone();
        assert!(!ledger.done("another id").await);
        assert!(ledger.done(&id).await);
        assert!(!ledger.done(&id).await);
        assert!(ledger.describe().await[0].starts_with("cooling down"));
    }
}
