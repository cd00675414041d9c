//! Decides when a firing watch requests retraining.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use tracing::info;

use super::proof::{Known, Proof};
use super::rule::{RuleKind, RuleState};
use super::settings::{Model, RetrainingSettings, Settings};
use super::watch::Watching;
use crate::alert::{Alert, Context};
use crate::judge;
use crate::metric::{Labels, MetricSample, Timestamp};
use crate::retrain::{Attempt, Decision, GateKey, Gates, Hourly, Policy, RetrainRequest};
use crate::rules::Retrain;

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
    pub(super) model: Model,
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

    /// Whether requests are made: retraining is on, and this is no dry run.
    pub(super) fn is_asking(&self) -> bool {
        self.settings.enabled && !self.settings.dry_run
    }

    /// Gives the gates of rules that moved, by their old keys, their new keys.
    pub(super) fn follow(&mut self, moved: &BTreeMap<String, String>) {
        self.gates
            .rename(|rule| moved.get(rule).map(|key| vec![key.as_str()]));
    }

    /// The retraining requests of a rule after its evaluation, and the changes of the alerts about
    /// those that the hourly limit holds back and about retraining that does not help.
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
        let Some(retrain) = watching.watch.retrain.clone() else {
            let mut changes = watching.hold_back(0, 0, context, at);
            changes.extend(watching.note_useless(&[], context, at));
            return (Vec::new(), changes);
        };
        let proof = Proof::new(&retrain, watching, known, at);
        let (requests, held_back) = self.requests(&rule.key, watching, &retrain, &proof, context);
        let limit = self.settings.hourly_limit;
        // Without a verdict it is unknown what waits: the alert stays as it is.
        let changes = held_back.map(|held_back| watching.hold_back(held_back, limit, context, at));
        let mut changes = changes.unwrap_or_default();
        let texts = self.useless(&rule.key, watching, &retrain);
        changes.extend(watching.note_useless(&texts, context, at));
        (requests, changes)
    }

    fn policy(&self, retrain: &Retrain) -> Policy {
        Policy {
            cooldown: retrain.cooldown,
            after: retrain.after,
            in_flight_timeout: self.settings.in_flight_timeout.unwrap_or(retrain.cooldown),
            dry_run: self.settings.dry_run,
        }
    }

    /// The requests for firing alerts whose series got a verdict in this evaluation that is
    /// evidence, and how many the hourly limit holds back; `None` if alerts fire, but none has such
    /// a verdict.
    fn requests(
        &mut self,
        rule: &str,
        watching: &Watching,
        retrain: &Retrain,
        proof: &Proof<'_>,
        context: &Context,
    ) -> (Vec<RetrainRequest>, Option<usize>) {
        let watch = &watching.watch;
        let at = proof.at;
        let policy = self.policy(retrain);
        proof.note_taints(&mut self.gates, rule);
        let judged = self.count_verdicts(rule, &policy, watching, retrain, proof);
        let mut requests = Vec::new();
        let firing = watching.tracker.firing(&watch.alert, context);
        let present = watching.judged.iter().map(|(sample, _)| &sample.labels);
        let known_series = present.chain(firing.iter().map(|alert| &alert.series));
        self.sweep(rule, &policy, known_series, at);
        let limit = self.settings.hourly_limit;
        let mut hourly = Hourly::of_rule(&self.gates, rule, limit, at);
        for alert in &firing {
            let Some(sample) = judged.get(&alert.series) else {
                continue;
            };
            let key = GateKey::new(rule, &alert.series);
            let rollback = self.compare(&key, watching, retrain, alert, at);
            requests.extend(
                rollback.map(|request| proof.with_evidence(request, &self.gates, &key, sample)),
            );
            if self.is_unverified(&key, retrain, alert, at) {
                continue;
            }
            let model = self.model.clone();
            let attempt = Attempt {
                model: (&model.id, model.version.as_deref().unwrap_or("")),
                series: &alert.series,
                at,
                fired_at: alert.fired_at,
                enabled: self.settings.enabled,
                limit: None,
            };
            let veto = || proof.veto.clone();
            let decision = self
                .gates
                .decide(&policy, &key, &attempt, &mut hourly, veto);
            match decision {
                Decision::Request { id } => {
                    let request = RetrainRequest::new(id, self.named(&alert.series), alert, at);
                    requests.push(proof.with_evidence(request, &self.gates, &key, sample));
                    self.spend(&key, watching, retrain, alert, at);
                }
                Decision::DryRun { id } => {
                    info!(rule = %watch.alert.name, id, "would ask for retraining (dry run)");
                    self.spend(&key, watching, retrain, alert, at);
                }
                Decision::Hold(_) => {}
            }
        }
        let is_known = firing.is_empty() || !judged.is_empty();
        (requests, is_known.then(|| hourly.held_back()))
    }

    /// Adds the verdicts of an evaluation that are evidence; returns the samples behind them.
    fn count_verdicts<'a>(
        &mut self,
        rule: &str,
        policy: &Policy,
        watching: &'a Watching,
        retrain: &Retrain,
        proof: &Proof<'_>,
    ) -> HashMap<&'a Labels, &'a MetricSample> {
        let mut judged = HashMap::with_capacity(watching.judged.len());
        for (sample, verdict) in &watching.judged {
            let series = &sample.labels;
            let key = GateKey::new(rule, series);
            let is_anomalous = match verdict.state {
                judge::State::Anomalous => true,
                judge::State::Ok => false,
                judge::State::Idle => {
                    self.gates.drop_verdicts(&key, series);
                    continue;
                }
                judge::State::WarmingUp | judge::State::InsufficientData | judge::State::Stale => {
                    continue;
                }
            };
            if proof.is_tainted(&self.gates, rule, sample) {
                self.gates.drop_verdicts(&key, series);
                continue;
            }
            if is_anomalous && proof.is_gone(series) {
                continue;
            }
            let gate = self.gates.gate(&key);
            if gate.is_spent(series, sample.value, || proof.observed(sample)) {
                continue;
            }
            gate.verdict(policy, series, is_anomalous);
            judged.insert(series, sample);
            self.see(&key, sample, is_anomalous, retrain, proof);
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
    /// Notes the series for which retraining does not help; returns the changes of the alert about
    /// them.
    fn note_useless(&mut self, texts: &[String], context: &Context, at: Timestamp) -> Vec<Alert> {
        let rule = &self.watch.alert;
        let changes = self
            .tracker
            .note_useless_retraining(rule, at, context, texts);
        changes.alerts
    }

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
