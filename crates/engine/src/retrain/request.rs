//! A request to retrain.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::taint::Taint;
use crate::alert::{Alert, Annotations};
use crate::judge::Band;
use crate::metric::{Labels, Matcher, Timestamp};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// A new version of the model.
    #[default]
    Retrain,
    /// The version before the present one, which is worse.
    Rollback,
}

/// What a request rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestEvidence {
    /// The observations behind the last value, where they are known.
    pub observations: Option<u64>,
    /// The time that a value covers; zero for a value of one moment.
    pub window: Duration,
    /// The start of the time that the request is about.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
    /// Times of the last week that are no evidence, to be left out of training.
    pub taints: Vec<Taint>,
}

/// Why and what to retrain. Every retry and every replica of the same decision carries the same
/// [`id`](Self::id).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetrainRequest {
    /// The idempotency key: 64 hexadecimal digits.
    pub id: String,
    /// What is asked for.
    #[serde(default)]
    pub kind: RequestKind,
    /// `model.id`.
    pub model_id: String,
    /// `model.version`, empty when not set.
    #[serde(default)]
    pub model_version: String,
    /// The watch that fired.
    pub rule: String,
    /// One line for people.
    pub reason: String,
    /// The alert's labels.
    pub labels: Labels,
    /// The alert's annotations.
    pub annotations: Annotations,
    /// The last value; absent when it is no finite number.
    pub value: Option<f64>,
    /// Distance from normal, 1 at the limit.
    pub score: Option<f64>,
    /// The band that was expected.
    pub expected: Band,
    /// Since when the condition holds.
    pub active_at: Timestamp,
    /// Since when the alert fires.
    pub fired_at: Timestamp,
    /// The time of the decision.
    pub requested_at: Timestamp,
    /// A link to details for people.
    #[serde(default)]
    pub generator_url: String,
    /// What it rests on; absent if the relay requests for an alert of another source.
    #[serde(default)]
    pub evidence: Option<RequestEvidence>,
}

impl RetrainRequest {
    /// The request for a firing alert.
    #[must_use]
    pub fn new(
        id: String,
        (model_id, model_version): (&str, &str),
        alert: &Alert,
        at: Timestamp,
    ) -> Self {
        let explanation = alert.explanation.as_deref();
        Self {
            id,
            kind: RequestKind::Retrain,
            evidence: None,
            model_id: model_id.to_owned(),
            model_version: model_version.to_owned(),
            rule: alert.rule.to_string(),
            reason: alert.summary(),
            labels: alert.labels.clone(),
            annotations: alert.annotations.clone(),
            value: Some(alert.value).filter(|value| value.is_finite()),
            score: explanation
                .and_then(|e| e.score)
                .filter(|score| score.is_finite()),
            expected: explanation.map(|e| finite(e.expected)).unwrap_or_default(),
            active_at: alert.active_at,
            fired_at: alert.starts_at(),
            requested_at: at,
            generator_url: alert.generator_url.to_string(),
        }
    }
}

impl RetrainRequest {
    /// Whether all matchers pass; `model_id`, `model_version` and `rule` count as labels.
    #[must_use]
    pub fn matches(&self, matchers: &[Matcher]) -> bool {
        matchers.iter().all(|matcher| {
            let value = match matcher.name() {
                "model_id" => self.model_id.as_str(),
                "model_version" => self.model_version.as_str(),
                "rule" => self.rule.as_str(),
                name => self.labels.get(name).unwrap_or(""),
            };
            matcher.matches(value)
        })
    }
}

/// Absent if not finite, since JSON has no infinities.
fn finite(band: Band) -> Band {
    let only = |side: Option<f64>| side.filter(|value| value.is_finite());
    Band {
        lower: only(band.lower),
        centre: only(band.centre),
        upper: only(band.upper),
    }
}

/// The key that replicas and retries share: SHA-256 over model id, version, what identifies the rule
/// on every replica, the series' labels without the pod's identity and the cool-down epoch, in
/// hexadecimal.
#[must_use]
pub fn idempotency_key(
    (model_id, model_version): (&str, &str),
    rule: &str,
    series: &Labels,
    epoch: i64,
) -> String {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    };
    add(model_id);
    add(model_version);
    add(rule);
    for (name, value) in series.iter() {
        add(name);
        add(value);
    }
    add(&epoch.to_string());
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
