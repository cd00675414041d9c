//! The store behind a monitor: what is written when, without holding up a tick.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::error;

use super::memory::{GATES, Memory};
use crate::metric::Timestamp;
use crate::notify::retrain::Entry;
use crate::state::{self, Batch, Kind as Record, Store, StoreOutbox};

/// What the strategies learnt is written at most this often.
const LEARNT_EVERY: Duration = Duration::from_secs(60);
/// How much of the time that an alert waited for its `for` a crash may cost.
const PENDING_EVERY: Duration = Duration::from_secs(5);
/// A disk that takes longer than this is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes a monitor's memory.
#[derive(Debug)]
pub(super) struct Keeper {
    store: Arc<Store>,
    /// A write is under way; set and cleared around it, also when nobody waits for it any more.
    busy: Arc<AtomicBool>,
    last_learnt: Option<Timestamp>,
    last_durable: Option<Timestamp>,
}

impl Keeper {
    /// Writes to this store.
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            busy: Arc::default(),
            last_learnt: None,
            last_durable: None,
        }
    }

    /// The store itself, for what is no part of a tick.
    pub(super) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Whether anything written now is there after a restart.
    pub(super) fn is_durable(&self) -> bool {
        self.store.is_durable()
    }

    /// Whether it is time to write what the strategies learnt.
    pub(super) fn wants_learnt(&self, at: Timestamp) -> bool {
        self.last_learnt
            .is_none_or(|last| at < last || at.since(last) >= LEARNT_EVERY)
    }

    /// Commits memory and requests in one transaction, and gives the requests that are new.
    ///
    /// It waits for the disk only when a crash must not undo what happened, and never for long: alerts go out from a
    /// full or hanging disk too.
    pub(super) async fn commit(
        &mut self,
        memory: Memory,
        entries: Vec<Entry>,
        at: Timestamp,
    ) -> Vec<Entry> {
        if !(memory.learnt.is_empty() && memory.counted.is_empty()) {
            self.last_learnt = Some(at);
        }
        let since = self.last_durable.map(|last| at.since(last));
        let overdue = |limit| since.is_none_or(|since| since >= limit);
        let durable = memory.urgent
            || !entries.is_empty()
            || (memory.pending && overdue(PENDING_EVERY))
            || overdue(LEARNT_EVERY);
        if durable {
            self.last_durable = Some(at);
        }
        if self.busy.swap(true, Ordering::AcqRel) {
            error!("the disk is still busy with an earlier write; this one is left out");
            return entries;
        }
        let (store, busy) = (Arc::clone(&self.store), Arc::clone(&self.busy));
        let spare = entries.clone();
        let writing = spawn_blocking(move || {
            let fresh = write(&store, &memory, entries, durable);
            busy.store(false, Ordering::Release);
            fresh
        });
        match timeout(PATIENCE, writing).await {
            Ok(Ok(fresh)) => fresh,
            Ok(Err(error)) => {
                self.busy.store(false, Ordering::Release);
                error!(%error, "the write failed");
                spare
            }
            Err(_) => {
                error!(patience = ?PATIENCE, "the disk hangs; going on without it");
                spare
            }
        }
    }
}

/// One transaction. Only entries that the outbox did not hold before come back.
fn write(store: &Store, memory: &Memory, entries: Vec<Entry>, durable: bool) -> Vec<Entry> {
    let mut batch = if durable { Batch::new() } else { Batch::lazy() };
    let mut fresh = Vec::new();
    let mut room = StoreOutbox::CAPACITY.saturating_sub(store.count(Record::Outbox));
    for entry in entries {
        if store.contains(Record::Outbox, &entry.key()) {
            continue;
        }
        if room == 0 {
            error!(
                id = entry.request.id,
                "the outbox is full; the request for retraining is dropped"
            );
            continue;
        }
        room -= 1;
        fresh.push(entry);
    }
    let filled = if store.is_durable() {
        fill(&mut batch, memory, &fresh)
    } else {
        fill(&mut batch, &Memory::default(), &fresh)
    };
    if let Err(error) = filled.and_then(|()| store.commit(batch)) {
        error!(%error, "the state is not on the disk");
    }
    fresh
}

fn fill(batch: &mut Batch, memory: &Memory, entries: &[Entry]) -> Result<(), state::Error> {
    for (key, alerts) in &memory.alerts {
        match alerts {
            Some(alerts) => batch.put(Record::Alerts, key, alerts)?,
            None => batch.delete(Record::Alerts, key),
        };
    }
    for (key, learnt) in &memory.learnt {
        match learnt {
            Some(learnt) => batch.put(Record::Strategy, key, learnt)?,
            None => batch.delete(Record::Strategy, key),
        };
    }
    for (key, counted) in &memory.counted {
        match counted {
            Some(counted) => batch.put(Record::Baseline, key, counted)?,
            None => batch.delete(Record::Baseline, key),
        };
    }
    if let Some(gates) = &memory.gates {
        batch.put(Record::Gates, GATES, gates)?;
    }
    for entry in entries {
        batch.put_entry(entry)?;
    }
    Ok(())
}
