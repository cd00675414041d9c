//! One running rule: its expression with a cached plan, and what it remembers.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::answer::answering;
use super::evidence::EvidenceBook;
use super::results::Results;
use super::rollout::Rollout;
use super::traffic::Counted;
use super::watch::Watching;
use crate::alert::{self, Alert, Condition, Observation, Outcome, Tracker};
use crate::map::drift::Detector;
use crate::map::{self, Source};
use crate::metric::{Labels, MetricSample, Timestamp};
use crate::promql::{Expr, InstantSample, Options, Query};
use crate::rules::Rule;
use crate::series::Window;

/// A rule and its state.
#[derive(Debug)]
pub(super) struct RuleState {
    pub(super) rule: Rule,
    /// How it is found again after a restart or reload.
    pub(super) key: String,
    pub(super) health: Health,
    pub(super) kind: Kind,
    /// Owner of recorded series, unique among the rules.
    pub(super) owner: u64,
    query: Option<Query>,
    /// Its templates ask for more PromQL.
    pub(super) asks: bool,
    /// How long after a start the expression may lack data.
    pub(super) settling: Duration,
    /// Until then nothing that was restored is believed to have ended: the window is still filling.
    unsettled_until: Option<Timestamp>,
    /// What lies before was learnt already, while the past is lived through again for other rules.
    pub(super) learnt_until: Option<Timestamp>,
}

/// How the last evaluation went.
#[derive(Debug, Clone, Default)]
pub(super) struct Health {
    pub(super) at: Option<Timestamp>,
    pub(super) took: Duration,
    pub(super) error: Option<String>,
    /// Whether the last evaluation found no series at all.
    pub(super) empty: bool,
    /// Evaluations, failed ones, and alerts that began to fire, since the start.
    pub(super) counts: (u64, u64, u64),
}

/// What a rule remembers, by its kind.
#[derive(Debug)]
pub(super) enum Kind {
    /// The last recorded samples, and what a drift rule counts.
    Record(Vec<MetricSample>, Option<Box<Detector>>),
    /// The alerts of a plain rule.
    Alert(Tracker),
    /// Strategies, verdicts and alerts.
    Watch(Box<Watching>),
}

/// What every rule of a tick needs.
pub(super) struct Pass<'a> {
    pub(super) window: &'a mut Window,
    pub(super) context: &'a alert::Context,
    pub(super) rollout: &'a Rollout,
    pub(super) at: Timestamp,
    pub(super) evidence: &'a mut EvidenceBook,
    /// What a server said about the expressions, when it was asked.
    pub(super) results: Option<&'a Results>,
    /// Whether `ALERTS` and `ALERTS_FOR_STATE` are recorded.
    pub(super) alert_series: bool,
    /// Alerts whose state changed in this tick.
    pub(super) changes: Vec<Alert>,
}

impl RuleState {
    pub(super) fn new(
        (key, rule): (String, Rule),
        (interval, settling): (Duration, Duration),
        owner: u64,
        registry: &crate::judge::Registry,
    ) -> Self {
        let options = Options {
            default_subquery_step: interval,
            ..Options::default()
        };
        let query = |expr: &Expr| Some(Query::with_options(expr.clone(), options));
        let (kind, query) = match &rule {
            Rule::Record(recording) => {
                let detector = match &recording.source {
                    Source::Expr(_) => None,
                    Source::Drift(drift) => Some(Box::new(Detector::new(drift))),
                };
                (Kind::Record(Vec::new(), detector), query(recording.expr()))
            }
            Rule::Alert { expr, .. } => (Kind::Alert(Tracker::new()), query(expr)),
            Rule::Watch(watch) => {
                let watching = Watching::new(watch, registry);
                (Kind::Watch(Box::new(watching)), query(&watch.expr))
            }
        };
        let asks = match &rule {
            Rule::Record(_) => false,
            Rule::Alert { alert, .. } => alert.asks(),
            Rule::Watch(watch) => watch.alert.asks(),
        };
        Self {
            rule,
            key,
            health: Health::default(),
            kind,
            owner,
            query,
            asks,
            settling,
            unsettled_until: None,
            learnt_until: None,
        }
    }

    /// The same rule, which knows the ranges that its value is counted over.
    pub(super) fn counting(mut self, counted: Vec<Counted>) -> Self {
        if let Kind::Watch(watching) = &mut self.kind {
            watching.counted = counted;
        }
        self
    }

    /// The ranges that its value is counted over, for a watch.
    pub(super) fn ranges(&self) -> &[Counted] {
        match &self.kind {
            Kind::Watch(watching) => &watching.counted,
            Kind::Alert(_) | Kind::Record(..) => &[],
        }
    }

    /// The rule and its alerts, when it has any.
    pub(super) fn alerting(&self) -> Option<(&alert::Rule, &Tracker)> {
        match (&self.rule, &self.kind) {
            (Rule::Alert { alert, .. }, Kind::Alert(tracker)) => Some((alert, tracker)),
            (Rule::Watch(watch), Kind::Watch(watching)) => Some((&watch.alert, &watching.tracker)),
            _ => None,
        }
    }

    pub(super) fn alerting_mut(&mut self) -> Option<(&alert::Rule, &mut Tracker)> {
        match (&self.rule, &mut self.kind) {
            (Rule::Alert { alert, .. }, Kind::Alert(tracker)) => Some((alert, tracker)),
            (Rule::Watch(watch), Kind::Watch(watching)) => {
                Some((&watch.alert, &mut watching.tracker))
            }
            _ => None,
        }
    }

    /// Continues with alerts from before; those that the rule would no longer give are resolved.
    pub(super) fn take_tracker(
        &mut self,
        before: Tracker,
        at: Timestamp,
        context: &alert::Context,
    ) -> Vec<Alert> {
        let Some((rule, tracker)) = self.alerting_mut() else {
            return Vec::new();
        };
        *tracker = before;
        tracker.adopt(rule, at, context).alerts
    }

    /// The window is empty from now on; what fires is kept until it could be known better.
    pub(super) fn settle(&mut self, at: Timestamp) {
        self.unsettled_until = Some(at + self.settling);
    }

    /// Keeps what an earlier version of the rule knew.
    pub(super) fn inherit(
        &mut self,
        before: Self,
        same_model: bool,
        at: Timestamp,
        context: &alert::Context,
    ) -> Vec<Alert> {
        self.owner = before.owner;
        self.health = before.health;
        self.unsettled_until = before.unsettled_until;
        let text = |query: &Option<Query>| query.as_ref().map(|q| q.expr().text().to_owned());
        if text(&before.query) == text(&self.query) {
            self.query = before.query;
        } else {
            self.settle(at);
        }
        let tracker = match (before.kind, &mut self.kind) {
            (Kind::Record(samples, counted), Kind::Record(own, detector)) => {
                *own = samples;
                if same_model
                    && let (Some(was), Some(is)) = (before.rule.drift(), self.rule.drift())
                    && was.counts() == is.counts()
                    && let (Some(counted), Some(detector)) = (counted, detector)
                {
                    detector.inherit(*counted);
                }
                return Vec::new();
            }
            (Kind::Alert(tracker), _) => tracker,
            (Kind::Watch(old), kind) => {
                if let (Rule::Watch(was), Rule::Watch(is), Kind::Watch(own)) =
                    (&before.rule, &self.rule, kind)
                {
                    own.versions = old.versions;
                    let same = was.strategy == is.strategy
                        && was.direction == is.direction
                        && was.alert.interval == is.alert.interval;
                    if same && same_model {
                        own.table = old.table;
                        own.judged = old.judged;
                    }
                }
                old.tracker
            }
            (Kind::Record(..), _) => return Vec::new(),
        };
        self.take_tracker(tracker, at, context)
    }

    /// Ends the alerts of series that carry one of these instances, and forgets what was learnt about them.
    pub(super) fn end_of(
        &mut self,
        instances: &HashSet<String>,
        at: Timestamp,
        context: &alert::Context,
    ) -> Vec<Alert> {
        let Some((rule, tracker)) = self.alerting_mut() else {
            return Vec::new();
        };
        let gone = |series: &Labels| {
            let instance = series.get("instance");
            instance.is_some_and(|instance| instances.contains(instance))
        };
        let ended = tracker.retire(rule, at, context, gone).alerts;
        if let Kind::Watch(watching) = &mut self.kind {
            watching.table.forget(gone);
        }
        ended
    }

    /// Renews every lease at the next [`due`](Self::due).
    pub(super) fn renew(&mut self) {
        if let Some((_, tracker)) = self.alerting_mut() {
            tracker.renew_leases();
        }
    }

    /// Evaluates the rule at this tick's time.
    pub(super) fn evaluate(&mut self, pass: &mut Pass<'_>) {
        let learns = matches!(self.kind, Kind::Watch(_) | Kind::Record(_, Some(_)));
        if learns && self.learnt_until.is_some_and(|until| pass.at <= until) {
            return;
        }
        let started = Instant::now();
        let before = pass.changes.len();
        let values = self.query.as_mut().map(|query| values(query, pass));
        let error = match values {
            Some(Ok((values, complete))) if self.asks => {
                answering(pass, |pass| self.take(values, complete, pass))
            }
            Some(Ok((values, complete))) => self.take(values, complete, pass),
            Some(Err(error)) => {
                self.fail(&error, pass);
                Some(error)
            }
            None => None,
        };
        if error.is_none() {
            self.record_alerts(pass);
        }
        self.health.at = Some(pass.at);
        self.health.took = started.elapsed();
        let new = pass.changes.iter().skip(before);
        let fired = new
            .filter(|alert| alert.state == alert::State::Firing)
            .count();
        let (evaluations, failures, alerts) = &mut self.health.counts;
        *evaluations += 1;
        *failures += u64::from(error.is_some());
        *alerts += fired as u64;
        self.health.error = error;
    }

    fn take(
        &mut self,
        values: Vec<InstantSample>,
        complete: bool,
        pass: &mut Pass<'_>,
    ) -> Option<String> {
        self.health.empty = values.is_empty();
        let settled = self.unsettled_until.is_none_or(|until| pass.at >= until);
        match (&self.rule, &mut self.kind) {
            (Rule::Record(recording), Kind::Record(samples, detector)) => {
                let named = match (&recording.source, detector) {
                    (Source::Drift(drift), Some(detector)) => detector
                        .observe(drift, &values, pass.at)
                        .and_then(|drifted| map::drifted(recording, drifted, pass.at)),
                    _ => map::samples(recording, &values, pass.at),
                };
                let result = record(named, self.owner, pass);
                let (recorded, error) = match result {
                    Ok(recorded) => (recorded, None),
                    Err(error) => (Vec::new(), Some(error)),
                };
                *samples = recorded;
                error
            }
            (Rule::Alert { alert, .. }, Kind::Alert(tracker)) => {
                let active = values
                    .into_iter()
                    .map(|sample| Observation::active(sample.labels, sample.value));
                let mut observed: Vec<Observation> = active.collect();
                if !settled {
                    observed.extend(unseen(tracker, alert, &observed, pass.context));
                }
                let changes =
                    tracker.evaluate(alert, pass.at, Outcome::Observed(observed), pass.context);
                pass.changes.extend(changes.alerts);
                changes.error
            }
            (Rule::Watch(watch), Kind::Watch(watching)) => {
                watching.take(watch, values, (complete, settled), pass)
            }
            // A rule and its state are made together.
            _ => None,
        }
    }

    fn fail(&mut self, error: &str, pass: &mut Pass<'_>) {
        // What was known before is not what is known now.
        match &mut self.kind {
            Kind::Record(samples, _) => {
                samples.clear();
                pass.window.end_records(self.owner, pass.at);
            }
            Kind::Watch(watching) => watching.judged.clear(),
            Kind::Alert(_) => {}
        }
        let failed = Outcome::Failed(error.to_owned());
        if let Some((rule, tracker)) = self.alerting_mut() {
            tracker.evaluate(rule, pass.at, failed, pass.context);
        }
    }

    /// Alerts that receivers should hear of now.
    pub(super) fn due(
        &mut self,
        at: Timestamp,
        resend_delay: Duration,
        context: &alert::Context,
    ) -> Vec<Alert> {
        self.alerting_mut()
            .map(|(rule, tracker)| tracker.due(rule, at, resend_delay, context))
            .unwrap_or_default()
    }
}

/// The values of a rule's expression, and whether the windows behind them are filled. A server's answer wins over the window.
fn values(query: &mut Query, pass: &Pass<'_>) -> Result<(Vec<InstantSample>, bool), String> {
    let answer = pass.results.and_then(|results| results.get(query.expr()));
    if let Some(answer) = answer {
        return answer.clone().map(|values| (values, true));
    }
    let evaluation = query
        .eval(pass.window, pass.at)
        .map_err(|error| error.to_string())?;
    let complete = evaluation.coverage.is_sufficient();
    let values = evaluation.value.into_vector(pass.at);
    Ok((values.map_err(|error| error.to_string())?, complete))
}

/// Active alerts that the expression does not return while the window fills: nobody knows how they are.
fn unseen(
    tracker: &Tracker,
    rule: &alert::Rule,
    observed: &[Observation],
    context: &alert::Context,
) -> Vec<Observation> {
    let all = tracker.alerts(rule, context).into_iter();
    let active = all.filter(|alert| alert.state != alert::State::Resolved);
    active
        .filter(|alert| observed.iter().all(|seen| seen.labels != alert.series))
        .map(|alert| Observation {
            condition: Condition::Unsure,
            ..Observation::active(alert.series, alert.value)
        })
        .collect()
}

/// Writes the values of a recording rule into the window and marks what is gone as stale.
fn record(
    samples: Result<Vec<MetricSample>, String>,
    owner: u64,
    pass: &mut Pass<'_>,
) -> Result<Vec<MetricSample>, String> {
    let mut refused = 0;
    for sample in samples.iter().flatten() {
        let stored = pass
            .window
            .record(owner, pass.at, &sample.labels, sample.value);
        refused += u64::from(!stored);
    }
    pass.window.end_records(owner, pass.at);
    let samples = samples?;
    pass.evidence.keep(owner, &samples);
    if refused > 0 {
        return Err(format!(
            "{refused} recorded series were refused by the limit on stored series"
        ));
    }
    Ok(samples)
}
