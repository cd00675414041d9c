//! A running rule: its expression with a cached plan, its state and its health.

use std::time::Duration;

use super::alerting::{Alerting, Observed};
use super::filling::{Filled, Filling};
use super::names::Identity;
use super::pass::Pass;
use super::queries::TemplateQueries;
use super::recorder::Recorder;
use super::selection::reads_any;
use super::traffic::CountedRange;
use super::values::values;
use super::watch::Watching;
use crate::alert::{self, Alert, Outcome, TemplateEnvironment, Tracker};
use crate::judge::Registry;
use crate::metric::Timestamp;
use crate::promql::{Expr, Options, Query};
use crate::rules::{Rule, RuleId};

/// How long after a start the labels of alerts wait for targets that do not answer: how long
/// Prometheus keeps the last sample of a series.
const LATE_TARGETS: Duration = Duration::from_secs(300);

/// A rule and its state.
#[derive(Debug)]
pub struct RuleState {
    /// The key of its records, unique among the rules.
    pub(super) key: String,
    /// What identifies it across restarts and reloads.
    pub(super) identity: Identity,
    /// Owner of recorded series, unique among the rules.
    pub(super) owner: u64,
    pub(super) health: Health,
    pub(super) kind: RuleKind,
    pub(super) query: Query,
    /// The number of observations behind each value, if the rule says it.
    samples: Option<Query>,
    /// Whether its templates call `query`.
    asks: bool,
    /// How long after a start the expression may lack data.
    filling: Filling,
    /// Since when the window fills; `None` if it is filled.
    pub(super) fills_since: Option<Timestamp>,
    /// Values up to this time were learned already; skip them while history is replayed for other
    /// rules.
    pub(super) learned_until: Option<Timestamp>,
}

/// The result of the last evaluation.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Its time.
    pub at: Option<Timestamp>,
    /// Its duration.
    pub took: Duration,
    /// Its error.
    pub error: Option<String>,
    /// Why the rule is not evaluated; `None` for one that is.
    pub unsupported: Option<String>,
    /// Whether it found no series at all.
    pub empty: bool,
    /// Evaluations since the start.
    pub evaluations: u64,
    /// Evaluations that failed since the start.
    pub failures: u64,
    /// Alerts that began to fire since the start.
    pub fired: u64,
}

/// A rule with its state.
#[derive(Debug)]
pub enum RuleKind {
    /// `record`: a value under a new name.
    Record(Recorder),
    /// `alert`: fires while its expression returns something.
    Alert(Alerting),
    /// `watch`: fires while its strategy finds the value anomalous.
    Watch(Box<Watching>),
}

/// The inputs of a rule besides its text.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) key: String,
    pub(super) identity: Identity,
    pub(super) owner: u64,
    /// Time between two evaluations.
    pub(super) interval: Duration,
    pub(super) filling: Filling,
    pub(super) counted: Vec<CountedRange>,
    /// Why it cannot be evaluated.
    pub(super) unsupported: Option<String>,
}

/// An evaluation that needs answers to the queries of templates before it can continue.
#[derive(Debug)]
pub(super) struct Waiting {
    observed: Observed,
    took: Duration,
    /// The queries to answer.
    pub(super) queries: Vec<String>,
}

impl RuleState {
    pub(super) fn new(rule: &Rule, setup: Setup, registry: &Registry) -> Self {
        let options = Options {
            default_subquery_step: setup.interval,
            ..Options::default()
        };
        let query = |expr: &Expr| Query::with_options(expr.clone(), options);
        let samples = rule.samples().map(query);
        let (kind, query) = match rule {
            Rule::Record(recording) => (
                RuleKind::Record(Recorder::new(recording, options)),
                query(recording.expr()).with_sampling(),
            ),
            Rule::Alert { expr, alert } => (RuleKind::Alert(Alerting::new(alert)), query(expr)),
            Rule::Watch(watch) => {
                let watching = Watching::new(watch, registry, setup.counted);
                let query = query(&watch.expr).with_sampling();
                (RuleKind::Watch(Box::new(watching)), query)
            }
        };
        Self {
            key: setup.key,
            identity: setup.identity,
            owner: setup.owner,
            health: Health {
                unsupported: setup.unsupported,
                ..Health::default()
            },
            kind,
            query,
            samples,
            asks: rule.alert().is_some_and(alert::AlertRule::asks),
            filling: setup.filling,
            fills_since: None,
            learned_until: None,
        }
    }

    /// The name behind `record`, `alert` or `watch`.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.kind {
            RuleKind::Record(recorder) => &recorder.recording.name,
            RuleKind::Alert(alerting) => &alerting.rule.name,
            RuleKind::Watch(watching) => &watching.watch.alert.name,
        }
    }

    /// What identifies it across restarts and reloads.
    #[must_use]
    pub fn id(&self) -> &RuleId {
        &self.identity.id
    }

    /// The key of its state, unique among the rules.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The result of the last evaluation.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The rule with its state.
    #[must_use]
    pub fn kind(&self) -> &RuleKind {
        &self.kind
    }

    /// Whether its expression reads one of these records.
    pub(super) fn reads(&self, records: &[String]) -> bool {
        let mut read = std::iter::once(self.query.expr()).chain(self.others());
        read.any(|expr| reads_any(expr, records))
    }

    /// Every expression of the rule.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expr> {
        let veto = match &self.kind {
            RuleKind::Watch(watching) => watching.watch.retrain.as_ref(),
            RuleKind::Record(_) | RuleKind::Alert(_) => None,
        };
        let veto = veto.and_then(|retrain| retrain.unless.as_ref());
        let samples = self.samples.as_ref().map(Query::expr);
        std::iter::once(self.query.expr())
            .chain(samples)
            .chain(self.others())
            .chain(veto)
    }

    /// The expressions of a record after its first one.
    fn others(&self) -> impl Iterator<Item = &Expr> {
        let recorder = match &self.kind {
            RuleKind::Record(recorder) => Some(recorder),
            RuleKind::Watch(_) | RuleKind::Alert(_) => None,
        };
        recorder.into_iter().flat_map(Recorder::others)
    }

    /// The ranges over which a watch's value counts.
    pub(super) fn ranges(&self) -> &[CountedRange] {
        match &self.kind {
            RuleKind::Watch(watching) => &watching.counted,
            RuleKind::Alert(_) | RuleKind::Record(_) => &[],
        }
    }

    /// The rule and its alerts, when it has any.
    pub(super) fn alerting(&self) -> Option<(&alert::AlertRule, &Tracker)> {
        match &self.kind {
            RuleKind::Record(_) => None,
            RuleKind::Alert(alerting) => Some((&alerting.rule, &alerting.tracker)),
            RuleKind::Watch(watching) => Some((&watching.watch.alert, &watching.tracker)),
        }
    }

    pub(super) fn alerting_mut(&mut self) -> Option<(&alert::AlertRule, &mut Tracker)> {
        match &mut self.kind {
            RuleKind::Record(_) => None,
            RuleKind::Alert(alerting) => Some((&alerting.rule, &mut alerting.tracker)),
            RuleKind::Watch(watching) => Some((&watching.watch.alert, &mut watching.tracker)),
        }
    }

    /// The rule and its alerts, taken from a removed rule.
    pub(super) fn into_alerting(self) -> Option<(alert::AlertRule, Tracker)> {
        match self.kind {
            RuleKind::Record(_) => None,
            RuleKind::Alert(alerting) => Some((alerting.rule, alerting.tracker)),
            RuleKind::Watch(watching) => Some((watching.watch.alert, watching.tracker)),
        }
    }

    /// Marks the window as empty: firing alerts stay until it is filled again.
    pub(super) fn fill(&mut self, at: Timestamp) {
        self.fills_since = Some(at);
    }

    /// Renews every lease at the next [`due`](Self::due).
    pub(super) fn renew(&mut self) {
        if let Some((_, tracker)) = self.alerting_mut() {
            tracker.renew_leases();
        }
    }

    /// Whether the window is filled, or has been filling for this long.
    fn is_past(&self, length: Duration, at: Timestamp) -> bool {
        let since = self.fills_since;
        since.is_none_or(|since| at >= since + length)
    }

    /// Whether the queries of templates find what they found before the start: every target has
    /// answered, or has been given time to.
    fn answers_queries(&self, pass: &Pass<'_>) -> bool {
        let all_answer = pass.rollout.complete || self.is_past(LATE_TARGETS, pass.at);
        all_answer && self.is_past(self.filling.settling, pass.at)
    }

    /// Evaluates the rule at this tick's time; stops when its templates need more answers.
    pub(super) fn evaluate(&mut self, pass: &mut Pass<'_>) -> Result<(), Waiting> {
        if self.learns() && self.learned_until.is_some_and(|until| pass.at <= until) {
            return Ok(());
        }
        if let Some(why) = self.health.unsupported.clone() {
            // As after an error, nothing that it says of before is taken for the present.
            self.fail(&why, pass);
            self.health.at = Some(pass.at);
            return Ok(());
        }
        let started = (pass.stopwatch)();
        let (values, is_filled) = match values(&mut self.query, &mut self.samples, pass) {
            Ok(found) => found,
            Err(error) => {
                self.fail(&error, pass);
                self.finish(Some(error), started, 0, pass);
                return Ok(());
            }
        };
        self.health.empty = values.is_empty();
        let filled = Filled {
            own: is_filled,
            upstream: self.is_past(self.filling.settling, pass.at),
            may_begin: self.is_past(self.filling.holding, pass.at),
        };
        let since = self.fills_since;
        let observed = match &mut self.kind {
            RuleKind::Record(recorder) => {
                let error = recorder.take(values, self.owner, pass);
                self.finish(error, started, 0, pass);
                return Ok(());
            }
            RuleKind::Alert(alerting) => alerting.observe(values, filled, since, pass.context),
            RuleKind::Watch(watching) => watching.observe(values, filled, pass),
        };
        let took = (pass.stopwatch)().saturating_sub(started);
        self.resume(
            Waiting {
                observed,
                took,
                queries: Vec::new(),
            },
            pass,
        )
    }

    /// Continues an evaluation after more queries of templates were answered.
    pub(super) fn resume(&mut self, waiting: Waiting, pass: &mut Pass<'_>) -> Result<(), Waiting> {
        let started = (pass.stopwatch)().saturating_sub(waiting.took);
        let Some((rule, tracker)) = self.alerting() else {
            return Ok(());
        };
        let queries = self.missing_queries(rule, tracker, &waiting.observed.outcome, pass);
        if !queries.is_empty() {
            return Err(Waiting { queries, ..waiting });
        }
        let before = pass.changes.len();
        let Observed { outcome, present } = waiting.observed;
        let error = self.track(outcome, pass);
        if let RuleKind::Watch(watching) = &mut self.kind {
            watching.end_superseded(&present, pass);
            watching.end_absent(pass);
            watching.note_expected(pass);
            watching.settle(pass.at);
        }
        let new = pass.changes.iter().skip(before);
        let fired = new.filter(|alert| alert.state == alert::AlertState::Firing);
        let fired = fired.count() as u64;
        self.finish(error, started, fired, pass);
        Ok(())
    }

    /// The queries of templates that the server has not answered yet, found by a dry run on a copy
    /// of the alerts.
    fn missing_queries(
        &self,
        rule: &alert::AlertRule,
        tracker: &Tracker,
        outcome: &Outcome,
        pass: &Pass<'_>,
    ) -> Vec<String> {
        if !self.asks || pass.results.template_answers().is_none() {
            return Vec::new();
        }
        let queries = TemplateQueries::new(pass.window, pass.results, pass.recorded);
        let environment = TemplateEnvironment {
            context: pass.context,
            query: Some(&|text, at| queries.answer(text, at)),
            is_filled: self.answers_queries(pass),
        };
        let mut copy = tracker.clone();
        copy.evaluate(rule, pass.at, outcome.clone(), environment);
        queries.into_missing()
    }

    /// Applies the outcome to the alerts; returns why the rule is not healthy.
    fn track(&mut self, outcome: Outcome, pass: &mut Pass<'_>) -> Option<String> {
        let asks = self.asks;
        let is_filled = self.answers_queries(pass);
        let (rule, tracker) = self.alerting_mut()?;
        let queries = TemplateQueries::new(pass.window, pass.results, pass.recorded);
        let answer = |text: &str, at: Timestamp| queries.answer(text, at);
        let environment = TemplateEnvironment {
            context: pass.context,
            query: if asks { Some(&answer) } else { None },
            is_filled,
        };
        let changes = tracker.evaluate(rule, pass.at, outcome, environment);
        pass.changes.extend(changes.alerts);
        if changes.error.is_none() {
            self.record_alerts(pass);
        }
        changes.error.or(changes.remark)
    }

    fn learns(&self) -> bool {
        match &self.kind {
            RuleKind::Record(recorder) => recorder.distributions().is_some(),
            RuleKind::Alert(_) => false,
            RuleKind::Watch(_) => true,
        }
    }

    fn finish(
        &mut self,
        error: Option<String>,
        started: Duration,
        fired: u64,
        pass: &mut Pass<'_>,
    ) {
        self.health.at = Some(pass.at);
        self.health.took = (pass.stopwatch)().saturating_sub(started);
        self.health.evaluations += 1;
        self.health.failures += u64::from(error.is_some());
        self.health.fired += fired;
        self.health.error = error;
    }

    fn fail(&mut self, error: &str, pass: &mut Pass<'_>) {
        // Results of the last evaluation are out of date now.
        match &mut self.kind {
            RuleKind::Record(recorder) => {
                recorder.samples.clear();
                pass.window.end_records(self.owner, pass.at);
            }
            RuleKind::Watch(watching) => {
                let before = std::mem::take(&mut watching.judged);
                watching.list_stale(before, |_| false, pass.at);
            }
            RuleKind::Alert(_) => {}
        }
        let failed = Outcome::Failed(error.to_owned());
        if let Some((rule, tracker)) = self.alerting_mut() {
            tracker.evaluate(rule, pass.at, failed, pass.context);
        }
    }

    /// The alerts to send now.
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
