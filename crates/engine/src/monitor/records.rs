//! What a monitor wants to find again after a restart, as plain records. Storing them is the
//! caller's work.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alert::{self, Tracker};
use crate::judge::{SeriesSnapshot, StrategyConfig};
use crate::map::drift;
use crate::metric::{Direction, Timestamp};
use crate::retrain::Gates;

/// The alerts of a rule, with enough of the rule to end them when it is gone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredAlerts {
    rule: String,
    group: String,
    expr: String,
    watch: bool,
    interval: Duration,
    tracker: alert::TrackerSnapshot,
}

impl StoredAlerts {
    pub(super) fn new(rule: &alert::AlertRule, tracker: &Tracker) -> Self {
        Self {
            rule: rule.name.to_string(),
            group: rule.group.to_string(),
            expr: rule.expr.to_string(),
            watch: rule.kind == alert::AlertKind::Watch,
            interval: rule.interval,
            tracker: tracker.snapshot(),
        }
    }

    /// The name of the rule.
    pub(super) fn name(&self) -> &str {
        &self.rule
    }

    /// What of the rule is needed to say that its alerts ended.
    pub(super) fn rule(&self) -> alert::AlertRule {
        alert::AlertRule {
            name: self.rule.as_str().into(),
            group: self.group.as_str().into(),
            expr: self.expr.as_str().into(),
            kind: if self.watch {
                alert::AlertKind::Watch
            } else {
                alert::AlertKind::Alert
            },
            interval: self.interval,
            ..alert::AlertRule::default()
        }
    }

    /// The alerts.
    pub(super) fn into_tracker(self) -> Tracker {
        Tracker::restore(self.tracker)
    }
}

/// What the strategy of a watch learnt, and what it must agree with to be used again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Learnt {
    pub(super) strategy: StrategyConfig,
    pub(super) direction: Direction,
    pub(super) interval: Duration,
    pub(super) model_version: Option<String>,
    pub(super) series: Vec<SeriesSnapshot>,
}

impl Learnt {
    /// When a series of the watch was last seen.
    #[must_use]
    pub fn last_seen(&self) -> Option<Timestamp> {
        self.series.iter().map(|series| series.seen).max()
    }
}

/// What a drift rule counted and learnt about a version of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    pub(super) model_version: Option<String>,
    pub(super) memory: drift::Memory,
}

/// Something of each rule, by its key.
pub type ByRule<T> = Vec<(String, T)>;

/// Everything that strategies learnt and drift rules counted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Knowledge {
    /// What strategies learnt.
    pub learnt: ByRule<Learnt>,
    /// What drift rules counted.
    pub counted: ByRule<Counted>,
}

/// What an earlier process stored.
#[derive(Debug, Default)]
pub struct StoredState {
    /// The alerts of each rule.
    pub alerts: ByRule<StoredAlerts>,
    /// What strategies learnt; `None` for a record that cannot be read.
    pub learnt: ByRule<Option<Learnt>>,
    /// What drift rules counted; `None` for a record that cannot be read.
    pub counted: ByRule<Option<Counted>>,
    /// The gates of retraining.
    pub gates: Option<Gates>,
}

/// Records to write; `None` removes one.
#[derive(Debug, Default)]
pub struct StateChanges {
    /// The alerts of rules.
    pub alerts: ByRule<Option<StoredAlerts>>,
    /// What strategies learnt.
    pub learnt: ByRule<Option<Learnt>>,
    /// What drift rules counted.
    pub counted: ByRule<Option<Counted>>,
    /// All gates of retraining.
    pub gates: Option<Gates>,
    /// Something happened that a crash must not undo.
    pub urgent: bool,
    /// An alert waits for its `for`: the time that it waited should not be lost.
    pub pending: bool,
}

impl StateChanges {
    /// Whether there is no record to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let changes = self.alerts.len() + self.learnt.len() + self.counted.len();
        changes == 0 && self.gates.is_none()
    }

    /// Adds what came later, which wins.
    pub fn overlay(&mut self, later: Self) {
        overlay(&mut self.alerts, later.alerts);
        overlay(&mut self.learnt, later.learnt);
        overlay(&mut self.counted, later.counted);
        self.gates = later.gates.or_else(|| self.gates.take());
        self.urgent |= later.urgent;
        self.pending |= later.pending;
    }
}

fn overlay<T>(earlier: &mut ByRule<T>, later: ByRule<T>) {
    if earlier.is_empty() {
        *earlier = later;
        return;
    }
    let mut all: BTreeMap<String, T> = std::mem::take(earlier).into_iter().collect();
    all.extend(later);
    *earlier = all.into_iter().collect();
}
