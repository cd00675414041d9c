//! Applies new settings and rules to a running monitor; unchanged rules and targets keep their
//! state.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::groups::fresh_groups;
use super::model_monitor::ModelMonitor;
use super::names::{claim, keys};
use super::retired::Retired;
use super::rule::RuleState;
use super::selection::{longest_reach, selects_alerts};
use super::settings::Settings;
use super::tick::Tick;
use crate::alert::Alert;
use crate::metric::Timestamp;
use crate::rules::{Recorded, RuleSet};

impl ModelMonitor {
    /// Applies new settings and rules, which have passed every check.
    ///
    /// A rule of the same group and name keeps its alerts, and its learned state unless its
    /// strategy changed. The alerts of a removed rule resolve and its recorded series end. A target
    /// that stays keeps its samples. The returned alerts are to be sent now: every resolved alert,
    /// and every firing alert again.
    pub fn reload(&mut self, settings: Settings, rules: Arc<RuleSet>, at: Timestamp) -> Tick {
        let before = std::mem::replace(&mut self.settings, settings);
        self.rules = rules;
        let (settings, rules) = (&self.settings, &self.rules);
        self.context = settings.context();
        self.recorded = Recorded::of(rules);
        self.alert_series = selects_alerts(rules);
        let limits = settings.window_limits(longest_reach(settings, rules));
        if self.window.limits().retention != limits.retention {
            self.window.set_retention(limits.retention);
        }
        let name = |settings: &Settings| {
            let discovery = settings.discovery.as_ref();
            discovery.map(|discovery| discovery.name.clone())
        };
        if name(&before) != name(settings) {
            self.discovered.addresses = None;
        }
        let is_same_model = before.model.version == settings.model.version;
        self.retraining.reconfigure(settings);
        self.replace_targets(before.ingest == self.settings.ingest, at);
        let mut changes = self.replace_rules(is_same_model, at);
        changes.extend(self.end_removed_targets(&before, at));
        self.keep_known_gates();
        for rule in self.rules_mut() {
            rule.renew();
        }
        self.stored.urgent = true;
        Tick {
            alerts: self.due(at),
            changes,
            requests: Vec::new(),
        }
    }

    fn replace_rules(&mut self, is_same_model: bool, at: Timestamp) -> Vec<Alert> {
        let before = std::mem::take(&mut self.groups);
        let last: BTreeMap<_, _> = before
            .iter()
            .map(|group| ((group.file.clone(), group.name.clone()), group.schedule()))
            .collect();
        let mut pool: BTreeMap<String, RuleState> = before
            .into_iter()
            .flat_map(|group| group.rules)
            .map(|rule| (rule.key.clone(), rule))
            .collect();
        let wanted = keys(&self.rules);
        let mut changes = Vec::new();
        let mut groups = fresh_groups(
            &self.settings,
            &self.rules,
            &self.registry,
            &mut self.last_owner,
        );
        for group in &mut groups {
            let name = (group.file.clone(), group.name.clone());
            if let Some(schedule) = last.get(&name) {
                group.resume(*schedule);
            }
            for rule in &mut group.rules {
                let found = claim(&mut pool, &rule.key, rule.name(), &wanted, RuleState::name);
                if let Some((_, old)) = found {
                    changes.extend(rule.inherit(old, is_same_model, at, &self.context));
                }
            }
        }
        self.groups = groups;
        let owners: HashSet<u64> = self.rules().map(|rule| rule.owner).collect();
        self.evidence.retain(|owner| owners.contains(&owner));
        for (key, rule) in pool {
            changes.extend(self.retire(key, rule, at));
        }
        changes
    }

    /// Ends the alerts and the recorded series of a removed rule.
    fn retire(&mut self, key: String, rule: RuleState, at: Timestamp) -> Vec<Alert> {
        // The first end accepts what was recorded last, the second finds nothing new.
        self.window.end_records(rule.owner, at);
        self.window.end_records(rule.owner, at);
        if self.alerts_of(&rule).is_empty() {
            return Vec::new();
        }
        let Some((definition, tracker)) = rule.into_alerting() else {
            return Vec::new();
        };
        let (retired, changes) = Retired::new(key, definition, tracker, at, &self.context);
        self.retired.push(retired);
        changes
    }

    /// Ends the alerts of series that carry the identity of a target that is no longer scraped.
    fn end_removed_targets(&mut self, before: &Settings, at: Timestamp) -> Vec<Alert> {
        let kept: HashSet<&str> = self
            .targets
            .iter()
            .filter_map(|target| target.labels.get("instance"))
            .collect();
        let gone: HashSet<String> = before
            .targets
            .iter()
            .filter_map(|target| target.labels.get("instance"))
            .filter(|instance| !kept.contains(instance))
            .map(str::to_owned)
            .collect();
        self.end_of(&gone, at)
    }
}
