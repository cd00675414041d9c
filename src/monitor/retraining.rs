//! When a firing watch asks for a new model.

use std::time::Duration;

use tracing::info;

use super::rule::{Kind, RuleState};
use crate::alert::Context;
use crate::config::rules::{Retrain, Rule};
use crate::config::settings::{Model, Settings};
use crate::judge;
use crate::metric::Timestamp;
use crate::notify::RetrainRequest;
use crate::notify::retrain::{Attempt, Decision, GateKey, Gates, Policy};
use crate::promql::Query;
use crate::series::Window;

/// The gates of every (rule, series) and the switches in front of them.
#[derive(Debug)]
pub(super) struct Retraining {
    pub(super) gates: Gates,
    enabled: bool,
    dry_run: bool,
    in_flight_timeout: Option<Duration>,
    model: Model,
}

impl Retraining {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            gates: Gates::default(),
            enabled: settings.retraining.enabled,
            dry_run: settings.retraining.dry_run,
            in_flight_timeout: settings.retraining.in_flight_timeout,
            model: settings.model.clone(),
        }
    }

    /// Other switches after a reload; the gates stay.
    pub(super) fn reconfigure(&mut self, settings: &Settings) {
        let gates = std::mem::take(&mut self.gates);
        *self = Self {
            gates,
            ..Self::new(settings)
        };
    }

    /// What a rule asks for after its evaluation.
    pub(super) fn decide(
        &mut self,
        rule: &RuleState,
        window: &Window,
        context: &Context,
        at: Timestamp,
    ) -> Vec<RetrainRequest> {
        let (Rule::Watch(watch), Kind::Watch(watching)) = (&rule.rule, &rule.kind) else {
            return Vec::new();
        };
        let Some(retrain) = &watch.retrain else {
            return Vec::new();
        };
        let policy = Policy {
            cooldown: retrain.cooldown,
            after: retrain.after,
            in_flight_timeout: self.in_flight_timeout.unwrap_or(retrain.cooldown),
            dry_run: self.dry_run,
        };
        for (sample, verdict) in &watching.judged {
            let key = GateKey::new(&watch.alert.name, &sample.labels);
            match verdict.state {
                judge::State::Anomalous => self.gates.gate(&key).verdict(&policy, true),
                judge::State::Ok => self.gates.gate(&key).verdict(&policy, false),
                judge::State::WarmingUp
                | judge::State::InsufficientData
                | judge::State::Stale
                | judge::State::Frozen
                | judge::State::Idle => {}
            }
        }
        let mut requests = Vec::new();
        for alert in watching.tracker.firing(&watch.alert, context) {
            let key = GateKey::new(&watch.alert.name, &alert.series);
            let version = self.model.version.as_deref().unwrap_or("");
            let attempt = Attempt {
                model: (&self.model.id, version),
                at,
                fired_at: alert.fired_at,
                enabled: self.enabled,
            };
            let decision = self
                .gates
                .gate(&key)
                .decide(&policy, &key, &attempt, || vetoed(retrain, window, at));
            match decision {
                Decision::Request { id } => {
                    requests.push(RetrainRequest::new(id, attempt.model, &alert, at));
                }
                Decision::DryRun { id } => {
                    info!(rule = %watch.alert.name, id, "would ask for retraining (dry run)");
                }
                Decision::Hold(_) => {}
            }
        }
        requests
    }
}

/// Whether `unless` returns something.
fn vetoed(retrain: &Retrain, window: &Window, at: Timestamp) -> Result<bool, String> {
    let Some(expr) = &retrain.unless else {
        return Ok(false);
    };
    let evaluation = Query::new(expr.clone())
        .eval(window, at)
        .map_err(|error| error.to_string())?;
    let values = evaluation
        .value
        .into_vector(at)
        .map_err(|error| error.to_string())?;
    Ok(!values.is_empty())
}
