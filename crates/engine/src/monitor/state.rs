//! What of a monitor is stored, and how it is taken up again.

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
    /// Takes up what an earlier process stored. Call it once, before the first tick. Gives the
    /// alerts whose state changed by that.
    pub fn restore(&mut self, stored: StoredState, at: Timestamp) -> Vec<Alert> {
        let mut alerts: BTreeMap<String, StoredAlerts> = stored.alerts.into_iter().collect();
        let mut learnt: BTreeMap<String, Option<Learnt>> = stored.learnt.into_iter().collect();
        let mut counted: BTreeMap<String, Option<Counted>> = stored.counted.into_iter().collect();
        self.stored.alerts = alerts.keys().cloned().collect();
        self.stored.learnt = learnt.keys().cloned().collect();
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
            if let Some(learnt) = learnt.remove(&key).flatten() {
                rule.relearn(&learnt, &self.settings.model);
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

    /// Forgets the gates of watches that no longer retrain.
    pub(super) fn keep_known_gates(&mut self) {
        let rules = self.groups.iter().flat_map(|group| &group.rules);
        let known: BTreeSet<&str> = rules
            .filter(|rule| match &rule.kind {
                RuleKind::Watch(watching) => watching.watch.retrain.is_some(),
                RuleKind::Record(_) | RuleKind::Alert(_) => false,
            })
            .map(RuleState::name)
            .collect();
        self.retraining
            .gates
            .retain(|key| known.contains(key.rule.as_str()));
    }

    /// What changed since the last time, with what the strategies learnt when `with_knowledge` is
    /// set.
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
            // A rule of the same place in the files may have come back with alerts of its own.
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

    /// The keys by which what rules learnt is found again.
    #[must_use]
    pub fn rule_keys(&self) -> BTreeSet<String> {
        self.rules().map(|rule| rule.key.clone()).collect()
    }

    /// Everything that strategies learnt and drift rules counted.
    #[must_use]
    pub fn knowledge(&self) -> Knowledge {
        let model = &self.settings.model;
        let learnt = self
            .rules()
            .filter_map(|rule| Some((rule.key.clone(), rule.learnt(model)?)));
        let counted = self
            .rules()
            .filter_map(|rule| Some((rule.key.clone(), rule.counted(model)?)));
        Knowledge {
            learnt: learnt.collect(),
            counted: counted.collect(),
        }
    }

    /// Takes what another monitor of the same rules learnt in the place of what this one did.
    /// Alerts stay as they are.
    pub fn adopt(&mut self, knowledge: &Knowledge) {
        let Knowledge { learnt, counted } = knowledge;
        let model = &self.settings.model;
        for rule in self.groups.iter_mut().flat_map(|group| &mut group.rules) {
            let learnt = learnt.iter().find(|(key, _)| *key == rule.key);
            if let Some((_, learnt)) = learnt.filter(|(_, learnt)| !learnt.series.is_empty()) {
                if let RuleKind::Watch(watching) = &mut rule.kind {
                    watching.table.reset();
                }
                rule.relearn(learnt, model);
            }
            if let Some((_, counted)) = counted.iter().find(|(key, _)| *key == rule.key) {
                rule.recount(counted.clone(), model);
            }
        }
    }

    /// Leaves out what these rules have learnt already.
    pub fn skip_until(&mut self, keys: &BTreeSet<String>, until: Timestamp) {
        for rule in self.rules_mut() {
            if keys.contains(&rule.key) {
                rule.learnt_until = Some(until);
            }
        }
    }
}

/// The records to write so that these are stored in the place of what is.
fn replace<T>(stored: &mut BTreeSet<String>, records: ByRule<T>) -> ByRule<Option<T>> {
    let alive: BTreeSet<String> = records.iter().map(|(key, _)| key.clone()).collect();
    let gone = stored.difference(&alive).map(|key| (key.clone(), None));
    let records = records.into_iter().map(|(key, record)| (key, Some(record)));
    let changes = records.chain(gone).collect();
    *stored = alive;
    changes
}

impl RuleState {
    /// What the strategy of a watch learnt.
    fn learnt(&self, model: &Model) -> Option<Learnt> {
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

    /// What a drift rule counted.
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

    /// Continues to count where an earlier process stopped, when it was about the same version of
    /// the model.
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

    /// Uses what was learnt before, when it was learnt by the same strategy about the same version
    /// of the model.
    fn relearn(&mut self, learnt: &Learnt, model: &Model) {
        let RuleKind::Watch(watching) = &mut self.kind else {
            return;
        };
        let watch = &watching.watch;
        let name = &watch.alert.name;
        let is_carried = model.baseline == Baseline::Carry;
        let is_same = learnt.strategy == watch.strategy
            && learnt.direction == watch.direction
            && learnt.interval == watch.alert.interval;
        if !is_same {
            info!(rule = %name, "the strategy changed and learns anew");
        } else if learnt.model_version != model.version && !is_carried {
            info!(rule = %name, "the model's version changed; the strategy learns anew");
        } else {
            for (labels, error) in watching.table.restore(&learnt.series) {
                warn!(rule = %name, %labels, %error, "what was learnt cannot be used; learning anew");
            }
        }
    }
}
