//! The relay: notifications of Alertmanager become retraining requests, one per cool-down, and none
//! is lost.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sidewatch::internals::runtime::clock;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::certificates::Authority;
use super::support::{Process, announce, free_port, get_json, get_text, tool, until, value_of};

const SOON: Duration = Duration::from_secs(30);

/// A relay with its own folder and one receiver.
pub(crate) struct Relay {
    directory: tempfile::TempDir,
    address: String,
    receiver: MockServer,
}

impl Relay {
    /// A relay whose receiver answers with this status.
    pub(crate) async fn new(status: u16) -> Self {
        let relay = Self {
            directory: tempfile::tempdir().unwrap(),
            address: format!("127.0.0.1:{}", free_port()),
            receiver: MockServer::start().await,
        };
        relay.answer(status).await;
        relay.configure("cooldown: 6h", "");
        relay
    }

    pub(crate) fn configure(&self, ask: &str, more: &str) {
        let text = format!(
            "retrain: [{{matchers: ['retrain=\"true\"'], {ask}}}]\n\
             retraining: {{webhooks: [{{url: '{}', name: hook}}]}}\n{more}\n",
            self.receiver.uri()
        );
        fs::write(self.path().join("relay.yaml"), text).unwrap();
    }

    async fn answer(&self, status: u16) {
        self.receiver.reset().await;
        Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(status))
            .mount(&self.receiver)
            .await;
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn start(&self, more: &[&str]) -> Process {
        let listen = format!("--web.listen-address={}", self.address);
        let mut args = vec![
            "relay",
            "--config.file=relay.yaml",
            "--storage.path=state",
            &listen,
        ];
        args.extend(more);
        Process::sidewatch(&args, self.path())
    }

    pub(crate) async fn ready(&self) {
        until("ready", SOON, async || {
            get_text(&self.url("/-/ready")).await
        })
        .await;
    }

    /// The idempotency keys of the requests that the receiver got.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let requests = self.receiver.received_requests().await.unwrap();
        let key = |request: &wiremock::Request| {
            let header = request.headers.get("idempotency-key").unwrap();
            header.to_str().unwrap().to_owned()
        };
        requests.iter().map(key).collect()
    }

    pub(crate) async fn asked(&self, count: usize) {
        until("the request", SOON, async || {
            let keys = self.keys().await;
            if keys.len() >= count {
                Ok(())
            } else {
                Err(format!("{} requests", keys.len()))
            }
        })
        .await;
    }

    async fn post(&self, body: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let request = reqwest::Client::new().post(self.url("/api/v1/alertmanager"));
        let json = ("content-type", "application/json");
        let is_own = headers.iter().any(|(name, _)| *name == json.0);
        let headers = headers.iter().chain((!is_own).then_some(&json));
        let request = headers.fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        let answer = request.body(body.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn metric(&self, name: &str) -> Option<f64> {
        let page = get_text(&self.url("/metrics")).await.unwrap();
        value_of(&page, &[name])
    }
}

fn notification(alerts: &[(&str, &str)]) -> String {
    let now = clock::now().to_string();
    let alert = |(status, pod): &(&str, &str)| {
        json!({
            "status": status, "startsAt": now, "endsAt": "0001-01-01T00:00:00Z",
            "labels": {"alertname": "ScoreDrift", "model_id": "fraud", "model_version": "7", "retrain": "true", "pod": pod},
            "annotations": {"summary": "scores drift", "value": "0.31", "score": "3.1"},
            "generatorURL": "http://judge:9755/", "fingerprint": "c0ffee",
        })
    };
    let alerts: Vec<Value> = alerts.iter().map(alert).collect();
    json!({"version": "4", "receiver": "retraining", "status": "firing", "truncatedAlerts": 0, "alerts": alerts}).to_string()
}

#[tokio::test]
async fn repeated_notifications_and_a_crash_lead_to_one_request() {
    let relay = Relay::new(202).await;
    let process = relay.start(&[]);
    relay.ready().await;
    let body = notification(&[("firing", "fraud-0"), ("firing", "fraud-1")]);
    let (one, other) = tokio::join!(relay.post(&body, &[]), relay.post(&body, &[]));
    assert_eq!((one.0, other.0), (200, 200));
    relay.asked(1).await;
    // SIGKILL.
    drop(process);
    let _process = relay.start(&[]);
    relay.ready().await;
    assert_eq!(relay.post(&body, &[]).await.0, 200);
    assert_eq!(
        relay
            .metric(r#"sidewatch_relay_alerts_total{outcome="cooling_down"}"#)
            .await,
        Some(2.0)
    );
    // A kill between a delivery and the commit of its removal repeats the request with its key.
    let keys: BTreeSet<String> = relay.keys().await.into_iter().collect();
    assert_eq!(keys.len(), 1);
    let sent = relay.receiver.received_requests().await.unwrap();
    let event: Value = sent[0].body_json().unwrap();
    assert_eq!(event["data"]["model_id"], "fraud");
    assert_eq!(event["data"]["model_version"], "7");
    assert_eq!(event["data"]["rule"], "ScoreDrift");
    assert_eq!(event["data"]["reason"], "scores drift");
    assert_eq!(event["data"]["score"], 3.1);
    assert_eq!(relay.metric("sidewatch_storage_durable").await, Some(1.0));
    let page = get_text(&relay.url("/")).await.unwrap();
    assert!(
        page.contains("in flight") && page.contains("ScoreDrift"),
        "{page}"
    );
}

#[tokio::test]
async fn accepted_requests_are_delivered_after_a_crash_and_an_outage() {
    let relay = Relay::new(503).await;
    let process = relay.start(&[]);
    relay.ready().await;
    assert_eq!(
        relay.post(&notification(&[("firing", "a")]), &[]).await.0,
        200
    );
    drop(process);
    relay.answer(202).await;
    let process = relay.start(&[]);
    relay.asked(1).await;
    until("an empty outbox", SOON, async || {
        let outbox = get_json(&relay.url("/api/v1/retraining/outbox")).await?;
        if outbox["data"] == json!([]) {
            Ok(())
        } else {
            Err(outbox.to_string())
        }
    })
    .await;
    // The pipeline reports the retraining as done; a second report is not found.
    let key = relay.keys().await.remove(0);
    let done = relay.url(&format!("/api/v1/retraining/{key}/done"));
    let client = reqwest::Client::new();
    assert_eq!(client.post(&done).send().await.unwrap().status(), 200);
    assert_eq!(client.post(&done).send().await.unwrap().status(), 404);
    let mut process = process;
    process.signal("TERM");
    assert!(process.ended(SOON).await.success());
}

#[tokio::test]
async fn invalid_notifications_are_refused_with_a_reason_and_counted() {
    let relay = Relay::new(202).await;
    let _process = relay.start(&[]);
    relay.ready().await;
    let good = notification(&[("firing", "a")]);
    for (body, status, reason) in [
        ("{".to_owned(), 400, "not Alertmanager's webhook"),
        (
            good.replace("\"4\"", "\"3\""),
            400,
            "version: must be \"4\", got \"3\"",
        ),
        (good.replace("firing", "flying"), 400, "alerts[0].status"),
    ] {
        let (found, text) = relay.post(&body, &[]).await;
        assert_eq!(found, status, "{text}");
        assert!(text.contains(reason), "{text}");
    }
    // The Content-Length alone is refused, before the body is sent.
    let announced = announce(&relay.address, "/api/v1/alertmanager", 1 << 26).await;
    assert!(announced.starts_with("HTTP/1.1 413 "), "{announced}");
    assert!(announced.contains("too large"), "{announced}");
    let text = relay.post(&good, &[("content-type", "text/plain")]).await;
    assert_eq!(text.0, 415);
    let get = reqwest::get(relay.url("/api/v1/alertmanager"))
        .await
        .unwrap();
    assert_eq!(get.status(), 405);
    assert!(relay.keys().await.is_empty());
    // The body that was too large is counted by the server instead.
    let refused = r#"sidewatch_relay_notifications_total{result="refused"}"#;
    assert_eq!(relay.metric(refused).await, Some(5.0));
    let cut = good.replace("\"truncatedAlerts\":0", "\"truncatedAlerts\":7");
    assert_eq!(relay.post(&cut, &[]).await.0, 200);
    assert_eq!(
        relay.metric("sidewatch_relay_truncated_alerts_total").await,
        Some(7.0)
    );
}

/// A notification with an alert for each of these models.
fn of_models(models: impl Iterator<Item = String>) -> Value {
    let mut body: Value = serde_json::from_str(&notification(&[("firing", "a")])).unwrap();
    let alert = body["alerts"][0].take();
    let alerts = models.map(|model| {
        let mut alert = alert.clone();
        alert["labels"]["model_id"] = json!(model);
        alert
    });
    body["alerts"] = alerts.collect();
    body
}

#[tokio::test]
async fn a_storm_of_models_is_answered_at_once_requests_two_hundred_and_is_counted() {
    let relay = Relay::new(202).await;
    let process = relay.start(&[]);
    relay.ready().await;
    let storm = of_models((0..10_000).map(|model| format!("m{model}"))).to_string();
    assert!(storm.len() > 3 << 20, "{}", storm.len());
    assert_eq!(relay.post(&storm, &[]).await, (200, "ok\n".to_owned()));
    relay.asked(200).await;
    let outcome = |outcome: &str| format!("sidewatch_relay_alerts_total{{outcome=\"{outcome}\"}}");
    assert_eq!(relay.metric(&outcome("requested")).await, Some(200.0));
    assert_eq!(relay.metric(&outcome("total_limited")).await, Some(9_800.0));
    let log = process.output();
    assert!(log.contains("the limit over all models holds"), "{log}");
    assert!(log.contains("limited=9800"), "{log}");
}

#[tokio::test]
async fn one_huge_alert_and_many_small_ones_leave_the_honest_one_its_request() {
    let relay = Relay::new(202).await;
    let _process = relay.start(&[]);
    relay.ready().await;
    let mut body = of_models(["huge", "long", "honest"].into_iter().map(str::to_owned));
    body["alerts"][0]["labels"]["text"] = json!("x".repeat(3 << 20));
    body["alerts"][1]["annotations"]["text"] = json!("x".repeat(200 << 10));
    // Alertmanager repeats what the alerts have in common, and sends the version last.
    body["commonLabels"] = json!({"text": "x".repeat(3 << 20)});
    let (status, text) = relay.post(&body.to_string(), &[]).await;
    assert_eq!((status, text.as_str()), (200, "ok\n"));
    relay.asked(2).await;
    let outcome = |outcome: &str| format!("sidewatch_relay_alerts_total{{outcome=\"{outcome}\"}}");
    assert_eq!(relay.metric(&outcome("requested")).await, Some(2.0));
    assert_eq!(relay.metric(&outcome("refused")).await, Some(1.0));
}

#[tokio::test]
async fn notifications_need_the_token_and_health_checks_do_not() {
    let relay = Relay::new(202).await;
    fs::write(relay.path().join("token"), "opensesame\n").unwrap();
    relay.configure("cooldown: 6h", "authorization: {credentials_file: token}");
    let _process = relay.start(&[]);
    relay.ready().await;
    let body = notification(&[("firing", "a")]);
    assert_eq!(relay.post(&body, &[]).await.0, 401);
    assert_eq!(
        relay
            .post(&body, &[("authorization", "Bearer opensesam")])
            .await
            .0,
        401
    );
    assert_eq!(
        relay
            .post(&body, &[("authorization", "Basic opensesame")])
            .await
            .0,
        401
    );
    let outbox = reqwest::get(relay.url("/api/v1/retraining/outbox"))
        .await
        .unwrap();
    assert_eq!(outbox.status(), 401);
    assert!(relay.keys().await.is_empty());
    // The file is read for every request.
    fs::write(relay.path().join("token"), "other\n").unwrap();
    assert_eq!(
        relay
            .post(&body, &[("authorization", "Bearer other")])
            .await
            .0,
        200
    );
    relay.asked(1).await;
}

/// `sidewatch outbox list --format=json` in the folder of a relay.
async fn outbox(relay: &Relay, url: &str, more: &[&str]) -> Result<Value, String> {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_sidewatch"))
        .args(["outbox", "list", "--format=json", "--storage.path=state"])
        .arg(format!("--url={url}"))
        .args(more)
        .current_dir(relay.path())
        .output()
        .await
        .unwrap();
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap());
    }
    Err(String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn the_outbox_command_sends_the_token_of_a_running_relay() {
    // The receiver fails, so the request stays in the outbox.
    let relay = Relay::new(503).await;
    fs::write(relay.path().join("token"), "opensesame\n").unwrap();
    relay.configure("cooldown: 6h", "authorization: {credentials_file: token}");
    let _process = relay.start(&[]);
    relay.ready().await;
    let body = notification(&[("firing", "a")]);
    let shown = [("authorization", "Bearer opensesame")];
    assert_eq!(relay.post(&body, &shown).await.0, 200);
    let url = relay.url("");
    let refused = outbox(&relay, &url, &[]).await.unwrap_err();
    assert!(
        refused.contains("401") && refused.contains("--http.config.file"),
        "{refused}"
    );
    let file = relay.path().join("http.yml");
    fs::write(file, "authorization: {credentials_file: token}\n").unwrap();
    let with = ["--http.config.file=http.yml"];
    let listed = outbox(&relay, &url, &with).await.unwrap();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert!(!listed.to_string().contains("opensesame"));
    fs::write(relay.path().join("http.yml"), "authorisation: {}\n").unwrap();
    let wrong = outbox(&relay, &url, &with).await.unwrap_err();
    assert!(
        wrong.contains("http.yml:1: authorisation: unknown key"),
        "{wrong}"
    );
}

#[tokio::test]
async fn the_outbox_command_reads_password_and_ca_from_files() {
    let relay = Relay::new(503).await;
    let authority = Authority::new();
    authority.write(relay.path(), "tls", &authority.sign("127.0.0.1"));
    let hash = bcrypt::hash("opensesame", 4).unwrap();
    let web = format!(
        "tls_server_config: {{cert_file: tls.crt, key_file: tls.key}}\nbasic_auth_users: {{ops: \"{hash}\"}}\n"
    );
    let file = |name: &str, text: &str| fs::write(relay.path().join(name), text).unwrap();
    file("web.yml", &web);
    file("password", "opensesame\n");
    file(
        "http.yml",
        "basic_auth: {username: ops, password_file: password}\ntls_config: {ca_file: tls.ca}\n",
    );
    let _process = relay.start(&["--web.config.file=web.yml"]);
    let url = relay.url("").replace("http:", "https:");
    let listed = until("the outbox", SOON, async || {
        outbox(&relay, &url, &["--http.config.file=http.yml"]).await
    })
    .await;
    assert_eq!(listed, json!([]));
    // Without the CA the connection fails; without the password the status is 401.
    let refused = outbox(&relay, &url, &[]).await.unwrap_err();
    assert!(
        refused.contains("give the address of the running"),
        "{refused}"
    );
    file("http.yml", "tls_config: {ca_file: tls.ca}\n");
    let refused = outbox(&relay, &url, &["--http.config.file=http.yml"]).await;
    assert!(refused.unwrap_err().contains("401"));
}

#[tokio::test]
async fn a_reload_applies_valid_settings_and_refuses_a_file_with_mistakes() {
    let relay = Relay::new(202).await;
    let process = relay.start(&[]);
    relay.ready().await;
    let reloaded = "sidewatch_config_last_reload_successful";
    fs::write(relay.path().join("relay.yaml"), "retrain: []\n").unwrap();
    process.signal("HUP");
    until("the refusal", SOON, async || {
        if relay.metric(reloaded).await == Some(0.0) {
            Ok(())
        } else {
            Err("none")
        }
    })
    .await;
    relay.configure("cooldown: 1s, resolved_is_done: true", "");
    process.signal("HUP");
    until("the reload", SOON, async || {
        if relay.metric(reloaded).await == Some(1.0) {
            Ok(())
        } else {
            Err("none")
        }
    })
    .await;
    assert_eq!(
        relay.post(&notification(&[("firing", "a")]), &[]).await.0,
        200
    );
    // With a cool-down of one second, the next request follows soon.
    until("a second request", SOON, async || {
        relay.post(&notification(&[("firing", "a")]), &[]).await;
        let keys = relay.keys().await.len();
        if keys >= 2 {
            Ok(())
        } else {
            Err(format!("{keys}"))
        }
    })
    .await;
}

#[tokio::test]
async fn promtool_accepts_the_metrics_of_a_relay() {
    let relay = Relay::new(202).await;
    let _process = relay.start(&[]);
    relay.ready().await;
    let page = get_text(&relay.url("/metrics")).await.unwrap();
    for outcome in ["requested", "in_flight", "no_model", "unmatched"] {
        let name = format!("sidewatch_relay_alerts_total{{outcome=\"{outcome}\"}}");
        assert_eq!(value_of(&page, &[&name]), Some(0.0), "{page}");
    }
    let Some(promtool) = tool("promtool") else {
        return;
    };
    let file = relay.path().join("page");
    fs::write(&file, &page).unwrap();
    let checked = std::process::Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn the_documented_configuration_is_valid() {
    let blocks = super::docs::blocks("docs/DELIVERY.md");
    let (line, block) = blocks
        .iter()
        .find(|(_, block)| block.starts_with("retrain:"))
        .unwrap();
    let read =
        sidewatch::internals::config::relay::read_relay("docs/DELIVERY.md", block, &|_| None);
    assert!(read.is_ok(), "docs/DELIVERY.md:{line}: {read:?}");
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("relay.yaml"), block).unwrap();
    fs::write(dir.path().join("token"), "opensesame\n").unwrap();
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_sidewatch"))
        .args(["check", "relay", "relay.yaml"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(checked.stdout).unwrap(),
        "relay.yaml: the configuration of a relay is valid\n"
    );
    assert!(checked.status.success());
}
