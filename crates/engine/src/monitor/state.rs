//! Stores and restores the state of a monitor.

use std::collections::{BTreeMap, BTreeSet};

use tracing::{info, warn};

use super::model_monitor::ModelMonitor;
use super::names::{self, Identity};
use super::records::{ByRule, Counted, Knowledge, Learnt, StateChanges, StoredAlerts, StoredState};
use super::retired::Retired;
use super::rule::{RuleKind, RuleState};
use super::settings::{Baseline, Model};
use crate::alert::{self, Alert};
use crate::incident::Trial;
use crate::metric::{Labels, Timestamp};

impl ModelMonitor {
    /// Notes that the window starts empty. While it fills, missing samples neither end an alert nor
    /// let one begin. Call it once, before the first tick, where alerts are sent to people;
    /// [`restore`](Self::restore) does it by itself.
    pub fn start(&mut self, at: Timestamp) {
        for rule in self.rules_mut() {
            rule.fill(at);
        }
    }

    /// Restores the records of an earlier process. Call it once, before the first tick. Returns the
    /// alerts whose state changed.
    pub fn restore(&mut self, stored: StoredState, at: Timestamp) -> Vec<Alert> {
        let StoredState {
            alerts,
            learnt,
            counted,
            gates,
        } = stored;
        self.stored.alerts = alerts.iter().map(|(key, _)| key.clone()).collect();
        self.stored.learnt = learnt.iter().map(|(key, _)| key.clone()).collect();
        self.stored.counted = counted.iter().map(|(key, _)| key.clone()).collect();
        let (ended, alerts) = alerts
            .into_iter()
            .partition(|(_, alerts)| alerts.is_ended());
        self.start(at);
        if let Some(gates) = gates {
            self.retraining.gates = gates.restored();
        }
        let mut records = by_rule(alerts, learnt, counted);
        let mut changes = self.restore_rules(&mut records, at);
        let left = records.into_iter().filter_map(|record| record.alerts);
        let ended: ByRule<StoredAlerts> = ended;
        for stored in left.chain(ended.into_iter().map(|(_, stored)| stored)) {
            let identity = stored.identity();
            let (rule, tracker) = (stored.rule(), stored.into_tracker());
            let (retired, ended) = Retired::new(identity, rule, tracker, at, &self.context);
            changes.extend(ended);
            self.retired.push(retired);
        }
        self.keep_known_gates(at);
        self.stored.urgent |= !changes.is_empty();
        let trackers = self.rules().filter_map(RuleState::alerting);
        let firing = trackers.map(|(_, tracker)| tracker.count(alert::AlertState::Firing));
        info!(
            firing = firing.sum::<usize>(),
            records = self.stored.alerts.len() + self.stored.learnt.len(),
            "continuing from the store"
        );
        changes
    }

    /// Hands every rule the records of the rule that it continues; takes those records.
    fn restore_rules(&mut self, records: &mut [RuleRecords], at: Timestamp) -> Vec<Alert> {
        let pairs = {
            let old: Vec<&Identity> = records.iter().map(|record| &record.identity).collect();
            let new: Vec<&Identity> = self.rules().map(|rule| &rule.identity).collect();
            names::pair(&old, &new)
        };
        let mut changes = Vec::new();
        let mut moved = BTreeMap::new();
        let rules = self.groups.iter_mut().flat_map(|group| &mut group.rules);
        for (rule, found) in rules.zip(pairs) {
            let Some(record) = found.map(|found| &mut records[found]) else {
                continue;
            };
            if record.identity.id != rule.identity.id {
                moved.insert(record.identity.id.to_string(), rule.key.clone());
            }
            if let Some(learned) = record.learnt.take() {
                if let RuleKind::Watch(watching) = &mut rule.kind {
                    watching.expecting.restore(&learned.expected, at);
                }
                rule.relearn(&learned, &self.settings.model);
            }
            if let Some(counted) = record.counted.take() {
                rule.recount(counted, &self.settings.model);
            }
            if let Some(stored) = record.alerts.take() {
                let taken = rule.take_tracker(stored.into_tracker(), at, &self.context);
                changes.extend(taken.changes);
                self.retired.extend(taken.ended);
            }
        }
        self.retraining.follow(&moved);
        changes
    }

    /// Drops the gates of watches that no longer retrain. Gates that an earlier version stored
    /// under the name of their watches are theirs.
    pub(super) fn keep_known_gates(&mut self, at: Timestamp) {
        let mut known: BTreeSet<&str> = BTreeSet::new();
        let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for rule in self.groups.iter().flat_map(|group| &group.rules) {
            if let RuleKind::Watch(watching) = &rule.kind
                && watching.watch.retrain.is_some()
            {
                known.insert(&rule.key);
                names.entry(rule.name()).or_default().push(&rule.key);
            }
        }
        let gates = &mut self.retraining.gates;
        gates.rename(|rule| names.get(rule).filter(|_| !known.contains(rule)).cloned());
        gates.retain(at, |key| known.contains(key.rule.as_str()));
    }

    /// The changes since the last call, with the learned state if `with_knowledge` is set.
    pub fn state_changes(&mut self, with_knowledge: bool) -> StateChanges {
        let mut changes = StateChanges {
            urgent: std::mem::take(&mut self.stored.urgent),
            ..StateChanges::default()
        };
        let mut alerts = Vec::new();
        for rule in self.rules() {
            let Some((definition, tracker)) = rule.alerting() else {
                continue;
            };
            let pending = tracker.count(alert::AlertState::Pending);
            let active = pending
                + tracker.count(alert::AlertState::Firing)
                + tracker.count(alert::AlertState::Resolved);
            changes.pending |= pending > 0;
            if active > 0 {
                let identity = rule.identity.clone();
                let stored = StoredAlerts::new(identity, definition, tracker);
                alerts.push((rule.key.clone(), stored));
            }
        }
        // That a pending alert ended is as important as that one is pending.
        let is_pending = changes.pending;
        changes.pending |= std::mem::replace(&mut self.stored.pending, is_pending);
        alerts.extend(self.retired.iter().map(Retired::stored));
        changes.alerts = replace(&mut self.stored.alerts, alerts);
        let gates = self.retraining.gates.digest();
        if std::mem::replace(&mut self.stored.gates, gates) != gates {
            changes.gates = Some(self.retraining.gates.clone());
        }
        let unsaved = self.unsaved();
        // A reference that a user has accepted must survive a crash.
        if std::mem::take(&mut self.stored.is_rebased) || with_knowledge {
            let Knowledge { learnt, counted } = self.knowledge();
            changes.learnt = replace(&mut self.stored.learnt, learnt);
            changes.counted = replace(&mut self.stored.counted, counted);
        } else {
            let keys = unsaved.iter().map(|(key, _)| key.clone());
            self.stored.learnt.extend(keys);
            let unsaved = unsaved.into_iter();
            changes.learnt = unsaved.map(|(key, learnt)| (key, Some(learnt))).collect();
        }
        changes
    }

    /// The learned state of the watches in which an incident opened or closed since the last call:
    /// an incident must survive a crash as its alert does.
    fn unsaved(&mut self) -> ByRule<Learnt> {
        let rules = self.groups.iter_mut().flat_map(|group| &mut group.rules);
        let model = &self.settings.model;
        let unsaved = rules.filter_map(|rule| {
            let is_unsaved = match &mut rule.kind {
                RuleKind::Watch(watching) => std::mem::take(&mut watching.is_unsaved),
                RuleKind::Record(_) | RuleKind::Alert(_) => false,
            };
            is_unsaved.then(|| Some((rule.key.clone(), rule.learned(model)?)))?
        });
        unsaved.collect()
    }

    /// Makes the present level of a signal normal with its next value, if it is in an open
    /// incident; returns whether it is. For the drift of a distribution, the present window becomes
    /// the reference.
    pub fn accept(&mut self, rule: &str, series: &Labels) -> bool {
        let at = self.last_tick.unwrap_or_default();
        let watched = self.rules().find(|known| known.key == rule);
        let is_drifting = watched.is_some_and(|rule| match &rule.kind {
            RuleKind::Watch(watching) => {
                watching.judges_drift() && watching.incident(series).is_some()
            }
            RuleKind::Record(_) | RuleKind::Alert(_) => false,
        });
        let takes_reference = is_drifting && self.rebase(series, at);
        let found = self.rules_mut().find(|known| known.key == rule);
        let Some(RuleKind::Watch(watching)) = found.map(|rule| &mut rule.kind) else {
            return false;
        };
        if takes_reference {
            watching.accept_reference(series, at);
            self.stored.is_rebased = true;
            return true;
        }
        watching.accept(series)
    }

    /// Takes the present window of the distribution that is recorded as this series for its
    /// reference; returns whether there is one with enough observations.
    fn rebase(&mut self, series: &Labels, at: Timestamp) -> bool {
        let mut records = self.rules_mut().filter_map(|rule| match &mut rule.kind {
            RuleKind::Record(recorder) => Some(recorder),
            RuleKind::Watch(_) | RuleKind::Alert(_) => None,
        });
        records.any(|recorder| recorder.rebase(series, at))
    }

    /// The keys of the rules that learn.
    #[must_use]
    pub fn rule_keys(&self) -> BTreeSet<String> {
        self.rules().map(|rule| rule.key.clone()).collect()
    }

    /// The learned state of all strategies and the counts of all drift rules.
    #[must_use]
    pub fn knowledge(&self) -> Knowledge {
        let model = &self.settings.model;
        let learnt = self
            .rules()
            .filter_map(|rule| Some((rule.key.clone(), rule.learned(model)?)));
        let counted = self
            .rules()
            .filter_map(|rule| Some((rule.key.clone(), rule.counted(model)?)));
        Knowledge {
            learnt: learnt.collect(),
            counted: counted.collect(),
        }
    }

    /// Replaces the learned state by that of another monitor of the same rules. Alerts stay as they
    /// are.
    pub fn adopt(&mut self, knowledge: &Knowledge) {
        let Knowledge { learnt, counted } = knowledge;
        let model = &self.settings.model;
        for rule in self.groups.iter_mut().flat_map(|group| &mut group.rules) {
            let learned = learnt.iter().find(|(key, _)| *key == rule.key);
            if let Some((_, learned)) = learned.filter(|(_, learned)| !learned.series.is_empty()) {
                if let RuleKind::Watch(watching) = &mut rule.kind {
                    watching.table.reset();
                }
                rule.relearn(learned, model);
            }
            if let Some((_, counted)) = counted.iter().find(|(key, _)| *key == rule.key) {
                rule.recount(counted.clone(), model);
            }
        }
    }

    /// Makes these rules skip values up to the time that they have already learned.
    pub fn skip_until(&mut self, keys: &BTreeSet<String>, until: Timestamp) {
        for rule in self.rules_mut() {
            if keys.contains(&rule.key) {
                rule.learned_until = Some(until);
            }
        }
    }
}

/// The stored records of one rule.
struct RuleRecords {
    identity: Identity,
    alerts: Option<StoredAlerts>,
    learnt: Option<Learnt>,
    counted: Option<Counted>,
}

/// Brings the records of each rule together. Records without an identity are of an older version,
/// whose keys were `group/name`.
fn by_rule(
    alerts: ByRule<StoredAlerts>,
    learnt: ByRule<Option<Learnt>>,
    counted: ByRule<Option<Counted>>,
) -> Vec<RuleRecords> {
    let mut records: BTreeMap<String, RuleRecords> = BTreeMap::new();
    for (key, alerts) in alerts {
        let identity = alerts.identity();
        record(&mut records, key, &identity).alerts = Some(alerts);
    }
    for (key, learnt) in learnt {
        if let Some(learnt) = learnt {
            let identity = learnt.identity.clone();
            record(&mut records, key, &identity).learnt = Some(learnt);
        }
    }
    for (key, counted) in counted {
        if let Some(counted) = counted {
            let identity = counted.identity.clone();
            record(&mut records, key, &identity).counted = Some(counted);
        }
    }
    records.into_values().collect()
}

/// The records under a key, made if there are none yet.
fn record<'a>(
    records: &'a mut BTreeMap<String, RuleRecords>,
    key: String,
    identity: &Identity,
) -> &'a mut RuleRecords {
    let identity = if identity.id.name.is_empty() {
        let (group, name) = key.split_once('/').unwrap_or(("", &key));
        Identity::of_name(group, name)
    } else {
        identity.clone()
    };
    records.entry(key).or_insert_with(|| RuleRecords {
        identity,
        alerts: None,
        learnt: None,
        counted: None,
    })
}

/// The records to write so that these replace the stored ones.
fn replace<T>(stored: &mut BTreeSet<String>, records: ByRule<T>) -> ByRule<Option<T>> {
    let alive: BTreeSet<String> = records.iter().map(|(key, _)| key.clone()).collect();
    let gone = stored.difference(&alive).map(|key| (key.clone(), None));
    let records = records.into_iter().map(|(key, record)| (key, Some(record)));
    let changes = records.chain(gone).collect();
    *stored = alive;
    changes
}

impl RuleState {
    /// The learned state of a watch's strategy.
    fn learned(&self, model: &Model) -> Option<Learnt> {
        let RuleKind::Watch(watching) = &self.kind else {
            return None;
        };
        let watch = &watching.watch;
        Some(Learnt {
            identity: self.identity.clone(),
            strategy: watch.strategy.clone(),
            direction: watch.direction,
            interval: watch.alert.interval,
            model_version: model.version.clone(),
            series: watching.table.snapshot(),
            expected: watching.expecting.store(),
        })
    }

    /// The counts of a record.
    fn counted(&self, model: &Model) -> Option<Counted> {
        let RuleKind::Record(recorder) = &self.kind else {
            return None;
        };
        Some(Counted {
            identity: self.identity.clone(),
            model_version: model.version.clone(),
            memory: recorder.memory()?,
        })
    }

    /// Restores the counts of an earlier process if they are about the same version of the model.
    fn recount(&mut self, counted: Counted, model: &Model) {
        let RuleKind::Record(recorder) = &mut self.kind else {
            return;
        };
        let is_same_model = counted.model_version == model.version;
        let restored = if is_same_model {
            recorder.restore(counted.memory)
        } else {
            Err("the model's version changed")
        };
        if let Err(why) = restored {
            let rule = &recorder.recording.name;
            info!(%rule, why, "the record counts anew");
        }
    }

    /// Restores the learned state if the same strategy learned it about the same version of the
    /// model.
    fn relearn(&mut self, learned: &Learnt, model: &Model) {
        let RuleKind::Watch(watching) = &mut self.kind else {
            return;
        };
        let watch = &watching.watch;
        let name = &watch.alert.name;
        let is_new_version = learned.model_version != model.version;
        let is_same_value = learned.identity.definition == self.identity.definition;
        let is_same = learned.strategy == watch.strategy
            && learned.direction == watch.direction
            && learned.interval == watch.alert.interval;
        if !is_same_value {
            info!(rule = %name, "the expression, or a record that it reads, changed; the strategy learns anew");
        } else if !is_same {
            info!(rule = %name, "the strategy changed and learns anew");
        } else if is_new_version && model.baseline == Baseline::Reset {
            info!(rule = %name, "the model's version changed; the strategy learns anew");
        } else {
            for (labels, error) in watching.table.restore(&learned.series) {
                warn!(rule = %name, %labels, %error, "the stored state of the strategy is unusable; learning anew");
            }
            if is_new_version && model.baseline == Baseline::Compare {
                let before = learned.model_version.as_deref().unwrap_or("");
                watching.table.begin_trials(&Trial::against(before));
            }
        }
    }
}
