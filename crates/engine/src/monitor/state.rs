//! Stores and restores the state of a monitor.

use std::collections::{BTreeMap, BTreeSet};

use tracing::{info, warn};

use super::model_monitor::ModelMonitor;
use super::names::{self, claim};
use super::records::{ByRule, Counted, Knowledge, Learnt, StateChanges, StoredAlerts, StoredState};
use super::retired::Retired;
use super::rule::{RuleKind, RuleState};
use super::settings::{Baseline, Model};
use crate::alert::{self, Alert};
use crate::map;
use crate::metric::Timestamp;

impl ModelMonitor {
    /// Restores the records of an earlier process. Call it once, before the first tick. Returns the
    /// alerts whose state changed.
    pub fn restore(&mut self, stored: StoredState, at: Timestamp) -> Vec<Alert> {
        let mut alerts: BTreeMap<String, StoredAlerts> = stored.alerts.into_iter().collect();
        let mut learned: BTreeMap<String, Option<Learnt>> = stored.learnt.into_iter().collect();
        let mut counted: BTreeMap<String, Option<Counted>> = stored.counted.into_iter().collect();
        self.stored.alerts = alerts.keys().cloned().collect();
        self.stored.learnt = learned.keys().cloned().collect();
        self.stored.counted = counted.keys().cloned().collect();
        let wanted = names::keys(&self.rules);
        let mut changes = Vec::new();
        for rule in self.groups.iter_mut().flat_map(|group| &mut group.rules) {
            let found = claim(
                &mut alerts,
                &rule.key,
                rule.name(),
                &wanted,
                StoredAlerts::name,
            );
            let found_key = found.as_ref().map(|(key, _)| key);
            let key = found_key.unwrap_or(&rule.key).clone();
            if let Some(learned) = learned.remove(&key).flatten() {
                rule.relearn(&learned, &self.settings.model);
            }
            if let Some(counted) = counted.remove(&key).flatten() {
                rule.recount(counted, &self.settings.model);
            }
            if let Some((_, stored)) = found {
                let tracker = stored.into_tracker();
                changes.extend(rule.take_tracker(tracker, at, &self.context));
                rule.settle(at);
            }
        }
        for (key, stored) in alerts {
            let (rule, tracker) = (stored.rule(), stored.into_tracker());
            let (retired, ended) = Retired::new(key, rule, tracker, at, &self.context);
            changes.extend(ended);
            self.retired.push(retired);
        }
        if let Some(gates) = stored.gates {
            self.retraining.gates = gates;
        }
        self.keep_known_gates();
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
                alerts.push((rule.key.clone(), StoredAlerts::new(definition, tracker)));
            }
        }
        for retired in &self.retired {
            // A rule with the same key may have returned with its own alerts.
            if alerts.iter().all(|(key, _)| *key != retired.key) {
                alerts.push((retired.key.clone(), retired.stored()));
            }
        }
        changes.alerts = replace(&mut self.stored.alerts, alerts);
        changes.gates = (self.stored.gates != self.retraining.gates).then(|| {
            self.stored.gates.clone_from(&self.retraining.gates);
            self.stored.gates.clone()
        });
        if with_knowledge {
            let Knowledge { learnt, counted } = self.knowledge();
            changes.learnt = replace(&mut self.stored.learnt, learnt);
            changes.counted = replace(&mut self.stored.counted, counted);
        }
        changes
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
            strategy: watch.strategy.clone(),
            direction: watch.direction,
            interval: watch.alert.interval,
            model_version: model.version.clone(),
            series: watching.table.snapshot(),
        })
    }

    /// The counts of a drift rule.
    fn counted(&self, model: &Model) -> Option<Counted> {
        let RuleKind::Record(recorder) = &self.kind else {
            return None;
        };
        let detector = recorder.detector.as_ref()?;
        Some(Counted {
            model_version: model.version.clone(),
            memory: detector.memory(recorder.drift()?),
        })
    }

    /// Restores the counts of an earlier process if they are about the same version of the model.
    fn recount(&mut self, counted: Counted, model: &Model) {
        let RuleKind::Record(recorder) = &mut self.kind else {
            return;
        };
        let map::Source::Drift(drift) = &recorder.recording.source else {
            return;
        };
        let Some(detector) = &mut recorder.detector else {
            return;
        };
        let rule = &recorder.recording.name;
        if counted.model_version != model.version {
            info!(%rule, "the model's version changed; drift is counted anew");
        } else if let Err(why) = detector.restore(drift, counted.memory) {
            info!(%rule, why, "drift is counted anew");
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
        let is_carried = model.baseline == Baseline::Carry;
        let is_same = learned.strategy == watch.strategy
            && learned.direction == watch.direction
            && learned.interval == watch.alert.interval;
        if !is_same {
            info!(rule = %name, "the strategy changed and learns anew");
        } else if learned.model_version != model.version && !is_carried {
            info!(rule = %name, "the model's version changed; the strategy learns anew");
        } else {
            for (labels, error) in watching.table.restore(&learned.series) {
                warn!(rule = %name, %labels, %error, "the stored state of the strategy is unusable; learning anew");
            }
        }
    }
}
