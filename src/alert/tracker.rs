//! The alerts of one rule, over all its label sets.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::metric::{Labels, Timestamp};

use super::entry::{Entry, Step};
use super::template::Scope;
use super::{Alert, Context, Explanation, Kind, NoData, Rule, State};

/// What is known about the condition of one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It holds: in the vector of a plain alert, anomalous for a watch.
    Active,
    /// It does not hold.
    Healthy,
    /// There is a value, but no verdict yet (warming up, too few samples): the state stays.
    Unsure,
    /// There is no value: `no_data` decides.
    NoData,
}

/// What an evaluation says about one series.
#[derive(Debug, Clone)]
pub struct Observation {
    /// The series' labels, name included.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
    /// Whether the condition holds.
    pub condition: Condition,
    /// Why, for a watch.
    pub explanation: Option<Arc<Explanation>>,
}

impl Observation {
    /// A series in the result of a plain alert's expression.
    #[must_use]
    pub fn active(labels: Labels, value: f64) -> Self {
        Self {
            labels,
            value,
            condition: Condition::Active,
            explanation: None,
        }
    }
}

/// What one evaluation of a rule gave.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// One observation per series; a series that is not listed is healthy for an alert and has no data for a watch.
    Observed(Vec<Observation>),
    /// The expression could not be evaluated; every state stays.
    Failed(String),
}

/// What an evaluation changed.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The alerts whose state changed, for subscribers and the log.
    pub alerts: Vec<Alert>,
    /// Why the rule is not healthy: evaluation error, ambiguous series, limit.
    pub error: Option<String>,
    /// Series refused by the limit.
    pub refused: usize,
}

/// A rule's alerts as the store keeps them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Snapshot {
    evaluated_at: Option<Timestamp>,
    entries: Vec<Entry>,
}

/// The state of one rule. Keep it when the rule file is reloaded and call [`Tracker::adopt`].
#[derive(Debug, Default)]
pub struct Tracker {
    entries: BTreeMap<Labels, Entry>,
    evaluated_at: Option<Timestamp>,
    restored: bool,
    last_error: Option<String>,
}

/// How long a receiver may believe a firing alert: four times the longer of interval and resend delay.
#[must_use]
pub fn lease(interval: Duration, resend_delay: Duration) -> Duration {
    interval.max(resend_delay) * 4
}

/// Name of the alert that says a limit refused others.
const LIMIT_ALERT: &str = "SidewatchAlertLimitReached";

/// One evaluation in progress.
struct Pass<'a> {
    rule: &'a Rule,
    context: &'a Context,
    at: Timestamp,
    changes: Changes,
}

impl Tracker {
    /// No alerts yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in one evaluation.
    pub fn evaluate(
        &mut self,
        rule: &Rule,
        at: Timestamp,
        outcome: Outcome,
        context: &Context,
    ) -> Changes {
        let mut pass = Pass {
            rule,
            context,
            at,
            changes: Changes::default(),
        };
        self.skip_outage(rule, at);
        match outcome {
            Outcome::Failed(error) => pass.changes.error = Some(error),
            Outcome::Observed(observations) => self.observe(&mut pass, observations),
        }
        self.evaluated_at = Some(at);
        self.last_error.clone_from(&pass.changes.error);
        pass.changes
    }

    /// The time a process was down does not count towards `for`: nobody saw whether the condition held.
    fn skip_outage(&mut self, rule: &Rule, at: Timestamp) {
        let restored = std::mem::take(&mut self.restored);
        let Some(before) = self.evaluated_at.filter(|_| restored) else {
            return;
        };
        let unseen = at.since(before).saturating_sub(rule.interval);
        for entry in self.entries.values_mut() {
            if entry.state == State::Pending {
                entry.active_at = entry.active_at + unseen;
            }
        }
    }

    fn observe(&mut self, pass: &mut Pass<'_>, mut observations: Vec<Observation>) {
        let rule = pass.rule;
        let nothing = observations.is_empty();
        if nothing
            && rule.kind == Kind::Watch
            && rule.no_data == NoData::Alert
            && !self.has_series()
        {
            observations.push(Observation {
                labels: Labels::empty(),
                value: f64::NAN,
                condition: Condition::NoData,
                explanation: None,
            });
        }
        let Some(labelled) = label(pass, observations) else {
            return;
        };
        let mut listed = HashSet::with_capacity(labelled.len());
        for (labels, observation) in labelled {
            self.one(pass, &labels, observation, nothing);
            listed.insert(labels);
        }
        self.unlisted(pass, &listed, nothing);
        self.limit(pass);
    }

    fn has_series(&self) -> bool {
        self.entries.values().any(|entry| !entry.synthetic)
    }

    /// Applies what is known about one series.
    fn one(
        &mut self,
        pass: &mut Pass<'_>,
        labels: &Labels,
        observation: Observation,
        synthetic: bool,
    ) {
        let condition = effective(pass.rule, observation.condition);
        let Pass { rule, at, .. } = *pass;
        if condition != Condition::Active {
            let Some(entry) = self.entries.get_mut(labels) else {
                return;
            };
            let step = match condition {
                Condition::Healthy => entry.unseen(at, rule.keep_firing_for),
                Condition::Active | Condition::Unsure | Condition::NoData => entry.unknown(at),
            };
            self.apply(pass, labels, step);
            return;
        }
        let known = self.entries.get(labels).is_some_and(Entry::is_active);
        if !known {
            if rule.kind == Kind::Watch && self.is_full(rule) {
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
        let missing = observation.condition == Condition::NoData;
        if !missing {
            entry.explanation = observation.explanation;
        }
        let since = entry.no_data_since;
        let step = entry.seen(at, rule.hold);
        if missing {
            entry.no_data_since = since.or(Some(at));
        }
        entry.annotations = annotations(pass, entry);
        let step = if known { step } else { Step::Changed };
        self.apply(pass, labels, step);
    }

    fn is_full(&self, rule: &Rule) -> bool {
        let active = self
            .entries
            .values()
            .filter(|e| e.is_active() && !e.synthetic);
        rule.limit > 0 && active.count() >= rule.limit
    }

    fn apply(&mut self, pass: &mut Pass<'_>, labels: &Labels, step: Step) {
        match step {
            Step::Same => {}
            Step::Gone => {
                self.entries.remove(labels);
            }
            Step::Changed => {
                if let Some(entry) = self.entries.get(labels) {
                    let alert =
                        entry.alert(&pass.rule.name, &generator_url(pass.rule, pass.context));
                    pass.changes.alerts.push(alert);
                }
            }
        }
    }

    /// The label sets this evaluation did not mention.
    fn unlisted(&mut self, pass: &mut Pass<'_>, listed: &HashSet<Labels>, nothing: bool) {
        let rest: Vec<Labels> = self
            .entries
            .iter()
            .filter(|(labels, entry)| !listed.contains(*labels) && !is_limit(entry))
            .map(|(labels, _)| labels.clone())
            .collect();
        for labels in rest {
            let Some(entry) = self.entries.get(&labels) else {
                continue;
            };
            let gone_marker = entry.synthetic && !nothing;
            let condition = if pass.rule.kind == Kind::Alert || gone_marker {
                Condition::Healthy
            } else {
                Condition::NoData
            };
            // A resolved alert of a vanished series must not come back as a new one because data is missing.
            let condition = if entry.is_active() {
                condition
            } else {
                Condition::Healthy
            };
            let observation = Observation {
                labels: entry.series.clone(),
                value: entry.value,
                condition,
                explanation: None,
            };
            let synthetic = entry.synthetic;
            self.one(pass, &labels, observation, synthetic);
        }
    }

    /// Enforces the rule's limit: a watch says so in an alert, a plain alert loses its state as in Prometheus.
    fn limit(&mut self, pass: &mut Pass<'_>) {
        let rule = pass.rule;
        let active = self
            .entries
            .values()
            .filter(|e| e.is_active() && !is_limit(e))
            .count();
        if rule.kind == Kind::Alert {
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
        let labels = pass
            .context
            .identity
            .with("alertname", LIMIT_ALERT)
            .with("rule", &rule.name);
        if refused == 0 {
            let Some(entry) = self.entries.get_mut(&labels) else {
                return;
            };
            let step = entry.unseen(pass.at, Duration::ZERO);
            self.apply(pass, &labels, step);
            return;
        }
        let message = format!(
            "{refused} more series of {} are anomalous than the limit of {} lets alert",
            rule.name, rule.limit
        );
        if !self.entries.get(&labels).is_some_and(Entry::is_active) {
            let mut entry = Entry::pending(labels.clone(), Labels::empty(), pass.at);
            entry.synthetic = true;
            self.entries.insert(labels.clone(), entry);
        }
        if let Some(entry) = self.entries.get_mut(&labels) {
            #[expect(clippy::cast_precision_loss, reason = "a count of series")]
            let value = refused as f64;
            entry.value = value;
            entry.annotations = Labels::new([("summary", message.as_str())]);
            let step = entry.seen(pass.at, Duration::ZERO);
            self.apply(pass, &labels, step);
        }
        pass.changes.error.get_or_insert(message);
    }

    /// Prepares for sending what receivers should hear of now, and remembers that it was sent.
    ///
    /// A firing alert is believed until [`lease`] from now, so call this at every evaluation, failed ones included.
    pub fn due(
        &mut self,
        rule: &Rule,
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

    /// Forgets when firing alerts were sent, so that the next [`Tracker::due`] renews every lease.
    ///
    /// Call it after a restore and before a reload.
    pub fn renew_leases(&mut self) {
        for entry in self.entries.values_mut() {
            if entry.state == State::Firing {
                entry.last_sent = None;
            }
        }
    }

    /// Resolves the firing alerts of series that are known to be gone (a removed target) and drops pending ones.
    pub fn retire(
        &mut self,
        rule: &Rule,
        at: Timestamp,
        context: &Context,
        gone: impl Fn(&Labels) -> bool,
    ) -> Changes {
        let mut pass = Pass {
            rule,
            context,
            at,
            changes: Changes::default(),
        };
        let labels: Vec<Labels> = self
            .entries
            .values()
            .filter(|entry| entry.is_active() && gone(&entry.series))
            .map(|entry| entry.labels.clone())
            .collect();
        for labels in labels {
            if let Some(entry) = self.entries.get_mut(&labels) {
                let step = entry.unseen(at, Duration::ZERO);
                self.apply(&mut pass, &labels, step);
            }
        }
        pass.changes
    }

    /// Resolves everything: the rule was removed. Send what [`Tracker::due`] gives afterwards, then drop the tracker.
    pub fn retire_all(&mut self, rule: &Rule, at: Timestamp, context: &Context) -> Changes {
        self.retire(rule, at, context, |_| true)
    }

    /// Fits restored or reloaded state to a rule: alerts whose labels the rule would no longer give are resolved.
    pub fn adopt(&mut self, rule: &Rule, at: Timestamp, context: &Context) -> Changes {
        let stray: HashSet<Labels> = self
            .entries
            .values()
            .filter(|entry| !entry.synthetic)
            .filter(|entry| {
                let scope = Scope {
                    labels: &entry.series,
                    value: entry.value,
                    at,
                    context,
                };
                rule.alert_labels(&scope) != entry.labels
            })
            .map(|entry| entry.series.clone())
            .collect();
        self.retire(rule, at, context, |series| stray.contains(series))
    }

    /// The state to store.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            evaluated_at: self.evaluated_at,
            entries: self.entries.values().cloned().collect(),
        }
    }

    /// A tracker that continues from a stored state; every firing alert is due at once.
    #[must_use]
    pub fn restore(snapshot: Snapshot) -> Self {
        let entries = snapshot.entries.into_iter();
        let mut tracker = Self {
            entries: entries.map(|entry| (entry.labels.clone(), entry)).collect(),
            evaluated_at: snapshot.evaluated_at,
            restored: true,
            last_error: None,
        };
        tracker.renew_leases();
        tracker
    }

    /// Every alert that is pending, firing or recently resolved, in order of labels.
    #[must_use]
    pub fn alerts(&self, rule: &Rule, context: &Context) -> Vec<Alert> {
        let url = generator_url(rule, context);
        let entries = self.entries.values();
        entries.map(|entry| entry.alert(&rule.name, &url)).collect()
    }

    /// How many alerts are in this state.
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        self.entries.values().filter(|e| e.state == state).count()
    }

    /// The last evaluation's error, `None` when the rule is healthy.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// When the rule was last evaluated.
    #[must_use]
    pub fn evaluated_at(&self) -> Option<Timestamp> {
        self.evaluated_at
    }
}

fn is_limit(entry: &Entry) -> bool {
    entry.synthetic && entry.labels.get("alertname") == Some(LIMIT_ALERT)
}

/// What a condition means under the rule's `no_data`.
fn effective(rule: &Rule, condition: Condition) -> Condition {
    match (condition, rule.no_data) {
        (Condition::NoData, NoData::Alert) => Condition::Active,
        (Condition::NoData | Condition::Unsure, NoData::Ok) => Condition::Healthy,
        (Condition::Active | Condition::Healthy | Condition::Unsure | Condition::NoData, _) => {
            condition
        }
    }
}

/// Gives every observation its alert's labels. Two series with the same labels are an error: a plain alert's
/// evaluation ends there as in Prometheus (`None`), a watch keeps the first of them.
fn label(
    pass: &mut Pass<'_>,
    observations: Vec<Observation>,
) -> Option<Vec<(Labels, Observation)>> {
    let mut seen: HashSet<Labels> = HashSet::with_capacity(observations.len());
    let mut labelled = Vec::with_capacity(observations.len());
    for observation in observations {
        let scope = Scope {
            labels: &observation.labels,
            value: observation.value,
            at: pass.at,
            context: pass.context,
        };
        let labels = pass.rule.alert_labels(&scope);
        if seen.insert(labels.clone()) {
            labelled.push((labels, observation));
            continue;
        }
        pass.changes.error = Some(format!(
            "vector contains metrics with the same labelset after applying alert labels: {labels}"
        ));
        if pass.rule.kind == Kind::Alert {
            return None;
        }
    }
    Some(labelled)
}

/// The texts of an alert: the rule's own, and for a watch what explains it.
fn annotations(pass: &Pass<'_>, entry: &Entry) -> Labels {
    let Pass {
        rule, context, at, ..
    } = *pass;
    let scope = Scope {
        labels: &entry.series,
        value: entry.value,
        at,
        context,
    };
    let mut pairs: Vec<(Arc<str>, Arc<str>)> = Vec::new();
    if rule.kind == Kind::Watch {
        pairs.push(("summary".into(), summary(rule, entry).into()));
        pairs.push(("chart".into(), generator_url(rule, context)));
        pairs.push(("config_hash".into(), context.config_hash.as_str().into()));
        let explained = entry
            .explanation
            .as_deref()
            .map(|e| e.annotations(entry.value));
        for (name, text) in explained.unwrap_or_default() {
            pairs.push((name.into(), text.into()));
        }
    }
    for (name, template) in &rule.annotations {
        pairs.push((name.as_str().into(), template.expand(&scope).into()));
    }
    Labels::new(pairs)
}

fn summary(rule: &Rule, entry: &Entry) -> String {
    if let Some(since) = entry.no_data_since {
        return format!("{}: no data since {since}", rule.name);
    }
    match entry.explanation.as_deref() {
        Some(explanation) if !explanation.why.is_empty() => {
            format!("{}: {}", rule.name, explanation.why)
        }
        _ => format!("{} {}", rule.name, entry.series),
    }
}

fn mark_no_data(alert: &mut Alert) {
    if let Some(since) = alert.no_data_since {
        let text = format!("no data since {since}; the state is kept");
        alert.annotations = alert.annotations.with("no_data", &text);
    }
}

/// Prometheus' link to the expression, or the watch's chart on the status page.
fn generator_url(rule: &Rule, context: &Context) -> Arc<str> {
    let base = context.external_url.trim_end_matches('/');
    let url = match rule.kind {
        Kind::Alert => format!(
            "{base}/graph?g0.expr={}&g0.tab=1",
            super::template::query_escape(&rule.expr)
        ),
        Kind::Watch => format!("{base}/?rule={}", super::template::query_escape(&rule.name)),
    };
    url.into()
}
