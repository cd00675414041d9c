//! `helm/examples/sidewatch.tmpl`, rendered by the real Alertmanager for a Slack that records.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::{Process, start_alertmanager, tool, until};

const SOON: Duration = Duration::from_secs(30);

/// Alertmanager with the template and this Slack.
async fn alertmanager(program: &Path, dir: &Path, slack: &str) -> (Process, String) {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("helm/examples/sidewatch.tmpl");
    let config = json!({
        "templates": [template],
        "route": {
            "receiver": "slack", "group_by": ["model_id"],
            "group_wait": "100ms", "group_interval": "200ms", "repeat_interval": "1h",
        },
        "receivers": [{"name": "slack", "slack_configs": [{
            "api_url": slack, "channel": "#models", "send_resolved": true,
            "title": "{{ template \"sidewatch.title\" . }}",
            "text": "{{ template \"sidewatch.text\" . }}",
        }]}],
    });
    // JSON is YAML.
    fs::write(dir.join("am.yml"), config.to_string()).unwrap();
    start_alertmanager(program, dir).await
}

fn alert(pod: &str, summary: &str, runbook: &str) -> Value {
    json!({
        "labels": {"alertname": "PodSlow", "model_id": "llama", "pod": pod, "severity": "warning"},
        "annotations": {
            "summary": summary, "why": "usual 0.32 s, expected at most 0.35 s",
            "score": "53.9", "runbook_url": runbook,
        },
        "startsAt": "2020-01-02T09:57:00Z",
        "generatorURL": "http://sidewatch:9300/?rule=PodSlow",
    })
}

async fn post(alertmanager: &str, alerts: &[Value]) {
    let url = format!("{alertmanager}/api/v2/alerts");
    let body = serde_json::to_vec(alerts).unwrap();
    let request = reqwest::Client::new().post(url).body(body);
    let sent = request
        .header("Content-Type", "application/json")
        .send()
        .await;
    sent.unwrap().error_for_status().unwrap();
}

/// Title and text of the first message whose title begins so.
async fn message(slack: &MockServer, begin: &str) -> (String, String) {
    until("a message", SOON, async || {
        let requests = slack.received_requests().await.unwrap_or_default();
        let mut messages = requests.iter().filter_map(|request| {
            let body: Value = serde_json::from_slice(&request.body).ok()?;
            let attachment = &body["attachments"][0];
            let text = |key: &str| attachment[key].as_str().unwrap_or_default().to_owned();
            Some((text("title"), text("text")))
        });
        let found = messages.find(|(title, _)| title.starts_with(begin));
        found.ok_or_else(|| format!("{} messages", requests.len()))
    })
    .await
}

#[tokio::test]
async fn slack_shows_what_happened_how_far_it_is_and_what_to_do() {
    let Some(program) = tool("alertmanager") else {
        return;
    };
    let slack = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200).set_body_string("ok"))
        .mount(&slack)
        .await;
    let dir = tempfile::tempdir().unwrap();
    let (_process, address) = alertmanager(&program, dir.path(), &slack.uri()).await;
    let (page, path) = (
        "https://git.example.com/ModelSlow.md",
        "docs/runbooks/ModelSlow.md",
    );
    let slow = "time to first token of llama-0 is 2.1 s";
    post(&address, &[alert("llama-0", slow, page)]).await;
    let (title, text) = message(&slack, "🔴").await;
    assert_eq!(title, format!("🔴 llama: {slow}"));
    assert_eq!(
        text.trim_end(),
        format!(
            "*{slow}* (since 09:57 UTC)\nusual 0.32 s, expected at most 0.35 s\n\
             <http://sidewatch:9300/?rule=PodSlow|chart> · <{page}|what to do>"
        )
    );
    let both = [
        alert("llama-0", slow, page),
        alert("llama-1", "time to first token of llama-1 is 1.9 s", path),
    ];
    post(&address, &both).await;
    let (title, text) = message(&slack, "🔴 llama: 2").await;
    assert_eq!(title, "🔴 llama: 2 alerts, PodSlow");
    assert!(text.contains(&format!("what to do: {path}")), "{text}");
    let both = both.map(|mut alert| {
        alert["endsAt"] = "2020-01-02T10:04:00Z".into();
        alert
    });
    post(&address, &both).await;
    let (title, text) = message(&slack, "✅").await;
    assert_eq!(title, "✅ llama: 2 alerts, PodSlow");
    let over = format!("over: {slow} (09:57 to 10:04 UTC)");
    assert!(text.contains(&over), "{text}");
}
