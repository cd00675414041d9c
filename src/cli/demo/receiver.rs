//! A stand-in for Alertmanager and for the retraining webhook.

use std::sync::Arc;

use serde_json::Value;

use super::scenario::Scenario;
use crate::publish::{Handler, Reply};

/// The HTTP handler of both.
pub(super) fn handler(scenario: Arc<Scenario>) -> Handler {
    Arc::new(move |method, path, body| {
        match (method, path) {
            ("POST", "/api/v2/alerts") => receive_alerts(&scenario, body),
            ("POST", "/retrain") => receive_request(&scenario, body),
            _ => return reply(404),
        }
        reply(200)
    })
}

fn reply(status: u16) -> Reply {
    Reply {
        status,
        content_type: "application/json",
        body: "{}".to_owned(),
    }
}

fn receive_alerts(scenario: &Scenario, body: &[u8]) {
    let alerts: Value = serde_json::from_slice(body).unwrap_or_default();
    for alert in alerts.as_array().into_iter().flatten() {
        let name = alert["labels"]["alertname"].as_str().unwrap_or("?");
        scenario.alert_received(name, alert["endsAt"].as_str().unwrap_or(""));
    }
}

fn receive_request(scenario: &Scenario, body: &[u8]) {
    let event: Value = serde_json::from_slice(body).unwrap_or_default();
    scenario.retraining_requested(event["id"].as_str().unwrap_or("?"));
}
