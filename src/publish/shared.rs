//! What the monitor writes and the server reads.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use prometheus::{IntCounterVec, Opts, Registry};

use super::control::Control;
use super::encode::{Exposition, encode};
use super::families::{Family, Kind, Sample, families};
use super::history::History;
use super::snapshot::Snapshot;
use crate::metric::Labels;

/// Where the process is in its life.
const STARTING: u8 = 0;
const READY: u8 = 1;
const STOPPING: u8 = 2;

/// The last whole snapshot, the counters, and whether the process is ready.
#[derive(Debug)]
pub struct Shared {
    snapshot: RwLock<Arc<Snapshot>>,
    history: Mutex<History>,
    phase: AtomicU8,
    control: OnceLock<Control>,
    counters: Counters,
    registry: Registry,
}

/// Events counted since the start.
#[derive(Debug, Clone)]
pub struct Counters {
    /// Alerts that began to fire, by rule.
    pub alerts: IntCounterVec,
    /// Evaluations of rules, by rule.
    pub evaluations: IntCounterVec,
    /// Evaluations of rules that failed, by rule.
    pub evaluation_failures: IntCounterVec,
}

impl Counters {
    /// Creates every counter of a rule at 0.
    pub fn begin(&self, rule: &str, alerts: bool) {
        if alerts {
            self.alerts.with_label_values(&[rule]);
        }
        self.evaluations.with_label_values(&[rule]);
        self.evaluation_failures.with_label_values(&[rule]);
    }
}

impl Shared {
    /// Nothing known yet, not ready. The labels of the model stand on every counter.
    ///
    /// # Panics
    /// Never: names and labels of the counters are fixed and valid.
    #[must_use]
    pub fn new(model: &Labels) -> Self {
        let registry = Registry::new();
        let vec = |name: &str, help: &str| {
            let mut opts = Opts::new(name, help);
            for (name, value) in model.iter() {
                opts = opts.const_label(name, value);
            }
            let counter =
                IntCounterVec::new(opts, &["rule"]).expect("names and labels are fixed and valid");
            let registered = registry.register(Box::new(counter.clone()));
            debug_assert!(registered.is_ok(), "every name is registered once");
            counter
        };
        let counters = Counters {
            alerts: vec("sidewatch_alerts_total", "Alerts that began to fire."),
            evaluations: vec("sidewatch_rule_evaluations_total", "Evaluations of a rule."),
            evaluation_failures: vec(
                "sidewatch_rule_evaluation_failures_total",
                "Evaluations of a rule that failed.",
            ),
        };
        Self {
            snapshot: RwLock::default(),
            history: Mutex::default(),
            phase: AtomicU8::new(STARTING),
            control: OnceLock::new(),
            counters,
            registry,
        }
    }

    /// The counters to increment.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Replaces the snapshot; readers of the old one keep it.
    pub fn publish(&self, mut snapshot: Snapshot) {
        // Only writers take this lock; readers find the points in the snapshot.
        self.history
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .record(&mut snapshot);
        let fresh = Arc::new(snapshot);
        *self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// The last whole snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says who carries out what the outside asks for. Only the first counts.
    pub fn set_control(&self, control: Control) {
        drop(self.control.set(control));
    }

    /// Who answers at this path, when it asks for something to be done.
    pub(super) fn control(&self, path: &str) -> Option<Control> {
        let control = self.control.get().filter(|_| Control::answers(path));
        control.cloned()
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

    pub(super) fn is_ready(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == READY
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == STOPPING
    }

    /// The page of `/metrics`.
    #[must_use]
    pub fn metrics(&self, format: Exposition) -> String {
        let mut all = families(&self.snapshot());
        all.extend(self.counted());
        encode(&all, format)
    }

    /// The registry's counters as families.
    fn counted(&self) -> Vec<Family> {
        let known = [
            ("sidewatch_alerts_total", "Alerts that began to fire."),
            ("sidewatch_rule_evaluations_total", "Evaluations of a rule."),
            (
                "sidewatch_rule_evaluation_failures_total",
                "Evaluations of a rule that failed.",
            ),
        ];
        let gathered = self.registry.gather();
        let families = known.into_iter().filter_map(|(name, help)| {
            let found = gathered.iter().find(|family| family.name() == name)?;
            let mut family = Family::new(Kind::Counter, name, help);
            for metric in found.get_metric() {
                let pairs = metric.get_label().iter();
                let labels = pairs
                    .map(|pair| (pair.name().to_owned(), pair.value().to_owned()))
                    .collect();
                let value = metric.get_counter().get_value();
                family.samples.push(Sample { labels, value });
            }
            (!family.samples.is_empty()).then_some(family)
        });
        families.collect()
    }
}
