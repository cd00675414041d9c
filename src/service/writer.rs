//! The task that writes the output of ticks, and delivers notifications after the write.

use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tracing::error;

use super::dispatcher::Delivery;
use super::store_handle::{LEARNED_INTERVAL, StoreHandle};
use super::tick_output::TickOutput;
use crate::metric::Timestamp;
use crate::monitor::StateChanges;
use crate::notify::retrain::Entry;
use crate::state::{self, Batch, Kind as Record, Store, StoreOutbox};

/// The most pending time (towards `for`) that a crash may lose.
const PENDING_INTERVAL: Duration = Duration::from_secs(5);
/// Timeout of one write.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// The record of all gates.
pub(super) const GATES: &str = "all";

/// Writes a monitor's state, then delivers its notifications.
#[derive(Debug)]
pub(super) struct Writer {
    outputs: mpsc::UnboundedReceiver<TickOutput>,
    delivery: Delivery,
    disk: Disk,
    durable: watch::Sender<bool>,
}

impl Writer {
    /// A writer to this store, which waits at most `timeout` for a write before it delivers, and
    /// the handle that sends outputs to it.
    pub(super) fn new(
        store: Arc<Store>,
        delivery: Delivery,
        timeout: Duration,
    ) -> (StoreHandle, Self) {
        let (sender, outputs) = mpsc::unbounded_channel();
        let (durable, seen) = watch::channel(store.is_durable());
        let writer = Self {
            outputs,
            delivery,
            disk: Disk::new(Arc::clone(&store), timeout),
            durable,
        };
        (StoreHandle::new(store, sender, seen), writer)
    }

    /// Writes and delivers until the handle is dropped and every output is delivered.
    pub(super) async fn run(mut self) {
        while let Some(mut output) = self.outputs.recv().await {
            // Outputs that arrived while the disk was busy are written together, so that memory
            // stays bounded.
            while let Ok(later) = self.outputs.try_recv() {
                output.overlay(later);
            }
            self.write(output).await;
        }
    }

    async fn write(&mut self, output: TickOutput) {
        let at = output.at.unwrap_or_default();
        let entries = self.disk.commit(output.state, output.entries, at).await;
        let durable = self.disk.is_durable();
        self.durable
            .send_if_modified(|was| std::mem::replace(was, durable) != durable);
        self.delivery.deliver(&output.alerts, entries);
        for after in output.after {
            let store = Arc::clone(&self.disk.store);
            // A disk that hangs must not delay the next output.
            drop(spawn_blocking(move || after(&store)));
        }
    }
}

/// The store, and the state not yet written to it.
#[derive(Debug)]
struct Disk {
    store: Arc<Store>,
    /// True while a write is in progress, including one whose caller timed out.
    busy: Arc<AtomicBool>,
    /// The last write timed out.
    hangs: bool,
    last_durable: Option<Timestamp>,
    /// The state of the start is written.
    has_started: bool,
    /// Skipped while the disk was busy; part of the next write.
    owed: StateChanges,
    owed_entries: Vec<Entry>,
    timeout: Duration,
}

impl Disk {
    fn new(store: Arc<Store>, timeout: Duration) -> Self {
        Self {
            store,
            busy: Arc::default(),
            hangs: false,
            last_durable: None,
            has_started: false,
            owed: StateChanges::default(),
            owed_entries: Vec::new(),
            timeout,
        }
    }

    /// Whether the last commit survives a restart.
    fn is_durable(&self) -> bool {
        self.store.is_durable() && !self.hangs
    }

    /// Whether a commit of this would change nothing.
    fn is_idle(&self, state: &StateChanges, entries: &[Entry]) -> bool {
        let owes = !(self.owed.is_empty() && self.owed_entries.is_empty());
        let works = self.store.is_durable() || !self.store.is_kept();
        state.is_empty() && entries.is_empty() && works && !owes && !self.hangs
    }

    /// Commits state and requests in one transaction, and returns the new requests.
    ///
    /// It waits for the disk only if a crash must not undo the changes, and at most for the
    /// timeout: alerts are delivered with a full or hanging disk too.
    async fn commit(
        &mut self,
        state: StateChanges,
        entries: Vec<Entry>,
        at: Timestamp,
    ) -> Vec<Entry> {
        if self.is_idle(&state, &entries) {
            return entries;
        }
        let last = self.last_durable;
        let overdue = |limit| last.is_none_or(|last| at < last || at.since(last) >= limit);
        let durable = state.urgent
            || !entries.is_empty()
            || (state.pending && overdue(PENDING_INTERVAL))
            || overdue(LEARNED_INTERVAL);
        // The write at the start does not count: the first tick follows at the same time.
        if durable && self.has_started {
            self.last_durable = Some(at);
        }
        self.has_started = true;
        self.owed.overlay(state);
        if self.busy.swap(true, Ordering::AcqRel) {
            self.hangs = true;
            error!("the disk is still busy with an earlier write; this one waits for the next");
            let room = StoreOutbox::CAPACITY.saturating_sub(self.owed_entries.len());
            self.owed_entries.extend(entries.iter().take(room).cloned());
            return entries;
        }
        let state = take(&mut self.owed);
        let owed = take(&mut self.owed_entries);
        let durable = durable || state.urgent || !owed.is_empty();
        let (store, busy) = (Arc::clone(&self.store), Arc::clone(&self.busy));
        let spare = entries.clone();
        let writing = spawn_blocking(move || {
            let fresh = write(&store, &state, Requests { owed, new: entries }, durable);
            busy.store(false, Ordering::Release);
            fresh
        });
        match tokio::time::timeout(self.timeout, writing).await {
            Ok(Ok(fresh)) => {
                self.hangs = false;
                fresh
            }
            Ok(Err(error)) => {
                self.busy.store(false, Ordering::Release);
                self.hangs = false;
                error!(%error, "the write failed");
                spare
            }
            Err(_) => {
                self.hangs = true;
                error!(timeout = ?self.timeout, "the disk hangs; going on without it");
                spare
            }
        }
    }
}

/// Requests to write.
struct Requests {
    /// Skipped by an earlier write; already in delivery.
    owed: Vec<Entry>,
    /// Of this tick.
    new: Vec<Entry>,
}

/// One transaction. Returns only entries that the outbox did not hold before.
fn write(store: &Store, state: &StateChanges, requests: Requests, durable: bool) -> Vec<Entry> {
    let mut batch = if durable { Batch::new() } else { Batch::lazy() };
    let Requests { owed, new } = requests;
    let late = owed.len();
    let mut fresh = Vec::new();
    let mut started = 0;
    let mut room = StoreOutbox::CAPACITY.saturating_sub(store.count(Record::Outbox));
    for (index, entry) in owed.into_iter().chain(new).enumerate() {
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
        started += usize::from(index < late);
        fresh.push(entry);
    }
    let filled = if store.is_kept() {
        fill(&mut batch, state, &fresh)
    } else {
        fill(&mut batch, &StateChanges::default(), &fresh)
    };
    if let Err(error) = filled.and_then(|()| store.commit(batch)) {
        error!(%error, "the state is not on the disk");
    }
    fresh.split_off(started)
}

fn fill(batch: &mut Batch, state: &StateChanges, entries: &[Entry]) -> Result<(), state::Error> {
    for (key, alerts) in &state.alerts {
        match alerts {
            Some(alerts) => batch.put(Record::Alerts, key, alerts)?,
            None => batch.delete(Record::Alerts, key),
        };
    }
    for (key, learned) in &state.learnt {
        match learned {
            Some(learned) => batch.put(Record::Strategy, key, learned)?,
            None => batch.delete(Record::Strategy, key),
        };
    }
    for (key, counted) in &state.counted {
        match counted {
            Some(counted) => batch.put(Record::Baseline, key, counted)?,
            None => batch.delete(Record::Baseline, key),
        };
    }
    if let Some(gates) = &state.gates {
        batch.put(Record::Gates, GATES, gates)?;
    }
    for entry in entries {
        batch.put_entry(entry)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::task::JoinSet;

    use super::{Delivery, Disk, Entry, Record, StateChanges, Store, TickOutput, Writer};
    use crate::alert::{Alert, AlertState, Annotations};
    use crate::metric::{Labels, Timestamp};
    use crate::notify::RetrainRequest;
    use crate::notify::alertmanager::Settings;
    use crate::notify::retrain::{Deliveries, Gates};
    use crate::notify::{Alertmanagers, Clock};
    use crate::state::StoreOutbox;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const PATIENCE: Duration = Duration::from_millis(20);

    fn urgent() -> StateChanges {
        StateChanges {
            gates: Some(Gates::default()),
            urgent: true,
            ..StateChanges::default()
        }
    }

    fn entry(id: &str) -> Entry {
        let alert = Alert {
            rule: "Bad".into(),
            labels: Labels::new([("alertname", "Bad")]),
            series: Labels::empty(),
            annotations: Annotations::default(),
            state: AlertState::Firing,
            value: 1.0,
            active_at: NOW,
            fired_at: Some(NOW),
            resolved_at: None,
            keep_firing_since: None,
            no_data_since: None,
            ends_at: None,
            generator_url: "".into(),
            explanation: None,
        };
        let request = RetrainRequest::new(id.to_owned(), ("m", "1"), &alert, NOW);
        Entry::new("hook", request, NOW, Duration::from_secs(60))
    }

    fn ids(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(|e| e.request.id.as_str()).collect()
    }

    /// Queues without a delivery task.
    fn delivery() -> Delivery {
        let clock: Clock = Arc::new(|| NOW);
        let settings = Settings::new(Vec::new());
        let outbox = Arc::new(StoreOutbox::new(Arc::new(Store::in_memory())));
        Delivery {
            alertmanagers: Alertmanagers::new(settings).0,
            deliveries: Deliveries::new(Vec::new(), outbox, clock, PATIENCE)
                .unwrap()
                .0,
        }
    }

    fn asks(id: &str) -> TickOutput {
        TickOutput {
            at: Some(NOW),
            state: urgent(),
            entries: vec![entry(id)],
            ..TickOutput::default()
        }
    }

    #[tokio::test]
    async fn the_tick_loop_never_waits_for_the_disk_and_nothing_is_delivered_before_it_is_written()
    {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path(), NOW).unwrap().0);
        let delivery = delivery();
        let delivered = || ids(&delivery.deliveries.list()).join(",");
        let (mut handle, writer) = Writer::new(Arc::clone(&store), delivery.clone(), Duration::MAX);
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run());
        let hung = store.hang();
        for id in ["1", "2", "3"] {
            handle.give(asks(id));
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(delivered(), "");
        drop(hung);
        handle.finish(asks("4")).await;
        assert_eq!(delivered(), "1,2,3,4");
        assert_eq!(store.count(Record::Outbox), 4);
        tasks.join_next().await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn the_writer_waits_once_for_a_hanging_disk_and_writes_everything_when_it_works_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path(), NOW).unwrap().0);
        let mut disk = Disk::new(Arc::clone(&store), PATIENCE);
        let hung = store.hang();
        let first = disk.commit(urgent(), vec![entry("1")], NOW).await;
        assert_eq!(ids(&first), ["1"], "requests leave all the same");
        assert!(!disk.is_durable());
        // The second write does not wait at all, since it would never end.
        disk.timeout = Duration::MAX;
        let second = disk.commit(urgent(), vec![entry("2")], NOW).await;
        assert_eq!(ids(&second), ["2"]);
        // Reading does not wait for the disk either.
        assert_eq!(store.count(Record::Gates), 0);
        drop(hung);
        while disk.busy.load(super::Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
        assert!(!disk.is_durable(), "the second is not written yet");
        let third = disk
            .commit(StateChanges::default(), vec![entry("3")], NOW)
            .await;
        assert_eq!(ids(&third), ["3"], "the second is on its way already");
        assert!(disk.is_durable());
        store.close().unwrap();
        let (store, _) = Store::open(folder.path(), NOW).unwrap();
        assert_eq!(store.names(Record::Outbox), ["hook/1", "hook/2", "hook/3"]);
        assert_eq!(store.count(Record::Gates), 1);
    }
}
