//! Decides when a firing watch requests retraining.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use tracing::info;

use super::results::Results;
use super::rule::{RuleKind, RuleState};
use super::settings::{Model, RetrainingSettings, Settings};
use super::watch::Watching;
use crate::alert::{Alert, Context};
use crate::judge;
use crate::metric::{Labels, Timestamp};
use crate::promql::Query;
use crate::retrain::{Attempt, Decision, GateKey, Gates, Hourly, Policy, RetrainRequest};
use crate::rules::Retrain;
use crate::series::Window;

/// Interval of gate garbage collection. The verdicts on a series are dropped after two sweeps without
/// it, so that they survive a failed scrape.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// A sweep for the series of a rule that have ended.
#[derive(Debug)]
struct Sweep {
    at: Timestamp,
    missed: BTreeSet<Labels>,
}

/// The gates of every (rule, series) and the switches in front of them.
#[derive(Debug)]
pub(super) struct Retraining {
    pub(super) gates: Gates,
    /// The last sweep of each rule.
    sweeps: BTreeMap<String, Sweep>,
    settings: RetrainingSettings,
    model: Model,
}

/// The data that vetoes are evaluated over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) window: &'a Window,
    /// A server's results; empty without a server.
    pub(super) results: &'a Results,
}

impl Retraining {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            gates: Gates::default(),
            sweeps: BTreeMap::new(),
            settings: settings.retraining.clone(),
            model: settings.model.clone(),
        }
    }

    /// Applies new switches after a reload; the gates stay.
    pub(super) fn reconfigure(&mut self, settings: &Settings) {
        let gates = std::mem::take(&mut self.gates);
        let sweeps = std::mem::take(&mut self.sweeps);
        *self = Self {
            gates,
            sweeps,
            ..Self::new(settings)
        };
    }

    /// Gives the gates of rules that moved, by their old keys, their new keys.
    pub(super) fn follow(&mut self, moved: &BTreeMap<String, String>) {
        self.gates
            .rename(|rule| moved.get(rule).map(|key| vec![key.as_str()]));
    }

    /// The retraining requests of a rule after its evaluation, and the changes of the alert about
    /// those that the hourly limit holds back.
    pub(super) fn decide(
        &mut self,
        rule: &mut RuleState,
        known: Known<'_>,
        context: &Context,
        at: Timestamp,
    ) -> (Vec<RetrainRequest>, Vec<Alert>) {
        let RuleKind::Watch(watching) = &mut rule.kind else {
            return Default::default();
        };
        let (requests, held_back) = self.requests(&rule.key, watching, known, context, at);
        let limit = self.settings.hourly_limit;
        // Without a verdict it is unknown what waits: the alert stays as it is.
        let changes = held_back.map(|held_back| watching.hold_back(held_back, limit, context, at));
        (requests, changes.unwrap_or_default())
    }

    /// The requests for firing alerts whose series got a verdict in this evaluation, and how many
    /// the hourly limit holds back; `None` if alerts fire, but none has a verdict.
    fn requests(
        &mut self,
        rule: &str,
        watching: &Watching,
        known: Known<'_>,
        context: &Context,
        at: Timestamp,
    ) -> (Vec<RetrainRequest>, Option<usize>) {
        let watch = &watching.watch;
        let Some(retrain) = &watch.retrain else {
            return (Vec::new(), Some(0));
        };
        let policy = Policy {
            cooldown: retrain.cooldown,
            after: retrain.after,
            in_flight_timeout: self.settings.in_flight_timeout.unwrap_or(retrain.cooldown),
            dry_run: self.settings.dry_run,
        };
        let judged = self.count_verdicts(rule, &policy, watching);
        let mut requests = Vec::new();
        let firing = watching.tracker.firing(&watch.alert, context);
        let present = watching.judged.iter().map(|(sample, _)| &sample.labels);
        let known_series = present.chain(firing.iter().map(|alert| &alert.series));
        self.sweep(rule, &policy, known_series, at);
        let limit = self.settings.hourly_limit;
        let mut hourly = Hourly::of_rule(&self.gates, rule, limit, at);
        for alert in &firing {
            if !judged.contains(&alert.series) {
                continue;
            }
            let key = GateKey::new(rule, &alert.series);
            let version = self.model.version.as_deref().unwrap_or("");
            let attempt = Attempt {
                model: (&self.model.id, version),
                series: &alert.series,
                at,
                fired_at: alert.fired_at,
                enabled: self.settings.enabled,
                limit: None,
            };
            let veto = || vetoed(retrain, known, at);
            let decision = self
                .gates
                .decide(&policy, &key, &attempt, &mut hourly, veto);
            match decision {
                Decision::Request { id } => {
                    requests.push(RetrainRequest::new(id, attempt.model, alert, at));
                }
                Decision::DryRun { id } => {
                    info!(rule = %watch.alert.name, id, "would ask for retraining (dry run)");
                }
                Decision::Hold(_) => {}
            }
        }
        let is_known = firing.is_empty() || !judged.is_empty();
        (requests, is_known.then(|| hourly.held_back()))
    }

    /// Adds the verdicts of an evaluation; returns the series that got one.
    fn count_verdicts<'a>(
        &mut self,
        rule: &str,
        policy: &Policy,
        watching: &'a Watching,
    ) -> HashSet<&'a Labels> {
        let mut judged = HashSet::with_capacity(watching.judged.len());
        for (sample, verdict) in &watching.judged {
            let is_anomalous = match verdict.state {
                judge::State::Anomalous => true,
                judge::State::Ok => false,
                judge::State::WarmingUp
                | judge::State::InsufficientData
                | judge::State::Stale
                | judge::State::Idle => continue,
            };
            let gate = self.gates.gate(&GateKey::new(rule, &sample.labels));
            gate.verdict(policy, &sample.labels, is_anomalous);
            judged.insert(&sample.labels);
        }
        judged
    }

    /// Drops what is known about series that have ended, so that its size stays bounded.
    fn sweep<'a>(
        &mut self,
        rule: &str,
        policy: &Policy,
        known: impl Iterator<Item = &'a Labels>,
        at: Timestamp,
    ) {
        let Some(last) = self.sweeps.get_mut(rule) else {
            let missed = BTreeSet::new();
            self.sweeps.insert(rule.to_owned(), Sweep { at, missed });
            return;
        };
        if at.since(last.at) < SWEEP_EVERY {
            return;
        }
        let known: BTreeSet<&Labels> = known.collect();
        let series = self.gates.series(rule);
        let missed: BTreeSet<Labels> = series
            .filter(|series| !known.contains(series))
            .cloned()
            .collect();
        self.gates.sweep(rule, policy, at, |series| {
            missed.contains(series) && last.missed.contains(series)
        });
        *last = Sweep { at, missed };
    }
}

impl Watching {
    /// Notes how many requests the hourly limit holds back; returns the changes of the alert about
    /// them.
    fn hold_back(
        &mut self,
        held_back: usize,
        limit: usize,
        context: &Context,
        at: Timestamp,
    ) -> Vec<Alert> {
        self.held_back = held_back;
        let rule = &self.watch.alert;
        let counts = (held_back, limit);
        let changes = self
            .tracker
            .note_limited_retraining(rule, at, context, counts);
        changes.alerts
    }
}

/// Whether `unless` returns something.
fn vetoed(
    retrain: &Retrain,
    Known { window, results }: Known<'_>,
    at: Timestamp,
) -> Result<bool, String> {
    let Some(expr) = &retrain.unless else {
        return Ok(false);
    };
    if let Some(answer) = results.get(expr) {
        return answer.clone().map(|values| !values.is_empty());
    }
    let evaluation = Query::new(expr.clone())
        .eval(window, at)
        .map_err(|error| error.to_string())?;
    let values = evaluation
        .value
        .into_vector(at)
        .map_err(|error| error.to_string())?;
    Ok(!values.is_empty())
}

#[cfg(test)]
mod tests {
    use super::Settings;
    use super::{GateKey, Policy, Retraining, SWEEP_EVERY};
    use crate::metric::{Labels, Timestamp};

    #[test]
    fn two_sweeps_without_the_series_drop_a_gate_unless_it_holds_a_request_back() {
        let series = |user: &str| Labels::new([("user", user)]);
        let mut retraining = Retraining::new(&Settings::default());
        let policy = Policy::default();
        let start = Timestamp::from_millis(1_700_000_000_000);
        for user in ["here", "gone", "asked"] {
            let key = GateKey::new("Bad", &series(user));
            let gate = retraining.gates.gate(&key);
            gate.verdict(&policy, &series(user), true);
        }
        let asked = GateKey::new("Bad", &series("asked"));
        let attempt = super::Attempt {
            model: ("m", "1"),
            series: &series("asked"),
            at: start,
            fired_at: Some(start),
            enabled: true,
            limit: None,
        };
        let decision = retraining
            .gates
            .gate(&asked)
            .decide(&policy, &asked, &attempt, || Ok(false));
        assert!(matches!(decision, super::Decision::Request { .. }));
        let here = [series("here")];
        let mut left = Vec::new();
        for look in 0..4 {
            let at = start + SWEEP_EVERY * look;
            retraining.sweep("Bad", &policy, here.iter(), at);
            left.push(retraining.gates.len());
        }
        assert_eq!(left, [3, 3, 2, 2]);
        // The cool-down of six hours is over, and the request is no longer under way.
        for look in [200, 201] {
            let at = start + SWEEP_EVERY * look;
            retraining.sweep("Bad", &policy, here.iter(), at);
        }
        let rest: Vec<_> = retraining
            .gates
            .iter()
            .map(|(key, _)| &key.series)
            .collect();
        assert_eq!(rest, [&series("here")]);
    }
}
