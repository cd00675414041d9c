//! Alertmanager's webhook, version 4, as it comes in.
//!
//! <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::history::parse_time;
use crate::metric::{Labels, Timestamp};

/// Most bytes of an alert's labels; the gates and the outbox keep them.
const MOST_LABELS: usize = 16 * 1024;
/// Most bytes of an alert's annotations; what is over is left out.
const MOST_ANNOTATIONS: usize = 32 * 1024;

/// One notification: a group of alerts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notification {
    /// The name of the receiver in Alertmanager.
    pub receiver: String,
    /// Alerts that Alertmanager left out because of `max_alerts`.
    pub truncated: u64,
    /// The alerts.
    pub alerts: Vec<Received>,
}

/// One alert of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Whether it fires; it has ended otherwise.
    pub firing: bool,
    /// Its identity, `alertname` included.
    pub labels: Labels,
    /// Texts for people.
    pub annotations: Labels,
    /// Since when it fires.
    pub starts_at: Timestamp,
    /// Where a person can look at it.
    pub generator_url: String,
}

#[derive(Deserialize)]
struct Head {
    version: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(default)]
    receiver: String,
    #[serde(default)]
    truncated_alerts: u64,
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    status: String,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    starts_at: String,
    #[serde(default, rename = "generatorURL")]
    generator_url: String,
}

impl Notification {
    /// Reads a body.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence for the log of the Alertmanager that sent it.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let head: Head = serde_json::from_slice(body)
            .map_err(|error| format!("not Alertmanager's webhook: {error}"))?;
        match head.version.as_deref() {
            Some("4") => {}
            Some(other) => {
                return Err(format!(
                    "version: this program understands \"4\", got {other:?}"
                ));
            }
            None => {
                return Err("version: is missing; Alertmanager's webhook says \"4\"".to_owned());
            }
        }
        let body: Body = serde_json::from_slice(body)
            .map_err(|error| format!("not version 4 of Alertmanager's webhook: {error}"))?;
        let alerts = body.alerts.into_iter().enumerate();
        Ok(Self {
            receiver: body.receiver,
            truncated: body.truncated_alerts,
            alerts: alerts
                .map(|(index, alert)| {
                    received(alert).map_err(|error| format!("alerts[{index}].{error}"))
                })
                .collect::<Result<_, _>>()?,
        })
    }
}

fn received(alert: Alert) -> Result<Received, String> {
    let firing = match alert.status.as_str() {
        "firing" => true,
        "resolved" => false,
        other => {
            return Err(format!("status: must be firing or resolved, got {other:?}"));
        }
    };
    let size = |name: &String, value: &String| name.len() + value.len();
    let labels: usize = alert.labels.iter().map(|(n, v)| size(n, v)).sum();
    if labels > MOST_LABELS {
        return Err(format!(
            "labels: have {labels} bytes, more than the {MOST_LABELS} that are kept"
        ));
    }
    let starts_at = parse_time(&alert.starts_at).ok_or_else(|| {
        format!(
            "startsAt: must be a time such as 2026-11-24T13:00:00Z, got {:?}",
            alert.starts_at
        )
    })?;
    let mut room = MOST_ANNOTATIONS;
    let annotations = alert.annotations.into_iter().filter(|(name, value)| {
        let left = room.checked_sub(size(name, value));
        room = left.unwrap_or(room);
        left.is_some()
    });
    Ok(Received {
        firing,
        labels: Labels::new(alert.labels),
        annotations: Labels::new(annotations),
        starts_at,
        generator_url: alert.generator_url,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Notification;

    /// A body as Alertmanager's documentation shows it.
    fn body() -> Value {
        json!({
            "version": "4", "groupKey": "{}:{alertname=\"Drift\"}", "truncatedAlerts": 2,
            "status": "firing", "receiver": "retraining", "groupLabels": {}, "commonLabels": {},
            "commonAnnotations": {}, "externalURL": "http://am:9093",
            "alerts": [{
                "status": "firing", "labels": {"alertname": "Drift", "model_id": "fraud"},
                "annotations": {"summary": "it drifts"},
                "startsAt": "2026-11-24T13:00:00.5+01:00", "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prom/graph", "fingerprint": "c0ffee",
            }],
        })
    }

    fn with(pointer: &str, value: Value) -> Result<Notification, String> {
        let mut body = body();
        *body.pointer_mut(pointer).unwrap() = value;
        Notification::parse(body.to_string().as_bytes())
    }

    #[test]
    fn a_notification_is_read_with_its_zone() {
        let read = Notification::parse(body().to_string().as_bytes()).unwrap();
        assert_eq!((read.receiver.as_str(), read.truncated), ("retraining", 2));
        let alert = &read.alerts[0];
        assert!(alert.firing);
        assert_eq!(alert.labels.get("model_id"), Some("fraud"));
        // 24 November 2026, 12:00:00.5 UTC.
        assert_eq!(alert.starts_at.as_millis(), 1_795_521_600_500);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let wrong = [
            (
                "/version",
                json!("5"),
                "version: this program understands \"4\", got \"5\"",
            ),
            ("/version", Value::Null, "version: is missing"),
            (
                "/alerts/0/status",
                json!("on"),
                "alerts[0].status: must be firing or resolved",
            ),
            (
                "/alerts/0/startsAt",
                json!("soon"),
                "alerts[0].startsAt: must be a time",
            ),
            (
                "/alerts/0/labels",
                json!({"a": "x".repeat(20_000)}),
                "alerts[0].labels: have 20001 bytes",
            ),
            ("/alerts/0/labels", json!({"a": 1}), "not version 4"),
            ("/alerts", json!({}), "not version 4"),
        ];
        for (pointer, value, expected) in wrong {
            let error = with(pointer, value).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        for body in ["", "{", "[]", "null", "\"4\"", "{}"] {
            assert!(Notification::parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn annotations_without_end_are_cut_and_the_others_stay() {
        let long = json!({"a": "x".repeat(40_000), "summary": "short"});
        let read = with("/alerts/0/annotations", long).unwrap();
        let annotations = &read.alerts[0].annotations;
        assert_eq!(annotations.get("summary"), Some("short"));
        assert_eq!(annotations.len(), 1);
    }
}
