//! Stands in for Alertmanager and for the retraining pipeline, and says what arrives.

use std::sync::Arc;

use serde_json::Value;

use super::story::Story;
use crate::publish::{Handler, Reply};

/// The handler of both receivers.
pub(super) fn handler(story: Arc<Story>) -> Handler {
    Arc::new(move |method, path, body| {
        match (method, path) {
            ("POST", "/api/v2/alerts") => alerts(&story, body),
            ("POST", "/retrain") => retrain(&story, body),
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

fn alerts(story: &Story, body: &[u8]) {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    for alert in parsed.as_array().into_iter().flatten() {
        let name = alert["labels"]["alertname"].as_str().unwrap_or("?");
        story.heard(name, alert["endsAt"].as_str().unwrap_or(""));
    }
}

fn retrain(story: &Story, body: &[u8]) {
    let event: Value = serde_json::from_slice(body).unwrap_or_default();
    let id = event["id"].as_str().unwrap_or("?");
    story.asked(id);
}
