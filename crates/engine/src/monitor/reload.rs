//! Applies new settings and rules to a running monitor; unchanged rules and targets keep their
//! state.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::groups::{GroupState, fresh_groups};
use super::model_monitor::ModelMonitor;
use super::names::{Identity, Pairs, pair};
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
    /// A rule of the same group, name and labels keeps its alerts, and its learned state unless its
    /// strategy or the value that it judges changed. The alerts of a removed rule resolve and its recorded series end. A target
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
        if self.window.limits() != limits {
            self.window.set_limits(limits);
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
        self.keep_known_gates(at);
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
        let mut changes = Vec::new();
        let mut groups = fresh_groups(
            &self.settings,
            &self.rules,
            &self.registry,
            &mut self.last_owner,
        );
        keep_times(&before, &mut groups);
        let mut old: Vec<Option<RuleState>> = before
            .into_iter()
            .flat_map(|group| group.rules)
            .map(Some)
            .collect();
        let pairs = {
            let rules = groups.iter().flat_map(|group| &group.rules);
            let new: Vec<&Identity> = rules.map(|rule| &rule.identity).collect();
            let old: Vec<&Identity> = old.iter().flatten().map(|rule| &rule.identity).collect();
            pair(&old, &new)
        };
        let mut moved = BTreeMap::new();
        let rules = groups.iter_mut().flat_map(|group| &mut group.rules);
        for (rule, found) in rules.zip(pairs) {
            if let Some(old) = found.and_then(|found| old[found].take()) {
                moved.insert(old.key.clone(), rule.key.clone());
                let taken = rule.inherit(old, is_same_model, at, &self.context);
                changes.extend(taken.changes);
                self.retired.extend(taken.ended);
            }
        }
        self.groups = groups;
        self.retraining.follow(&moved);
        let owners: HashSet<u64> = self.rules().map(|rule| rule.owner).collect();
        self.evidence.retain(|owner| owners.contains(&owner));
        for rule in old.into_iter().flatten() {
            changes.extend(self.retire(rule, at));
        }
        changes
    }

    /// Ends the alerts and the recorded series of a removed rule.
    fn retire(&mut self, rule: RuleState, at: Timestamp) -> Vec<Alert> {
        // The first end accepts what was recorded last, the second finds nothing new.
        self.window.end_records(rule.owner, at);
        self.window.end_records(rule.owner, at);
        if self.alerts_of(&rule).is_empty() {
            return Vec::new();
        }
        let identity = rule.identity.clone();
        let Some((definition, tracker)) = rule.into_alerting() else {
            return Vec::new();
        };
        let (retired, changes) = Retired::new(identity, definition, tracker, at, &self.context);
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

/// Groups go on with the schedule of before; a group may be in another file now.
fn keep_times(before: &[GroupState], groups: &mut [GroupState]) {
    let times = {
        let old: Vec<&GroupState> = before.iter().collect();
        let new: Vec<&GroupState> = groups.iter().collect();
        let mut pairs = Pairs::new(&old, &new);
        pairs.first(|group| (&group.file, &group.name));
        pairs.only(|group| &group.name);
        pairs.of_new
    };
    for (group, found) in groups.iter_mut().zip(times) {
        if let Some(found) = found {
            group.resume(before[found].schedule());
        }
    }
}
