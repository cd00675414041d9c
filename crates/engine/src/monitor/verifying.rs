//! Compares the version that runs after a request to retrain with the one before it.

use tracing::{info, warn};

use super::proof::Proof;
use super::retraining::Retraining;
use super::rollout::version;
use super::watch::Watching;
use crate::alert::{Alert, with_unit};
use crate::metric::{Labels, Metric, MetricSample, Timestamp};
use crate::retrain::{
    Comparison, GateKey, RequestKind, RetrainRequest, Seen, Tried, Verification, idempotency_key,
};
use crate::rules::Retrain;

impl Retraining {
    /// The version of a series: that of its labels, or of the configuration.
    fn version_of<'a>(&'a self, series: &'a Labels) -> Option<&'a str> {
        version(series).or(self.model.version.as_deref())
    }

    /// The model and the version that a request about a series names.
    pub(super) fn named<'a>(&'a self, series: &'a Labels) -> (&'a str, &'a str) {
        let configured = self.model.version.as_deref();
        let version = configured.or(version(series)).unwrap_or("");
        (&self.model.id, version)
    }

    /// Takes a judged value of a version in.
    pub(super) fn see(
        &mut self,
        key: &GateKey,
        sample: &MetricSample,
        is_anomalous: bool,
        retrain: &Retrain,
        proof: &Proof<'_>,
    ) {
        let verified = retrain.verify.and(self.version_of(&sample.labels));
        let Some(version) = verified.map(str::to_owned) else {
            return;
        };
        let seen = Seen {
            version: &version,
            value: sample.value,
            is_anomalous,
            window: proof.window(sample),
            grace: proof.grace(),
            at: proof.at,
        };
        if self.gates.gate(key).see(seen) {
            info!(
                rule = key.rule,
                version, "the values are normal: retraining is needed no more"
            );
        }
    }

    /// Compares the version that an alert is about with the one before it. Returns a request to go
    /// back, if the version is worse and the rule asks for that.
    pub(super) fn compare(
        &mut self,
        key: &GateKey,
        watching: &Watching,
        retrain: &Retrain,
        alert: &Alert,
        at: Timestamp,
    ) -> Option<RetrainRequest> {
        let verify = retrain.verify?;
        let version = self.version_of(&alert.series)?.to_owned();
        let direction = watching.watch.direction;
        let result = self
            .gates
            .gate(key)
            .compare(&version, direction, verify, at)?;
        if result == Comparison::Better {
            info!(
                rule = key.rule,
                version, "the new version is better than the one before"
            );
            return None;
        }
        let verification = self.gates.get(key)?.verification()?;
        let why = describe(&key.series, verification, &watching.watch.metric)?;
        warn!(rule = key.rule, version, why, "retraining did not help");
        let goes_back = result == Comparison::Worse && retrain.rollback;
        if !goes_back || !self.is_asking() {
            return None;
        }
        let (model, configured) = self.named(&alert.series);
        let what = format!("{}\nrollback", key.rule);
        let id = idempotency_key((model, &version), &what, &key.series, 0);
        let request = RetrainRequest::new(id, (model, configured), alert, at);
        Some(RetrainRequest {
            kind: RequestKind::Rollback,
            reason: why,
            ..request
        })
    }

    /// Whether a request has to wait for a new version or its comparison, or is of no use.
    pub(super) fn is_unverified(
        &self,
        key: &GateKey,
        retrain: &Retrain,
        alert: &Alert,
        at: Timestamp,
    ) -> bool {
        let verified = retrain.verify.zip(self.version_of(&alert.series));
        let held = verified.and_then(|(verify, version)| {
            let gate = self.gates.get(key)?;
            gate.unverified(version, verify, at)
        });
        held.is_some()
    }

    /// Notes that a request was made for the series of an alert. A dry run trains no version.
    pub(super) fn spend(
        &mut self,
        key: &GateKey,
        watching: &Watching,
        retrain: &Retrain,
        alert: &Alert,
        at: Timestamp,
    ) {
        let verified = retrain.verify.and(self.version_of(&alert.series));
        let version = verified.filter(|_| self.is_asking()).map(str::to_owned);
        let judged = watching.judged.iter();
        let values = judged
            .filter(|(sample, _)| GateKey::new(&key.rule, &sample.labels) == *key)
            .map(|(sample, _)| (sample.labels.clone(), sample.value));
        self.gates.gate(key).spend(values, version.as_deref(), at);
    }

    /// What to say about the series of a watch for which retraining does not help.
    pub(super) fn useless(
        &self,
        rule: &str,
        watching: &Watching,
        retrain: &Retrain,
    ) -> Vec<String> {
        let Some(verify) = retrain.verify else {
            return Vec::new();
        };
        let is_said = |known: &Verification| known.is_useless(verify) || known.is_worse();
        let verifications = self.gates.verifications(rule);
        verifications
            .filter(|(_, verification)| is_said(verification))
            .filter_map(|(series, verification)| {
                describe(series, verification, &watching.watch.metric)
            })
            .collect()
    }
}

/// `versions 2 and 3 are no better than 1 for {model_name="m"}: 88.1 % and 87.9 %, before 88 %`.
fn describe(series: &Labels, verification: &Verification, metric: &Metric) -> Option<String> {
    let before = verification.before()?;
    let tried = verification.no_better();
    let value = |tried: &Tried| match (tried.values.mean(), metric) {
        (None, _) => "unknown".to_owned(),
        (Some(mean), Metric::Accuracy) => format!("{:.1} %", mean * 100.0),
        (Some(mean), _) => with_unit(mean, metric.unit()),
    };
    let names: Vec<String> = tried.iter().map(|tried| tried.version.clone()).collect();
    let values: Vec<String> = tried.iter().map(value).collect();
    let (noun, verb) = match names.len() {
        1 => ("version", "is"),
        _ => ("versions", "are"),
    };
    let how = match tried {
        [only] if only.result == Some(Comparison::Worse) => "worse",
        _ => "no better",
    };
    let about = if series.is_empty() {
        String::new()
    } else {
        format!(" for {series}")
    };
    Some(format!(
        "{noun} {} {verb} {how} than {}{about}: {}, before {}; look at the data, the labels and the bound",
        listed(&names),
        before.version,
        listed(&values),
        value(before)
    ))
}

/// `a`, `a and b`, `a, b and c`.
fn listed(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
