//! The state that the monitor writes and the server reads.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};

use super::catalogue;
use super::control::Control;
use super::counters::Counters;
use super::encode::{Exposition, Writer};
use super::events::Events;
use super::families::families;
use super::family::Family;
use super::history::History;
use super::own_series;
use super::server::Http;
use super::signals;
use super::snapshot::{Point, Signal, Snapshot};
use crate::metric::Labels;
use crate::promql::Samples;

/// Phases in the life of the process.
const STARTING: u8 = 0;
const READY: u8 = 1;
const STOPPING: u8 = 2;
const STANDBY: u8 = 3;

/// Returns families that no snapshot holds.
type MoreFamilies = dyn Fn() -> Vec<Family> + Send + Sync;

/// The last whole snapshot, the counters, and whether the process is ready.
pub struct Shared {
    snapshot: RwLock<Arc<Snapshot>>,
    history: Mutex<History>,
    events: Mutex<Events>,
    phase: AtomicU8,
    control: OnceLock<Control>,
    more: OnceLock<Box<MoreFamilies>>,
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
    /// An empty state that is not ready. Every counter gets the labels of the model.
    #[must_use]
    pub fn new(model: &Labels) -> Self {
        Self {
            snapshot: RwLock::default(),
            history: Mutex::default(),
            events: Mutex::default(),
            phase: AtomicU8::new(STARTING),
            control: OnceLock::new(),
            more: OnceLock::new(),
            counters: Counters::new(model),
            model: model.clone(),
        }
    }

    /// Replaces the snapshot; readers of the old one keep it.
    pub fn publish(&self, mut snapshot: Snapshot) {
        self.events.lock().follow(&self.snapshot(), &mut snapshot);
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

    /// The last snapshot for people: each signal with the points of its chart, and what happened.
    #[must_use]
    pub fn charted(&self) -> Snapshot {
        let mut snapshot = Snapshot::clone(&self.snapshot());
        self.history.lock().fill(&mut snapshot.signals);
        snapshot.events = self.events.lock().all();
        snapshot
    }

    /// The last 24 hours of a signal, coarser than its points.
    pub(super) fn day(&self, signal: &Signal) -> Vec<Point> {
        self.history.lock().day(signal)
    }

    /// The recent values of Sidewatch's own series, for queries.
    #[must_use]
    pub(crate) fn own_series(&self) -> Vec<(Labels, Samples)> {
        own_series::own_series(&self.charted())
    }

    /// Sets the control that answers calls. Only the first call has an effect.
    pub fn set_control(&self, control: Control) {
        drop(self.control.set(control));
    }

    /// The control, if it answers this path.
    pub(super) fn control(&self, path: &str) -> Option<Control> {
        let control = self.control.get();
        control.filter(|control| control.answers(path)).cloned()
    }

    /// Adds families to `/metrics`. Only the first call has an effect.
    pub fn set_more(&self, more: impl Fn() -> Vec<Family> + Send + Sync + 'static) {
        drop(self.more.set(Box::new(more)));
    }

    /// Sets whether this process stands by until another one releases the store.
    pub fn set_standby(&self, is_standby: bool) {
        let (from, to) = if is_standby {
            (STARTING, STANDBY)
        } else {
            (STANDBY, STARTING)
        };
        let order = Ordering::Relaxed;
        // A process that is ready or stopping keeps its phase.
        let _unchanged = self.phase.compare_exchange(from, to, order, order);
    }

    /// Marks the first evaluation as done.
    pub fn set_ready(&self) {
        // A process that is stopping does not become ready.
        if self.phase.load(Ordering::Relaxed) == STARTING {
            self.phase.store(READY, Ordering::Relaxed);
        }
    }

    /// Marks the process as stopping.
    pub fn set_stopping(&self) {
        self.phase.store(STOPPING, Ordering::Relaxed);
    }

    /// `Ok` when ready, otherwise the reason in a sentence.
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

    /// The counters of the web server.
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
        let is_standby = f64::from(u8::from(self.is_standby()));
        let standby = Family::new(&catalogue::STANDBY).with(self.model.clone(), is_standby);
        for family in families(&snapshot).iter().chain([&standby]).chain(&more) {
            page.family(family);
        }
        self.counters.write(&snapshot.model, &mut page);
        page.finish()
    }
}
