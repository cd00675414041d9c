//! What a monitor wants to find again after a restart, and how it takes it up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::model_monitor::ModelMonitor;
use super::names::{self, claim};
use super::rule::{Kind, RuleState};
use crate::alert::{self, Tracker};
use crate::config::settings::Baseline;
use crate::judge::{SeriesSnapshot, StrategyConfig};
use crate::map::drift;
use crate::metric::{Direction, Timestamp};
use crate::notify::retrain::Gates;
use crate::rules::Rule;
use crate::state::{Kind as Record, Store};

/// The one record of all gates.
pub(super) const GATES: &str = "all";
/// How long the end of a removed rule's alerts is repeated.
const FAREWELL: Duration = Duration::from_secs(15 * 60);

/// The alerts of a rule, with enough of the rule to end them when it is gone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredAlerts {
    rule: String,
    group: String,
    expr: String,
    watch: bool,
    interval: Duration,
    tracker: alert::Snapshot,
}

impl StoredAlerts {
    fn new(rule: &alert::Rule, tracker: &Tracker) -> Self {
        Self {
            rule: rule.name.to_string(),
            group: rule.group.to_string(),
            expr: rule.expr.to_string(),
            watch: rule.kind == alert::Kind::Watch,
            interval: rule.interval,
            tracker: tracker.snapshot(),
        }
    }

    /// What of the rule is needed to say that its alerts ended.
    fn rule(&self) -> alert::Rule {
        alert::Rule {
            name: self.rule.as_str().into(),
            group: self.group.as_str().into(),
            expr: self.expr.as_str().into(),
            kind: if self.watch {
                alert::Kind::Watch
            } else {
                alert::Kind::Alert
            },
            interval: self.interval,
            ..alert::Rule::default()
        }
    }
}

/// What the strategy of a watch learnt, and what it must agree with to be used again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Learnt {
    pub(super) strategy: StrategyConfig,
    pub(super) direction: Direction,
    pub(super) interval: Duration,
    pub(super) model_version: Option<String>,
    pub(super) series: Vec<SeriesSnapshot>,
}

/// What a drift rule counted and learnt about a version of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Counted {
    pub(super) model_version: Option<String>,
    pub(super) memory: drift::Memory,
}

/// Something of each rule, by its key.
pub(super) type ByRule<T> = Vec<(String, T)>;

/// Records to write; `None` removes one.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) alerts: Vec<(String, Option<StoredAlerts>)>,
    pub(super) learnt: Vec<(String, Option<Learnt>)>,
    pub(super) counted: Vec<(String, Option<Counted>)>,
    pub(super) gates: Option<Gates>,
    /// Something happened that a crash must not undo.
    pub(super) urgent: bool,
    /// An alert waits for its `for`: the time that it waited should not be lost.
    pub(super) pending: bool,
}

impl Memory {
    /// Whether there is no record to write.
    pub(super) fn is_empty(&self) -> bool {
        let changes = self.alerts.len() + self.learnt.len() + self.counted.len();
        changes == 0 && self.gates.is_none()
    }

    /// Adds what came later, which wins.
    pub(super) fn overlay(&mut self, later: Self) {
        overlay(&mut self.alerts, later.alerts);
        overlay(&mut self.learnt, later.learnt);
        overlay(&mut self.counted, later.counted);
        self.gates = later.gates.or_else(|| self.gates.take());
        self.urgent |= later.urgent;
        self.pending |= later.pending;
    }
}

fn overlay<T>(earlier: &mut Vec<(String, T)>, later: Vec<(String, T)>) {
    if earlier.is_empty() {
        *earlier = later;
        return;
    }
    let mut all: BTreeMap<String, T> = std::mem::take(earlier).into_iter().collect();
    all.extend(later);
    *earlier = all.into_iter().collect();
}

/// The alerts of a rule that is no longer there; their end is repeated for a while.
#[derive(Debug)]
pub(super) struct Retired {
    pub(super) key: String,
    pub(super) rule: alert::Rule,
    pub(super) tracker: Tracker,
    pub(super) until: Timestamp,
}

impl Retired {
    pub(super) fn new(
        key: String,
        rule: alert::Rule,
        mut tracker: Tracker,
        at: Timestamp,
        context: &alert::Context,
    ) -> (Self, Vec<alert::Alert>) {
        let changes = tracker.retire_all(&rule, at, context).alerts;
        let until = at + FAREWELL;
        let retired = Self {
            key,
            rule,
            tracker,
            until,
        };
        (retired, changes)
    }
}

impl ModelMonitor {
    /// Takes up what an earlier process left. Call it once, before the first tick.
    pub(super) fn restore(&mut self, store: &Store, at: Timestamp) {
        let mut alerts: BTreeMap<String, StoredAlerts> =
            store.all(Record::Alerts).into_iter().collect();
        self.stored_alerts = alerts.keys().cloned().collect();
        self.stored_learnt = store.names(Record::Strategy).into_iter().collect();
        self.stored_counted = store.names(Record::Baseline).into_iter().collect();
        let wanted = names::keys(&self.config);
        let version = self.config.settings.model.version.clone();
        let carry = self.config.settings.model.baseline == Baseline::Carry;
        let mut changes = Vec::new();
        for rule in self.groups.iter_mut().flat_map(|group| &mut group.rules) {
            let name = rule.rule.name().to_owned();
            let found = claim(&mut alerts, &rule.key, &name, &wanted, |alerts| {
                &alerts.rule
            });
            let stored_key = found
                .as_ref()
                .map_or_else(|| rule.key.clone(), |(key, _)| key.clone());
            if let Some(learnt) = store.get::<Learnt>(Record::Strategy, &stored_key) {
                rule.relearn(&learnt, version.as_deref(), carry);
            }
            if let Some(counted) = store.get::<Counted>(Record::Baseline, &stored_key) {
                rule.recount(counted, version.as_deref());
            }
            if let Some((_, stored)) = found {
                let tracker = Tracker::restore(stored.tracker);
                changes.extend(rule.take_tracker(tracker, at, &self.context));
                rule.settle(at);
            }
        }
        for (key, stored) in alerts {
            let rule = stored.rule();
            let tracker = Tracker::restore(stored.tracker);
            let (retired, ended) = Retired::new(key, rule, tracker, at, &self.context);
            changes.extend(ended);
            self.retired.push(retired);
        }
        if let Some(gates) = store.get::<Gates>(Record::Gates, GATES) {
            self.retraining.gates = gates;
        }
        self.keep_known_gates();
        self.urgent |= !changes.is_empty();
        self.announce(&changes);
        let firing: usize = self
            .trackers()
            .map(|(_, tracker)| tracker.count(alert::State::Firing))
            .sum();
        info!(
            firing,
            records = self.stored_alerts.len() + self.stored_learnt.len(),
            "continuing from the store"
        );
    }

    /// Forgets the gates of watches that no longer retrain.
    pub(super) fn keep_known_gates(&mut self) {
        let rules = self.groups.iter().flat_map(|group| &group.rules);
        let known: BTreeSet<&str> = rules
            .filter(|rule| matches!(&rule.rule, Rule::Watch(watch) if watch.retrain.is_some()))
            .map(|rule| rule.rule.name())
            .collect();
        self.retraining
            .gates
            .retain(|key| known.contains(key.rule.as_str()));
    }

    /// What changed since the last time, with what the strategies learnt when `learnt` is set.
    pub(super) fn remember(&mut self, learnt: bool) -> Memory {
        let mut memory = Memory {
            urgent: std::mem::take(&mut self.urgent),
            ..Memory::default()
        };
        let version = self.config.settings.model.version.clone();
        let mut alive = BTreeSet::new();
        for rule in self.groups.iter().flat_map(|group| &group.rules) {
            let Some((definition, tracker)) = rule.alerting() else {
                continue;
            };
            let active = tracker.count(alert::State::Pending)
                + tracker.count(alert::State::Firing)
                + tracker.count(alert::State::Resolved);
            memory.pending |= tracker.count(alert::State::Pending) > 0;
            if active > 0 {
                let stored = StoredAlerts::new(definition, tracker);
                memory.alerts.push((rule.key.clone(), Some(stored)));
                alive.insert(rule.key.clone());
            }
        }
        for retired in &self.retired {
            // A rule of the same place in the files came back with alerts of its own.
            if alive.insert(retired.key.clone()) {
                let stored = StoredAlerts::new(&retired.rule, &retired.tracker);
                memory.alerts.push((retired.key.clone(), Some(stored)));
            }
        }
        let gone = self.stored_alerts.difference(&alive);
        memory.alerts.extend(gone.map(|key| (key.clone(), None)));
        self.stored_alerts = alive;
        memory.gates = (self.stored_gates != self.retraining.gates).then(|| {
            self.stored_gates.clone_from(&self.retraining.gates);
            self.stored_gates.clone()
        });
        if learnt {
            let rules = self.groups.iter().flat_map(|group| &group.rules);
            let all: Vec<(String, Learnt)> = rules
                .filter_map(|rule| Some((rule.key.clone(), rule.learnt(version.as_deref())?)))
                .collect();
            let alive: BTreeSet<String> = all.iter().map(|(key, _)| key.clone()).collect();
            let gone = self.stored_learnt.difference(&alive);
            memory.learnt.extend(gone.map(|key| (key.clone(), None)));
            let all = all.into_iter();
            memory
                .learnt
                .extend(all.map(|(key, learnt)| (key, Some(learnt))));
            self.stored_learnt = alive;
            self.remember_counted(&mut memory, version.as_deref());
        }
        memory
    }

    /// The rules by which what is learnt is found again.
    pub(super) fn rule_keys(&self) -> BTreeSet<String> {
        let rules = self.groups.iter().flat_map(|group| &group.rules);
        rules.map(|rule| rule.key.clone()).collect()
    }

    /// Everything that strategies learnt and drift rules counted.
    pub(super) fn all_learnt(&self) -> (ByRule<Learnt>, ByRule<Counted>) {
        let version = self.config.settings.model.version.as_deref();
        let rules = || self.groups.iter().flat_map(|group| &group.rules);
        let learnt = rules().filter_map(|rule| Some((rule.key.clone(), rule.learnt(version)?)));
        let counted = rules().filter_map(|rule| Some((rule.key.clone(), rule.counted(version)?)));
        (learnt.collect(), counted.collect())
    }

    /// Takes what another monitor of the same rules learnt in the place of what this one did. Alerts stay as they are.
    pub(super) fn adopt(&mut self, learnt: &[(String, Learnt)], counted: &[(String, Counted)]) {
        let model = self.config.settings.model.clone();
        let (version, carry) = (model.version, model.baseline == Baseline::Carry);
        for rule in self.groups.iter_mut().flat_map(|group| &mut group.rules) {
            let key = rule.key.clone();
            if let Some((_, learnt)) = learnt.iter().find(|(of, _)| *of == key)
                && !learnt.series.is_empty()
            {
                if let Kind::Watch(watching) = &mut rule.kind {
                    watching.table.reset();
                }
                rule.relearn(learnt, version.as_deref(), carry);
            }
            if let Some((_, counted)) = counted.iter().find(|(of, _)| *of == key) {
                rule.recount(counted.clone(), version.as_deref());
            }
        }
    }

    /// Leaves out what these rules have learnt already.
    pub(super) fn skip_until(&mut self, keys: &BTreeSet<String>, until: Timestamp) {
        for rule in self.groups.iter_mut().flat_map(|group| &mut group.rules) {
            if keys.contains(&rule.key) {
                rule.learnt_until = Some(until);
            }
        }
    }

    fn remember_counted(&mut self, memory: &mut Memory, version: Option<&str>) {
        let rules = self.groups.iter().flat_map(|group| &group.rules);
        let all: Vec<(String, Counted)> = rules
            .filter_map(|rule| Some((rule.key.clone(), rule.counted(version)?)))
            .collect();
        let alive: BTreeSet<String> = all.iter().map(|(key, _)| key.clone()).collect();
        let gone = self.stored_counted.difference(&alive);
        memory.counted.extend(gone.map(|key| (key.clone(), None)));
        let all = all.into_iter();
        memory
            .counted
            .extend(all.map(|(key, counted)| (key, Some(counted))));
        self.stored_counted = alive;
    }
}

impl RuleState {
    /// What the strategy of a watch learnt.
    fn learnt(&self, version: Option<&str>) -> Option<Learnt> {
        let (Rule::Watch(watch), Kind::Watch(watching)) = (&self.rule, &self.kind) else {
            return None;
        };
        Some(Learnt {
            strategy: watch.strategy.clone(),
            direction: watch.direction,
            interval: watch.alert.interval,
            model_version: version.map(str::to_owned),
            series: watching.table.snapshot(),
        })
    }

    /// What a drift rule counted.
    fn counted(&self, version: Option<&str>) -> Option<Counted> {
        let Kind::Record(_, Some(detector)) = &self.kind else {
            return None;
        };
        Some(Counted {
            model_version: version.map(str::to_owned),
            memory: detector.memory(self.rule.drift()?),
        })
    }

    /// Continues to count where an earlier process stopped, when it was about the same version of the model.
    fn recount(&mut self, counted: Counted, version: Option<&str>) {
        let (Some(drift), Kind::Record(_, Some(detector))) = (self.rule.drift(), &mut self.kind)
        else {
            return;
        };
        let rule = self.rule.name();
        if counted.model_version.as_deref() != version {
            info!(%rule, "the model's version changed; drift is counted anew");
        } else if let Err(why) = detector.restore(drift, counted.memory) {
            info!(%rule, why, "drift is counted anew");
        }
    }

    /// Uses what was learnt before, when it was learnt by the same strategy about the same version of the model.
    fn relearn(&mut self, learnt: &Learnt, version: Option<&str>, carry: bool) {
        let (Rule::Watch(watch), Kind::Watch(watching)) = (&self.rule, &mut self.kind) else {
            return;
        };
        let name = &watch.alert.name;
        let same = learnt.strategy == watch.strategy
            && learnt.direction == watch.direction
            && learnt.interval == watch.alert.interval;
        if !same {
            info!(rule = %name, "the strategy changed and learns anew");
        } else if learnt.model_version.as_deref() != version && !carry {
            info!(rule = %name, "the model's version changed; the strategy learns anew");
        } else {
            for (labels, error) in watching.table.restore(&learnt.series) {
                warn!(rule = %name, %labels, %error, "what was learnt cannot be used; learning anew");
            }
        }
    }
}
