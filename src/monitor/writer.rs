//! The task that writes what ticks leave, and tells the world of it only then.

use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::error;

use super::keeper::{LEARNT_EVERY, Mailbox};
use super::memory::{GATES, Memory};
use super::outlets::Delivery;
use crate::metric::Timestamp;
use crate::notify::retrain::Entry;
use crate::state::{self, Batch, Kind as Record, Store, StoreOutbox};

/// How much of the time that an alert waited for its `for` a crash may cost.
const PENDING_EVERY: Duration = Duration::from_secs(5);
/// A disk that takes longer than this is not waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Writes a monitor's memory and delivers what had to be written first.
#[derive(Debug)]
pub(super) struct Writer {
    mailbox: Arc<Mailbox>,
    delivery: Delivery,
    disk: Disk,
    durable: watch::Sender<bool>,
}

impl Writer {
    pub(super) fn new(
        store: Arc<Store>,
        mailbox: Arc<Mailbox>,
        delivery: Delivery,
        patience: Duration,
    ) -> (Self, watch::Receiver<bool>) {
        let (durable, seen) = watch::channel(store.is_durable());
        let writer = Self {
            mailbox,
            delivery,
            disk: Disk::new(store, patience),
            durable,
        };
        (writer, seen)
    }

    /// Writes and tells until the keeper is gone and everything that it was given is told.
    pub(super) async fn run(mut self) {
        while let Some(work) = self.mailbox.take().await {
            let at = work.at.unwrap_or_default();
            let entries = self.disk.commit(work.memory, work.entries, at).await;
            let durable = self.disk.is_durable();
            self.durable
                .send_if_modified(|was| std::mem::replace(was, durable) != durable);
            self.delivery.deliver(&work.alerts, entries);
            for after in work.after {
                let store = Arc::clone(&self.disk.store);
                // A disk that hangs must not hold up what comes next.
                drop(spawn_blocking(move || after(&store)));
            }
        }
    }
}

/// The store, and what could not be written to it yet.
#[derive(Debug)]
struct Disk {
    store: Arc<Store>,
    /// A write is under way; set and cleared around it, also when nobody waits for it any more.
    busy: Arc<AtomicBool>,
    /// The last write was not waited for.
    hangs: bool,
    last_durable: Option<Timestamp>,
    /// Left out of writes while the disk was busy; goes with the next one.
    owed: Memory,
    owed_entries: Vec<Entry>,
    patience: Duration,
}

impl Disk {
    fn new(store: Arc<Store>, patience: Duration) -> Self {
        Self {
            store,
            busy: Arc::default(),
            hangs: false,
            last_durable: None,
            owed: Memory::default(),
            owed_entries: Vec::new(),
            patience,
        }
    }

    /// Whether what was committed last is there after a restart.
    fn is_durable(&self) -> bool {
        self.store.is_durable() && !self.hangs
    }

    /// Whether a commit of this would change nothing.
    fn is_idle(&self, memory: &Memory, entries: &[Entry]) -> bool {
        let owes = !(self.owed.is_empty() && self.owed_entries.is_empty());
        let works = self.store.is_durable() || !self.store.is_kept();
        memory.is_empty() && entries.is_empty() && works && !owes && !self.hangs
    }

    /// Commits memory and requests in one transaction, and gives the requests that are new.
    ///
    /// It waits for the disk only when a crash must not undo what happened, and never for long: alerts go out from a
    /// full or hanging disk too.
    async fn commit(&mut self, memory: Memory, entries: Vec<Entry>, at: Timestamp) -> Vec<Entry> {
        if self.is_idle(&memory, &entries) {
            return entries;
        }
        let last = self.last_durable;
        let overdue = |limit| last.is_none_or(|last| at < last || at.since(last) >= limit);
        let durable = memory.urgent
            || !entries.is_empty()
            || (memory.pending && overdue(PENDING_EVERY))
            || overdue(LEARNT_EVERY);
        if durable {
            self.last_durable = Some(at);
        }
        self.owed.overlay(memory);
        if self.busy.swap(true, Ordering::AcqRel) {
            self.hangs = true;
            error!("the disk is still busy with an earlier write; this one waits for the next");
            let room = StoreOutbox::CAPACITY.saturating_sub(self.owed_entries.len());
            self.owed_entries.extend(entries.iter().take(room).cloned());
            return entries;
        }
        let memory = take(&mut self.owed);
        let owed = take(&mut self.owed_entries);
        let durable = durable || memory.urgent || !owed.is_empty();
        let (store, busy) = (Arc::clone(&self.store), Arc::clone(&self.busy));
        let spare = entries.clone();
        let writing = spawn_blocking(move || {
            let fresh = write(&store, &memory, (owed, entries), durable);
            busy.store(false, Ordering::Release);
            fresh
        });
        match timeout(self.patience, writing).await {
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
                error!(patience = ?self.patience, "the disk hangs; going on without it");
                spare
            }
        }
    }
}

/// One transaction. Only entries that the outbox did not hold before come back; those owed are on their way already.
fn write(
    store: &Store,
    memory: &Memory,
    (owed, entries): (Vec<Entry>, Vec<Entry>),
    durable: bool,
) -> Vec<Entry> {
    let mut batch = if durable { Batch::new() } else { Batch::lazy() };
    let late = owed.len();
    let mut fresh = Vec::new();
    let mut started = 0;
    let mut room = StoreOutbox::CAPACITY.saturating_sub(store.count(Record::Outbox));
    for (index, entry) in owed.into_iter().chain(entries).enumerate() {
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
        fill(&mut batch, memory, &fresh)
    } else {
        fill(&mut batch, &Memory::default(), &fresh)
    };
    if let Err(error) = filled.and_then(|()| store.commit(batch)) {
        error!(%error, "the state is not on the disk");
    }
    fresh.split_off(started)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::task::JoinSet;

    use super::{Delivery, Disk, Entry, Memory, Record, Store};
    use crate::alert::{Alert, State};
    use crate::metric::{Labels, Timestamp};
    use crate::monitor::keeper::{HandOver, Keeper};
    use crate::notify::RetrainRequest;
    use crate::notify::alertmanager::Settings;
    use crate::notify::retrain::{Deliveries, Gates};
    use crate::notify::{Alertmanagers, Clock};
    use crate::state::StoreOutbox;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const PATIENCE: Duration = Duration::from_millis(20);

    fn urgent() -> Memory {
        Memory {
            gates: Some(Gates::default()),
            urgent: true,
            ..Memory::default()
        }
    }

    fn entry(id: &str) -> Entry {
        let alert = Alert {
            rule: "Bad".into(),
            labels: Labels::new([("alertname", "Bad")]),
            series: Labels::empty(),
            annotations: Labels::empty(),
            state: State::Firing,
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

    /// Queues that nobody empties.
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

    fn asks(id: &str) -> HandOver {
        HandOver {
            at: Some(NOW),
            memory: urgent(),
            entries: vec![entry(id)],
            ..HandOver::default()
        }
    }

    #[tokio::test]
    async fn nobody_who_leaves_something_waits_for_the_disk_and_nothing_is_told_before_it_is_written()
     {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path(), NOW).unwrap().0);
        let delivery = delivery();
        let told = || ids(&delivery.deliveries.list()).join(",");
        let (mut keeper, writer) = Keeper::new(Arc::clone(&store), delivery.clone(), Duration::MAX);
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run());
        let hung = store.hang();
        for id in ["1", "2", "3"] {
            keeper.give(asks(id));
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(told(), "");
        drop(hung);
        keeper.finish(asks("4")).await;
        assert_eq!(told(), "1,2,3,4");
        assert_eq!(store.count(Record::Outbox), 4);
        tasks.join_next().await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_disk_that_hangs_is_waited_for_once_and_gets_everything_when_it_works_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path(), NOW).unwrap().0);
        let mut disk = Disk::new(Arc::clone(&store), PATIENCE);
        let hung = store.hang();
        let first = disk.commit(urgent(), vec![entry("1")], NOW).await;
        assert_eq!(ids(&first), ["1"], "requests leave all the same");
        assert!(!disk.is_durable());
        // The second is not waited for at all: nothing would ever end it.
        disk.patience = Duration::MAX;
        let second = disk.commit(urgent(), vec![entry("2")], NOW).await;
        assert_eq!(ids(&second), ["2"]);
        // Reading does not wait for the disk either.
        assert_eq!(store.count(Record::Gates), 0);
        drop(hung);
        while disk.busy.load(super::Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
        assert!(!disk.is_durable(), "the second is not written yet");
        let third = disk.commit(Memory::default(), vec![entry("3")], NOW).await;
        assert_eq!(ids(&third), ["3"], "the second is on its way already");
        assert!(disk.is_durable());
        store.close().unwrap();
        let (store, _) = Store::open(folder.path(), NOW).unwrap();
        assert_eq!(store.names(Record::Outbox), ["hook/1", "hook/2", "hook/3"]);
        assert_eq!(store.count(Record::Gates), 1);
    }
}
