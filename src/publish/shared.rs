//! What the monitor writes and the server reads.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};

use super::control::Control;
use super::counters::Counters;
use super::encode::{Exposition, Writer};
use super::families::{Family, Kind, families};
use super::history::History;
use super::server::Http;
use super::signals;
use super::snapshot::Snapshot;
use crate::metric::Labels;

/// Where the process is in its life.
const STARTING: u8 = 0;
const READY: u8 = 1;
const STOPPING: u8 = 2;
const STANDBY: u8 = 3;

/// Gives families that no snapshot holds.
type More = dyn Fn() -> Vec<Family> + Send + Sync;

/// The last whole snapshot, the counters, and whether the process is ready.
pub struct Shared {
    snapshot: RwLock<Arc<Snapshot>>,
    history: Mutex<History>,
    phase: AtomicU8,
    control: OnceLock<Control>,
    more: OnceLock<Box<More>>,
    counters: Counters,
    model: Labels,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Nothing known yet, not ready. The labels of the model stand on every counter.
    #[must_use]
    pub fn new(model: &Labels) -> Self {
        Self {
            snapshot: RwLock::default(),
            history: Mutex::default(),
            phase: AtomicU8::new(STARTING),
            control: OnceLock::new(),
            more: OnceLock::new(),
            counters: Counters::new(model),
            model: model.clone(),
        }
    }

    /// Replaces the snapshot; readers of the old one keep it.
    pub fn publish(&self, snapshot: Snapshot) {
        self.history.lock().record(&snapshot);
        self.counters.follow(&snapshot);
        let fresh = Arc::new(snapshot);
        *self.snapshot.write() = fresh;
    }

    /// The last whole snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read())
    }

    /// The last whole snapshot as people look at it: each signal without its series' name, and with the points of its chart.
    #[must_use]
    pub fn charted(&self) -> Snapshot {
        let mut snapshot = Snapshot::clone(&self.snapshot());
        self.history.lock().fill(&mut snapshot.signals);
        for signal in &mut snapshot.signals {
            signal.labels = signal.labels.without_name();
        }
        snapshot
    }

    /// Says who carries out what the outside asks for. Only the first counts.
    pub fn set_control(&self, control: Control) {
        drop(self.control.set(control));
    }

    /// Who answers at this path, when it asks for something to be done.
    pub(super) fn control(&self, path: &str) -> Option<Control> {
        let control = self.control.get();
        control.filter(|control| control.answers(path)).cloned()
    }

    /// Says what else stands on `/metrics`. Only the first counts.
    pub fn set_more(&self, more: impl Fn() -> Vec<Family> + Send + Sync + 'static) {
        drop(self.more.set(Box::new(more)));
    }

    /// Whether another process has the store, and this one waits for its end.
    pub fn set_standby(&self, is_standby: bool) {
        let (from, to) = if is_standby {
            (STARTING, STANDBY)
        } else {
            (STANDBY, STARTING)
        };
        let order = Ordering::Relaxed;
        // Once ready or stopping, it is neither.
        let _unchanged = self.phase.compare_exchange(from, to, order, order);
    }

    /// The first evaluation is done.
    pub fn set_ready(&self) {
        // Once stopping, ready no more.
        if self.phase.load(Ordering::Relaxed) == STARTING {
            self.phase.store(READY, Ordering::Relaxed);
        }
    }

    /// The process is stopping.
    pub fn set_stopping(&self) {
        self.phase.store(STOPPING, Ordering::Relaxed);
    }

    /// Ready, or in a sentence why not.
    pub(super) fn readiness(&self) -> Result<(), &'static str> {
        match self.phase.load(Ordering::Relaxed) {
            READY => Ok(()),
            STOPPING => Err("sidewatch is stopping\n"),
            STANDBY => Err("standby: another instance has the store\n"),
            _ => Err("the first evaluation is not done yet\n"),
        }
    }

    pub(super) fn is_standby(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == STANDBY
    }

    /// What the server counts.
    pub(super) fn http(&self) -> &Http {
        self.counters.http()
    }

    /// The page of `/metrics`.
    #[must_use]
    pub fn metrics(&self, format: Exposition) -> String {
        let snapshot = self.snapshot();
        let mut page = Writer::new(format);
        signals::write(&snapshot, &mut page);
        let more = self.more.get().map(|more| more()).unwrap_or_default();
        let standby = Family::new(
            Kind::Gauge,
            "sidewatch_standby",
            "Whether another process has the store, and this one waits for its end.",
        );
        let is_standby = f64::from(u8::from(self.is_standby()));
        let standby = standby.with(self.model.clone(), is_standby);
        let all = families(&snapshot).into_iter().chain([standby]).chain(more);
        for family in all.chain(self.counters.families()) {
            page.family(&family);
        }
        page.finish()
    }
}
