//! The alerts of one rule, over all its label sets.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::metric::{Labels, Timestamp};

use super::entry::{ALERT_LIMIT, Entry, Step};
use super::link::generator_url;
use super::pass::{Labelled, Pass, annotations, effective, label, lease, mark_no_data};
use super::template::TemplateEnvironment;
use super::{
    Alert, AlertKind, AlertRule, AlertState, Changes, Condition, Context, NoData, Observation,
    Outcome,
};

/// A rule's alerts as the store keeps them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TrackerSnapshot {
    evaluated_at: Option<Timestamp>,
    entries: Vec<Entry>,
}

/// The state of one rule. Keep it when the rule file is reloaded and call [`Tracker::adopt`].
#[derive(Debug, Clone, Default)]
pub struct Tracker {
    pub(super) entries: BTreeMap<Labels, Entry>,
    evaluated_at: Option<Timestamp>,
    restored: bool,
    /// The series that shared their alert labels with others in the last evaluation.
    merged: HashMap<Labels, Labels>,
}

/// Why an alert ended whose series is normal again.
const RECOVERED: &str = "recovered";

impl Tracker {
    /// No alerts yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies one evaluation; the environment is that of its templates.
    pub fn evaluate<'a>(
        &mut self,
        rule: &'a AlertRule,
        at: Timestamp,
        outcome: Outcome,
        environment: impl Into<TemplateEnvironment<'a>>,
    ) -> Changes {
        let mut pass = Pass::new(rule, at, environment);
        self.skip_outage(rule, at);
        match outcome {
            Outcome::Failed(error) => {
                pass.changes.error = Some(error);
                self.pause_absence();
            }
            Outcome::Idle => {
                self.idle(&mut pass);
                self.pause_absence();
            }
            Outcome::Observed(observations) => self.observe(&mut pass, observations),
        }
        self.evaluated_at = Some(at);
        pass.changes
    }

    /// The time a process was down does not count towards `for`: it is unknown whether the
    /// condition held.
    fn skip_outage(&mut self, rule: &AlertRule, at: Timestamp) {
        let restored = std::mem::take(&mut self.restored);
        let Some(before) = self.evaluated_at.filter(|_| restored) else {
            return;
        };
        if at < before {
            self.set_back(before.since(at));
        } else {
            self.skip(at.since(before).saturating_sub(rule.interval));
        }
    }

    /// Excludes a time without evaluations: it does not count towards `for` and `no_data_resolve`.
    pub fn skip(&mut self, unseen: Duration) {
        self.pause_absence();
        for entry in self.entries.values_mut() {
            if entry.state == AlertState::Pending {
                entry.active_at = entry.active_at + unseen;
            }
        }
    }

    /// Moves all times back after the clock went back, so that durations stay the same.
    pub fn set_back(&mut self, by: Duration) {
        self.evaluated_at = self.evaluated_at.map(|at| at - by);
        for entry in self.entries.values_mut() {
            entry.set_back(by);
        }
    }

    fn observe(&mut self, pass: &mut Pass<'_>, mut observations: Vec<Observation>) {
        let rule = pass.rule;
        let nothing = observations.is_empty();
        if nothing
            && rule.kind == AlertKind::Watch
            && rule.no_data == NoData::Alert
            && !self.has_series()
        {
            observations.push(Observation {
                labels: Labels::empty(),
                value: f64::NAN,
                condition: Condition::NoData,
                explanation: None,
                ending: None,
            });
        }
        if self.entries.is_empty() {
            // Healthy series without an alert need no labels: skip template expansion.
            observations.retain(|observation| is_active(effective(rule, observation.condition)));
        }
        let known = self.known_labels(pass);
        let Some(mut labelled) = label(pass, observations, &known) else {
            return;
        };
        let replaced = self.replaced(pass.rule, &mut labelled);
        self.merged = labelled.merged;
        let labelled = labelled.observations;
        let unlisted = self.unlisted(&labelled);
        let missing = unlisted.iter().map(|(labels, _)| labels);
        self.note_absence(missing.chain(&replaced), pass.at);
        for (labels, observation) in labelled {
            self.one(pass, &labels, observation, nothing);
        }
        for (labels, is_relabelled) in unlisted {
            self.missing(pass, &labels, is_relabelled, nothing);
        }
        self.limit(pass);
    }

    /// Finds the alerts of a watch whose series is missing while another series has their labels. The
    /// other one being healthy says nothing about it.
    fn replaced(&self, rule: &AlertRule, labelled: &mut Labelled) -> Vec<Labels> {
        let mut replaced = Vec::new();
        if rule.kind == AlertKind::Alert {
            return replaced;
        }
        for (labels, observation) in &mut labelled.observations {
            let entry = self.entries.get(labels);
            let entry = entry.filter(|entry| entry.is_active() && !entry.synthetic);
            let is_other = entry.is_some_and(|entry| {
                entry.series != observation.labels && !labelled.merged.contains_key(&entry.series)
            });
            if is_other && observation.condition == Condition::Healthy {
                observation.condition = Condition::NoData;
                replaced.push(labels.clone());
            }
        }
        replaced
    }

    /// The labels of active alerts by series, to be kept while the window fills.
    fn known_labels(&self, pass: &Pass<'_>) -> HashMap<Labels, Labels> {
        if pass.is_filled {
            return HashMap::new();
        }
        let entries = self.entries.iter();
        let known = entries.filter(|(_, entry)| entry.is_active() && !entry.synthetic);
        known
            .map(|(labels, entry)| (entry.series.clone(), labels.clone()))
            .collect()
    }

    /// No model runs: the state of every series stays, and the alert about missing data ends.
    fn idle(&mut self, pass: &mut Pass<'_>) {
        let known: Vec<Labels> = self.entries.keys().cloned().collect();
        for labels in known {
            let Some(entry) = self.entries.get(&labels).filter(|entry| !entry.is_notice()) else {
                continue;
            };
            let condition = if entry.synthetic {
                Condition::Healthy
            } else {
                Condition::Unsure
            };
            let observation = Observation {
                condition,
                ..Observation::active(entry.series.clone(), entry.value)
            };
            let synthetic = entry.synthetic;
            self.one(pass, &labels, observation, synthetic);
        }
    }

    fn has_series(&self) -> bool {
        self.entries.values().any(|entry| !entry.synthetic)
    }

    /// Applies the observation of one series.
    fn one(
        &mut self,
        pass: &mut Pass<'_>,
        labels: &Labels,
        observation: Observation,
        synthetic: bool,
    ) {
        let condition = effective(pass.rule, observation.condition);
        let Pass { rule, at, .. } = *pass;
        if !is_active(condition) {
            let Some(entry) = self.entries.get_mut(labels) else {
                return;
            };
            let step = match condition {
                Condition::Healthy => entry.unseen(at, rule.keep_firing_for),
                Condition::Accepted => entry.unseen(at, Duration::ZERO),
                Condition::Active | Condition::Held | Condition::Unsure | Condition::NoData => {
                    entry.unknown(at)
                }
            };
            let why = match observation.ending.as_deref() {
                Some(why) => why,
                None if observation.condition == Condition::Healthy => RECOVERED,
                None => "no data, which the rule takes for healthy",
            };
            pass.note_end(entry, why);
            self.apply(pass, labels, step);
            return;
        }
        let known = self.entries.get(labels).is_some_and(Entry::is_active);
        if !known {
            if rule.kind == AlertKind::Watch && self.is_full(rule) {
                pass.changes.refused += 1;
                return;
            }
            let mut entry = Entry::pending(labels.clone(), observation.labels.clone(), at);
            entry.synthetic = synthetic;
            self.entries.insert(labels.clone(), entry);
        }
        let Some(entry) = self.entries.get_mut(labels) else {
            return;
        };
        entry.value = observation.value;
        entry.series = observation.labels;
        // The alert about missing data and the alert of a single `sum` series have the same labels.
        entry.synthetic = synthetic;
        let missing = observation.condition == Condition::NoData;
        if !missing && observation.explanation.is_some() {
            entry.explanation = observation.explanation;
        }
        let since = entry.no_data_since;
        let step = if condition == Condition::Held {
            entry.held()
        } else {
            entry.seen(at, rule.hold)
        };
        if missing {
            entry.no_data_since = since.or(Some(at));
        }
        entry.annotations = annotations(pass, entry);
        let step = if known { step } else { Step::Changed };
        self.apply(pass, labels, step);
    }

    fn is_full(&self, rule: &AlertRule) -> bool {
        let active = self
            .entries
            .values()
            .filter(|e| e.is_active() && !e.synthetic);
        rule.limit > 0 && active.count() >= rule.limit
    }

    pub(super) fn apply(&mut self, pass: &mut Pass<'_>, labels: &Labels, step: Step) {
        match step {
            Step::Same => {}
            Step::Gone => {
                self.entries.remove(labels);
            }
            Step::Changed => {
                if let Some(entry) = self.entries.get(labels) {
                    let alert = entry.alert(&pass.rule.name, &pass.url);
                    pass.changes.alerts.push(alert);
                }
            }
        }
    }

    /// The label sets that are missing from this evaluation, and for each whether its series is
    /// there under other labels.
    fn unlisted(&self, labelled: &[(Labels, Observation)]) -> Vec<(Labels, bool)> {
        let listed: HashSet<&Labels> = labelled.iter().map(|(labels, _)| labels).collect();
        let rest = self.entries.iter();
        let rest: Vec<(&Labels, &Entry)> = rest
            .filter(|(labels, entry)| !listed.contains(*labels) && !entry.is_notice())
            .collect();
        if rest.is_empty() {
            return Vec::new();
        }
        let series: HashSet<&Labels> = labelled.iter().map(|(_, seen)| &seen.labels).collect();
        rest.into_iter()
            .map(|(labels, entry)| (labels.clone(), series.contains(&entry.series)))
            .collect()
    }

    /// Handles a label set that is missing from this evaluation.
    fn missing(
        &mut self,
        pass: &mut Pass<'_>,
        labels: &Labels,
        is_relabelled: bool,
        nothing: bool,
    ) {
        let kind = pass.rule.kind;
        let Some(entry) = self.entries.get(labels) else {
            return;
        };
        if is_relabelled && kind == AlertKind::Watch {
            self.end_one(pass, labels, "the series has other alert labels now");
            return;
        }
        let gone_marker = entry.synthetic && !nothing;
        // Missing data must not raise a new alert for a series whose alert resolved.
        let is_healthy = kind == AlertKind::Alert || gone_marker || !entry.is_active();
        let observation = Observation {
            labels: entry.series.clone(),
            value: entry.value,
            condition: if is_healthy {
                Condition::Healthy
            } else {
                Condition::NoData
            },
            explanation: None,
            ending: gone_marker.then(|| "there is data again".to_owned()),
        };
        let synthetic = entry.synthetic;
        self.one(pass, labels, observation, synthetic);
    }

    /// Enforces the rule's limit: a watch raises an alert about it, a plain alert loses its state
    /// as in Prometheus.
    fn limit(&mut self, pass: &mut Pass<'_>) {
        let rule = pass.rule;
        let active = self
            .entries
            .values()
            .filter(|e| e.is_active() && !e.is_notice())
            .count();
        if rule.kind == AlertKind::Alert {
            if rule.limit > 0 && active > rule.limit {
                self.entries.clear();
                pass.changes.alerts.clear();
                pass.changes.error = Some(format!(
                    "exceeded limit of {} with {active} alerts",
                    rule.limit
                ));
            }
            return;
        }
        let refused = pass.changes.refused;
        let text = format!(
            "{refused} more series of {} are anomalous than the limit of {} lets alert",
            rule.name, rule.limit
        );
        self.notice(pass, ALERT_LIMIT, refused, || text.clone());
        if refused > 0 {
            pass.changes.remark = Some(text);
        }
    }

    /// Returns the alerts to send now and marks them as sent.
    ///
    /// A firing alert expires at the receiver [`lease`] from now, so call this at every evaluation,
    /// failed ones included.
    pub fn due(
        &mut self,
        rule: &AlertRule,
        at: Timestamp,
        resend_delay: Duration,
        context: &Context,
    ) -> Vec<Alert> {
        let until = at + lease(rule.interval, resend_delay);
        let url = generator_url(rule, context);
        let due = self
            .entries
            .values_mut()
            .filter(|entry| entry.needs_sending(at, resend_delay));
        due.map(|entry| {
            entry.last_sent = Some(at);
            let mut alert = entry.alert(&rule.name, &url);
            alert.ends_at = alert.resolved_at.or(Some(until));
            mark_no_data(&mut alert);
            alert
        })
        .collect()
    }

    /// Marks everything as unsent, so that the next [`Tracker::due`] renews every lease and repeats
    /// every resolved alert.
    ///
    /// Call it before a reload; a restore does it by itself.
    pub fn renew_leases(&mut self) {
        for entry in self.entries.values_mut() {
            entry.last_sent = None;
        }
    }

    /// The state to store.
    #[must_use]
    pub fn snapshot(&self) -> TrackerSnapshot {
        TrackerSnapshot {
            evaluated_at: self.evaluated_at,
            entries: self.entries.values().cloned().collect(),
        }
    }

    /// A tracker that continues from a stored state; every firing alert is due at once.
    #[must_use]
    pub fn restore(snapshot: TrackerSnapshot) -> Self {
        let entries = snapshot.entries.into_iter();
        let mut tracker = Self {
            entries: entries.map(|entry| (entry.labels.clone(), entry)).collect(),
            evaluated_at: snapshot.evaluated_at,
            restored: true,
            merged: HashMap::new(),
        };
        tracker.renew_leases();
        tracker
    }

    /// Every alert that is pending, firing or recently resolved, in order of labels.
    #[must_use]
    pub fn alerts(&self, rule: &AlertRule, context: &Context) -> Vec<Alert> {
        let url = generator_url(rule, context);
        let entries = self.entries.values();
        entries.map(|entry| entry.alert(&rule.name, &url)).collect()
    }

    /// The firing alerts of series, without those about a limit or an empty expression.
    #[must_use]
    pub fn firing(&self, rule: &AlertRule, context: &Context) -> Vec<Alert> {
        let url = generator_url(rule, context);
        let firing = self
            .entries
            .values()
            .filter(|e| e.state == AlertState::Firing && !e.synthetic);
        firing.map(|entry| entry.alert(&rule.name, &url)).collect()
    }

    /// The series whose alerts fire, those that share an alert with others included, and since when
    /// their conditions hold.
    #[must_use]
    pub fn firing_series(&self) -> HashMap<&Labels, Timestamp> {
        let firing = |entry: &&Entry| entry.state == AlertState::Firing && !entry.synthetic;
        let own = self.entries.values().filter(firing);
        let own = own.map(|entry| (&entry.series, entry.active_at));
        let shared = self.merged.iter().filter_map(|(series, labels)| {
            let entry = self.entries.get(labels).filter(firing)?;
            Some((series, entry.active_at))
        });
        shared.chain(own).collect()
    }

    /// Whether a series shared its alert labels with others in the last evaluation.
    #[must_use]
    pub fn is_shared(&self, series: &Labels) -> bool {
        self.merged.contains_key(series)
    }

    /// The series that have a pending or firing alert.
    pub fn active_series(&self) -> impl Iterator<Item = &Labels> {
        let active = self.entries.values().filter(|entry| entry.is_active());
        active.map(|entry| &entry.series)
    }

    /// Whether there is no alert, not even a resolved one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The labels of the firing alerts.
    pub fn firing_labels(&self) -> impl Iterator<Item = &Labels> {
        let entries = self.entries.iter();
        let firing = entries.filter(|(_, entry)| entry.state == AlertState::Firing);
        firing.map(|(labels, _)| labels)
    }

    /// How many alerts are in this state.
    #[must_use]
    pub fn count(&self, state: AlertState) -> usize {
        self.entries.values().filter(|e| e.state == state).count()
    }
}

/// Whether a condition starts an alert under the rule's `no_data`.
fn is_active(condition: Condition) -> bool {
    matches!(condition, Condition::Active | Condition::Held)
}
