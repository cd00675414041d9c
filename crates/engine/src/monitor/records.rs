//! The state of a monitor that must survive a restart, as plain records. The caller stores them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::expecting::Expected;
use super::names::Identity;
use super::recorder::CounterMemory;
use crate::alert::{self, Tracker};
use crate::incident::SeriesSnapshot;
use crate::judge::StrategyConfig;
use crate::metric::{Direction, Timestamp};
use crate::retrain::Gates;

/// The alerts of a rule, with the parts of the rule that resolve them after its removal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredAlerts {
    rule: String,
    group: String,
    expr: String,
    watch: bool,
    interval: Duration,
    tracker: alert::TrackerSnapshot,
    /// Empty in records of a version that had no identities.
    #[serde(default)]
    identity: Identity,
    /// The alerts have left the rule; only their ends are to be repeated.
    #[serde(default)]
    is_ended: bool,
}

impl StoredAlerts {
    pub(super) fn new(identity: Identity, rule: &alert::AlertRule, tracker: &Tracker) -> Self {
        Self {
            identity,
            is_ended: false,
            rule: rule.name.to_string(),
            group: rule.group.to_string(),
            expr: rule.expr.to_string(),
            watch: rule.kind == alert::AlertKind::Watch,
            interval: rule.interval,
            tracker: tracker.snapshot(),
        }
    }

    /// The same alerts after they left the rule.
    pub(super) fn ended(self) -> Self {
        Self {
            is_ended: true,
            ..self
        }
    }

    /// Whether the alerts have left the rule.
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// The rule that the alerts belong to.
    pub(super) fn identity(&self) -> Identity {
        if self.identity.id.name.is_empty() {
            return Identity::of_name(&self.group, &self.rule);
        }
        self.identity.clone()
    }

    /// The parts of the rule that its resolved alerts need.
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

/// The learned state of a watch's strategy, and the settings that must be equal to use it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Learnt {
    #[serde(default)]
    pub(super) identity: Identity,
    pub(super) strategy: StrategyConfig,
    pub(super) direction: Direction,
    pub(super) interval: Duration,
    pub(super) model_version: Option<String>,
    pub(super) series: Vec<SeriesSnapshot>,
    /// The last observations of a watch with `expect`.
    #[serde(default)]
    pub(super) expected: Expected,
}

impl Learnt {
    /// When a series of the watch was last seen.
    #[must_use]
    pub fn last_seen(&self) -> Option<Timestamp> {
        self.series.iter().map(|series| series.seen).max()
    }
}

/// The counts of a record with drift or ratio for one version of the model, and what it learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    #[serde(default)]
    pub(super) identity: Identity,
    pub(super) model_version: Option<String>,
    pub(super) memory: CounterMemory,
}

/// A value per rule, by the rule's key.
pub type ByRule<T> = Vec<(String, T)>;

/// The learned state of all strategies and the counts of all records.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Knowledge {
    /// The learned state of strategies.
    pub learnt: ByRule<Learnt>,
    /// The counts of records.
    pub counted: ByRule<Counted>,
}

/// The records that an earlier process stored.
#[derive(Debug, Default)]
pub struct StoredState {
    /// The alerts of each rule.
    pub alerts: ByRule<StoredAlerts>,
    /// The learned state of strategies; `None` for a record that cannot be read.
    pub learnt: ByRule<Option<Learnt>>,
    /// The counts of records; `None` for a record that cannot be read.
    pub counted: ByRule<Option<Counted>>,
    /// The gates of retraining.
    pub gates: Option<Gates>,
}

/// Records to write; `None` removes one.
#[derive(Debug, Default)]
pub struct StateChanges {
    /// The alerts of rules.
    pub alerts: ByRule<Option<StoredAlerts>>,
    /// The learned state of strategies.
    pub learnt: ByRule<Option<Learnt>>,
    /// The counts of records.
    pub counted: ByRule<Option<Counted>>,
    /// All gates of retraining.
    pub gates: Option<Gates>,
    /// A change happened that a crash must not undo.
    pub urgent: bool,
    /// An alert is pending, or was at the last call: a crash should not lose the time that counts
    /// towards its `for`, nor bring back an alert that ended.
    pub pending: bool,
}

impl StateChanges {
    /// Whether there is no record to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let changes = self.alerts.len() + self.learnt.len() + self.counted.len();
        changes == 0 && self.gates.is_none()
    }

    /// Adds later changes, which replace earlier ones.
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
