//! Parses notifications of Alertmanager's webhook, version 4.
//!
//! <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>

use std::collections::BTreeMap;
use std::mem;
use std::num::NonZero;

use serde::Deserialize;

use super::split::{MAX_ALERT, Split};
use crate::alert::Annotations;
use crate::history::parse_time;
use crate::metric::{Labels, Timestamp};

/// Maximum size of an alert's labels, which the gates and the outbox store.
const MAX_LABEL_BYTES: usize = 16 * 1024;
/// Maximum size of an alert's annotations. Annotations beyond it are dropped.
const MAX_ANNOTATION_BYTES: usize = 32 * 1024;

/// Size of the alerts that are held before they are decided, in bytes of the notification.
const MAX_HELD: usize = 1024 * 1024;
/// Most refused alerts of a notification that is taken nevertheless.
const MAX_REFUSED: usize = 10_000;
/// Most reasons for refusing an alert that are kept.
const MAX_REASONS: usize = 10;

/// A notification that arrives piece by piece.
#[derive(Debug, Default)]
pub(super) struct Reading {
    split: Split,
    alerts: Alerts,
}

/// The alerts that have arrived.
#[derive(Debug, Default)]
struct Alerts {
    valid: Vec<Received>,
    /// Size of the valid ones in the notification.
    bytes: usize,
    /// How many there were, valid or not, since the beginning.
    count: usize,
    refused: Refused,
}

/// The alerts of a notification that are left out because each is invalid or too large.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// How many there are.
    pub(super) count: usize,
    /// Why the first of them are refused.
    pub(super) reasons: Vec<String>,
}

/// The end of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notification {
    /// The name of the receiver in Alertmanager.
    pub(super) receiver: String,
    /// Number of alerts that Alertmanager left out because of `max_alerts`.
    pub(super) truncated: u64,
    /// The alerts that were not taken before.
    pub(super) alerts: Vec<Received>,
    /// The refused alerts.
    pub(super) refused: Refused,
}

/// One alert of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Received {
    /// Whether it is firing; otherwise it is resolved.
    pub(super) firing: bool,
    /// Its labels, with `alertname`.
    pub(super) labels: Labels,
    /// Its annotations.
    pub(super) annotations: Annotations,
    /// When it began to fire.
    pub(super) starts_at: Timestamp,
    /// A link to the source of the alert.
    pub(super) generator_url: String,
}

#[derive(Deserialize)]
struct Version {
    version: Option<String>,
}

/// What stands outside of the alerts.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outside {
    #[serde(default)]
    receiver: String,
    #[serde(default)]
    truncated_alerts: u64,
    /// One number, which [`Split`] writes in the place of the alerts.
    alerts: Vec<u8>,
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

impl Reading {
    /// Reads the next piece.
    ///
    /// # Errors
    /// Why the notification is invalid, as a message for the log of the Alertmanager that sent it.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), String> {
        let alerts = &mut self.alerts;
        self.split.push(piece, &mut |alert| alerts.take(alert))?;
        if alerts.refused.count > MAX_REFUSED {
            return Err(format!("more than {MAX_REFUSED} of the alerts are invalid"));
        }
        Ok(())
    }

    /// Bytes of the notification that are held in memory.
    pub(super) fn held(&self) -> usize {
        self.split.held() + self.alerts.bytes
    }

    /// Takes the alerts that have arrived if there are many, so that they can be decided.
    pub(super) fn take_many(&mut self) -> Option<Vec<Received>> {
        (self.alerts.bytes > MAX_HELD).then(|| {
            self.alerts.bytes = 0;
            mem::take(&mut self.alerts.valid)
        })
    }

    /// Reads the end. An invalid alert is refused alone.
    ///
    /// # Errors
    /// Why the notification or every alert in it is invalid.
    pub(super) fn finish(self) -> Result<Notification, String> {
        let outside = self.split.outside();
        let version: Version = serde_json::from_slice(outside)
            .map_err(|error| format!("not Alertmanager's webhook: {error}"))?;
        match version.version.as_deref() {
            Some("4") => {}
            Some(other) => {
                return Err(format!("version: must be \"4\", got {other:?}"));
            }
            None => {
                return Err("version: is missing; Alertmanager's webhook sends \"4\"".to_owned());
            }
        }
        let outside: Outside = serde_json::from_slice(outside)
            .map_err(|error| format!("not version 4 of Alertmanager's webhook: {error}"))?;
        if outside.alerts.is_empty() {
            return Err("alerts: the name of this key must be written without escapes".to_owned());
        }
        let Alerts {
            valid: alerts,
            count,
            refused,
            ..
        } = self.alerts;
        match refused.reasons.first() {
            Some(error) if refused.count == count => Err(error.clone()),
            _ => Ok(Notification {
                receiver: outside.receiver,
                truncated: outside.truncated_alerts,
                alerts,
                refused,
            }),
        }
    }
}

impl Alerts {
    /// Takes the text of one alert, or `None` if it is too large.
    fn take(&mut self, text: Option<&[u8]>) {
        let index = self.count;
        self.count += 1;
        match parse(text) {
            Ok(alert) => {
                self.valid.push(alert);
                self.bytes += text.map_or(0, <[u8]>::len);
            }
            Err(error) => {
                self.refused.count += 1;
                if self.refused.reasons.len() < MAX_REASONS {
                    let reason = format!("alerts[{index}]{error}");
                    self.refused.reasons.push(reason);
                }
            }
        }
    }
}

fn parse(text: Option<&[u8]>) -> Result<Received, String> {
    let text = text.ok_or_else(|| format!(": has more than {MAX_ALERT} bytes"))?;
    let alert = serde_json::from_slice(text).map_err(|error| format!(": {error}"))?;
    received(alert).map_err(|error| format!(".{error}"))
}

/// The labels and the annotations of an alert.
pub(super) type Notified = (Labels, Annotations);

/// Labels and annotations of the valid alerts in the body of a notification, which arrives in pieces
/// of this size.
///
/// # Errors
/// Why there are none.
pub fn notified(body: &[u8], piece: NonZero<usize>) -> Result<Vec<Notified>, String> {
    let mut reading = Reading::default();
    for piece in body.chunks(piece.get()) {
        reading.push(piece)?;
    }
    let alerts = reading.finish()?.alerts.into_iter();
    Ok(alerts
        .map(|alert| (alert.labels, alert.annotations))
        .collect())
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
    if labels > MAX_LABEL_BYTES {
        return Err(format!(
            "labels: have {labels} bytes, more than the maximum of {MAX_LABEL_BYTES}"
        ));
    }
    let starts_at = parse_time(&alert.starts_at).ok_or_else(|| {
        format!(
            "startsAt: must be a time such as 2026-11-24T13:00:00Z, got {:?}",
            alert.starts_at
        )
    })?;
    let mut remaining = MAX_ANNOTATION_BYTES;
    let annotations = alert.annotations.into_iter().filter(|(name, value)| {
        let rest = remaining.checked_sub(size(name, value));
        remaining = rest.unwrap_or(remaining);
        rest.is_some()
    });
    Ok(Received {
        firing,
        labels: Labels::new(alert.labels),
        annotations: Annotations::new(annotations),
        starts_at,
        generator_url: alert.generator_url,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Notification, Reading};

    fn read(body: &[u8]) -> Result<Notification, String> {
        let mut reading = Reading::default();
        reading.push(body)?;
        reading.finish()
    }

    /// The example body of Alertmanager's documentation.
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
        read(body.to_string().as_bytes())
    }

    #[test]
    fn times_are_parsed_with_their_time_zone() {
        let read = read(body().to_string().as_bytes()).unwrap();
        assert_eq!((read.receiver.as_str(), read.truncated), ("retraining", 2));
        let alert = &read.alerts[0];
        assert!(alert.firing);
        assert_eq!(alert.labels.get("model_id"), Some("fraud"));
        // 24 November 2026, 12:00:00.5 UTC.
        assert_eq!(alert.starts_at.as_millis(), 1_795_521_600_500);
    }

    #[test]
    fn errors_name_the_invalid_field() {
        let wrong = [
            ("/version", json!("5"), "version: must be \"4\", got \"5\""),
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
            (
                "/alerts/0/labels",
                json!({"a": 1}),
                "alerts[0]: invalid type: integer",
            ),
            ("/alerts/0", json!("x"), "alerts[0]: invalid type: string"),
            ("/alerts", json!({}), "not version 4"),
        ];
        for (pointer, value, expected) in wrong {
            let error = with(pointer, value).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        for body in ["", "{", "[]", "null", "\"4\"", "{}"] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn an_invalid_alert_is_refused_alone() {
        let mut body = body();
        let mut late = body["alerts"][0].clone();
        late["startsAt"] = json!("soon");
        let mut long = body["alerts"][0].clone();
        long["labels"] = json!({"a": "x".repeat(20_000)});
        let mut huge = body["alerts"][0].clone();
        huge["annotations"] = json!({"a": "x".repeat(2_000_000)});
        let alerts = body["alerts"].as_array_mut().unwrap();
        alerts.insert(0, late);
        alerts.extend([long, huge]);
        let read = read(body.to_string().as_bytes()).unwrap();
        assert_eq!(read.alerts.len(), 1);
        assert_eq!(read.alerts[0].labels.get("model_id"), Some("fraud"));
        let reasons = read.refused.reasons;
        assert_eq!(read.refused.count, 3);
        assert!(reasons[0].starts_with("alerts[0].startsAt"));
        assert!(reasons[1].starts_with("alerts[2].labels"));
        assert!(reasons[2].starts_with("alerts[3]: has more than"));
    }

    #[test]
    fn annotations_beyond_the_limit_are_dropped() {
        let long = json!({"a": "x".repeat(40_000), "summary": "short"});
        let read = with("/alerts/0/annotations", long).unwrap();
        let annotations = &read.alerts[0].annotations;
        assert_eq!(annotations.get("summary"), Some("short"));
        assert_eq!(annotations.len(), 1);
    }
}
