//! One running rule: its expression with a cached plan, and what it remembers.

use std::time::Duration;

use tokio::time::Instant;

use super::watch::Watching;
use crate::alert::{self, Alert, Observation, Outcome, Tracker};
use crate::config::rules::Rule;
use crate::map::{self, Recording, Source};
use crate::metric::{MetricSample, Timestamp};
use crate::promql::{Evaluation, Query};
use crate::series::Window;

/// A rule and its state.
#[derive(Debug)]
pub(super) struct RuleState {
    pub(super) rule: Rule,
    pub(super) health: Health,
    pub(super) kind: Kind,
    /// Owner of recorded series, unique among the rules.
    owner: u64,
    query: Option<Query>,
}

/// How the last evaluation went.
#[derive(Debug, Clone, Default)]
pub(super) struct Health {
    pub(super) at: Option<Timestamp>,
    pub(super) took: Duration,
    pub(super) error: Option<String>,
    /// Whether the last evaluation found no series at all.
    pub(super) empty: bool,
}

/// What a rule remembers, by its kind.
#[derive(Debug)]
pub(super) enum Kind {
    /// The last recorded samples.
    Record(Vec<MetricSample>),
    /// The alerts of a plain rule.
    Alert(Tracker),
    /// Strategies, verdicts and alerts.
    Watch(Box<Watching>),
}

/// What every rule of a tick needs.
pub(super) struct Pass<'a> {
    pub(super) window: &'a mut Window,
    pub(super) context: &'a alert::Context,
    pub(super) at: Timestamp,
    /// Alerts whose state changed in this tick.
    pub(super) changes: Vec<Alert>,
}

impl RuleState {
    pub(super) fn new(rule: Rule, owner: u64, registry: &crate::judge::Registry) -> Self {
        let (kind, query) = match &rule {
            Rule::Record(recording) => {
                let query = match &recording.source {
                    Source::Expr(expr) => Some(Query::new(expr.clone())),
                };
                (Kind::Record(Vec::new()), query)
            }
            Rule::Alert { expr, .. } => {
                (Kind::Alert(Tracker::new()), Some(Query::new(expr.clone())))
            }
            Rule::Watch(watch) => {
                let watching = Watching::new(watch, registry);
                (
                    Kind::Watch(Box::new(watching)),
                    Some(Query::new(watch.expr.clone())),
                )
            }
        };
        Self {
            rule,
            health: Health::default(),
            kind,
            owner,
            query,
        }
    }

    /// Evaluates the rule at this tick's time.
    pub(super) fn evaluate(&mut self, pass: &mut Pass<'_>) {
        let started = Instant::now();
        let evaluation = self.query.as_mut().map(|query| {
            query
                .eval(pass.window, pass.at)
                .map_err(|error| error.to_string())
        });
        let error = match evaluation {
            Some(Ok(evaluation)) => self.take(evaluation, pass),
            Some(Err(error)) => {
                self.fail(&error, pass);
                Some(error)
            }
            None => None,
        };
        self.health.at = Some(pass.at);
        self.health.took = started.elapsed();
        self.health.error = error;
    }

    fn take(&mut self, evaluation: Evaluation, pass: &mut Pass<'_>) -> Option<String> {
        let complete = evaluation.coverage.is_sufficient();
        let values = match evaluation.value.into_vector(pass.at) {
            Ok(values) => values,
            Err(error) => {
                self.fail(&error.to_string(), pass);
                return Some(error.to_string());
            }
        };
        self.health.empty = values.is_empty();
        match (&self.rule, &mut self.kind) {
            (Rule::Record(recording), Kind::Record(samples)) => {
                let result = record(recording, &values, self.owner, pass);
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
                let changes = tracker.evaluate(
                    alert,
                    pass.at,
                    Outcome::Observed(active.collect()),
                    pass.context,
                );
                pass.changes.extend(changes.alerts);
                changes.error
            }
            (Rule::Watch(watch), Kind::Watch(watching)) => {
                watching.take(watch, values, complete, pass)
            }
            // A rule and its state are made together.
            _ => None,
        }
    }

    fn fail(&mut self, error: &str, pass: &mut Pass<'_>) {
        let failed = Outcome::Failed(error.to_owned());
        match (&self.rule, &mut self.kind) {
            (Rule::Alert { alert, .. }, Kind::Alert(tracker)) => {
                tracker.evaluate(alert, pass.at, failed, pass.context);
            }
            (Rule::Watch(watch), Kind::Watch(watching)) => {
                watching
                    .tracker
                    .evaluate(&watch.alert, pass.at, failed, pass.context);
            }
            _ => {}
        }
    }

    /// Alerts that receivers should hear of now.
    pub(super) fn due(
        &mut self,
        at: Timestamp,
        resend_delay: Duration,
        context: &alert::Context,
    ) -> Vec<Alert> {
        match (&self.rule, &mut self.kind) {
            (Rule::Alert { alert, .. }, Kind::Alert(tracker)) => {
                tracker.due(alert, at, resend_delay, context)
            }
            (Rule::Watch(watch), Kind::Watch(watching)) => {
                watching
                    .tracker
                    .due(&watch.alert, at, resend_delay, context)
            }
            _ => Vec::new(),
        }
    }
}

/// Writes the values of a recording rule into the window and marks what is gone as stale.
fn record(
    recording: &Recording,
    values: &[crate::promql::InstantSample],
    owner: u64,
    pass: &mut Pass<'_>,
) -> Result<Vec<MetricSample>, String> {
    let samples = map::samples(recording, values, pass.at);
    let mut refused = 0;
    for sample in samples.iter().flatten() {
        let stored = pass
            .window
            .record(owner, pass.at, &sample.labels, sample.value);
        refused += u64::from(!stored);
    }
    pass.window.end_records(owner, pass.at);
    let samples = samples?;
    if refused > 0 {
        return Err(format!(
            "{refused} recorded series were refused by the limit on stored series"
        ));
    }
    Ok(samples)
}
