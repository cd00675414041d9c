//! The binary beside the real Alertmanager, restarted, killed and reloaded while alerts fire.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::support::{Process, free_port, start_alertmanager, tool, until};

const SOON: Duration = Duration::from_secs(60);

/// Counters that go on with every scrape; while `broken`, every request is an error.
#[derive(Clone, Default)]
struct Model {
    broken: Arc<AtomicBool>,
    requests: Arc<AtomicU64>,
    errors: Arc<AtomicU64>,
}

impl Respond for Model {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let requests = self.requests.fetch_add(10, Ordering::SeqCst);
        let wrong = if self.broken.load(Ordering::SeqCst) {
            10
        } else {
            0
        };
        let errors = self.errors.fetch_add(wrong, Ordering::SeqCst);
        let body = format!(
            "# TYPE requests_total counter\nrequests_total {requests}\n# TYPE errors_total counter\nerrors_total {errors}\n"
        );
        ResponseTemplate::new(200).set_body_raw(body, "text/plain; version=0.0.4; charset=utf-8")
    }
}

/// A watch and a plain alert on a rate that needs seconds of history: what a restart takes away.
const RECORD: &str = "groups:
- name: errors
  rules:
  - record: error_ratio
    expr: rate(errors_total[3s]) / rate(requests_total[3s])
  - alert: ErrorsPlain
    expr: error_ratio > 0.5
";
const WATCH: &str = "  - watch: ErrorsJudged
    expr: error_ratio
    strategy: {type: static, bound: 0.5}
    retrain: {cooldown: 6h}
";

async fn posts(status: u16) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(status))
        .mount(&server)
        .await;
    server
}

/// What the webhook behind Alertmanager was told of an alert, in order.
async fn told(hook: &MockServer, name: &str) -> Vec<String> {
    let requests = hook.received_requests().await.unwrap();
    let alerts = requests.iter().flat_map(|request| {
        let body: Value = request.body_json().unwrap();
        body["alerts"].as_array().unwrap().clone()
    });
    let of_name = alerts.filter(|alert| alert["labels"]["alertname"] == name);
    of_name
        .map(|alert| alert["status"].as_str().unwrap().to_owned())
        .collect()
}

async fn wait_for(hook: &MockServer, name: &str, wanted: &[&str]) {
    until("the notification", SOON, async || {
        let told = told(hook, name).await;
        if told == wanted {
            Ok(())
        } else {
            Err(format!("{name}: {told:?}, wanted {wanted:?}"))
        }
    })
    .await;
}

async fn alertmanager(binary: &Path, dir: &Path, hook: &str) -> (Process, String) {
    let config = format!(
        "route: {{receiver: hook, group_by: [alertname], group_wait: 100ms, group_interval: 500ms, repeat_interval: 1h}}\n\
         receivers: [{{name: hook, webhook_configs: [{{url: '{hook}', send_resolved: true}}]}}]\n"
    );
    fs::write(dir.join("am.yml"), config).unwrap();
    start_alertmanager(binary, dir).await
}

fn write_config(dir: &Path, target: &str, alertmanager: &str, webhook: &str) {
    let config = format!(
        "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n\
         model: {{id: iris}}\n\
         scrape: {{targets: [{{url: \"{target}/metrics\", labels: {{pod: iris-0}}}}]}}\n\
         rule_files: [rules.yaml]\n\
         alerting: {{resend_delay: 1s, alertmanagers: [{{url: \"{alertmanager}\"}}]}}\n\
         retraining: {{webhooks: [{{url: \"{webhook}/retrain\"}}]}}\n\
         storage: {{path: state}}\n"
    );
    fs::write(dir.join("sidewatch.yaml"), config).unwrap();
    fs::write(dir.join("rules.yaml"), format!("{RECORD}{WATCH}")).unwrap();
}

#[tokio::test]
async fn restart_kill_and_reload_in_the_middle_of_alerts_tell_people_nothing_that_is_not_true() {
    let Some(binary) = tool("alertmanager") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let model = Model::default();
    let target = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/metrics"))
        .respond_with(model.clone())
        .mount(&target)
        .await;
    let (hook, webhook) = (posts(200).await, posts(202).await);
    let (_alertmanager, url) = alertmanager(&binary, dir.path(), &hook.uri()).await;
    write_config(dir.path(), &target.uri(), &url, &webhook.uri());
    let listen = format!("--web.listen-address=127.0.0.1:{}", free_port());
    let start = || {
        let args = ["run", "--config.file=sidewatch.yaml", listen.as_str()];
        Process::sidewatch(&args, dir.path())
    };

    let mut process = start();
    model.broken.store(true, Ordering::SeqCst);
    wait_for(&hook, "ErrorsPlain", &["firing"]).await;
    wait_for(&hook, "ErrorsJudged", &["firing"]).await;

    process.signal("TERM");
    assert_eq!(process.ended(SOON).await.code(), Some(0));
    let process = start();
    longer_than_a_lease(&model).await;
    // SIGKILL.
    drop(process);
    let process = start();
    longer_than_a_lease(&model).await;
    assert_eq!(told(&hook, "ErrorsPlain").await, ["firing"]);
    assert_eq!(told(&hook, "ErrorsJudged").await, ["firing"]);
    // Not even for the moment that Alertmanager waits for: all three lives write to one log.
    let output = process.output();
    for wrong in ["ErrorsPlain state=resolved", "ErrorsJudged state=resolved"] {
        assert!(!output.contains(wrong), "{output}");
    }

    // Removing the watch ends its alert and no other.
    fs::write(dir.path().join("rules.yaml"), RECORD).unwrap();
    process.signal("HUP");
    wait_for(&hook, "ErrorsJudged", &["firing", "resolved"]).await;
    longer_than_a_lease(&model).await;
    assert_eq!(told(&hook, "ErrorsPlain").await, ["firing"]);

    model.broken.store(false, Ordering::SeqCst);
    wait_for(&hook, "ErrorsPlain", &["firing", "resolved"]).await;
    assert_eq!(told(&hook, "ErrorsJudged").await, ["firing", "resolved"]);
    // Three lives, one request.
    assert_eq!(webhook.received_requests().await.unwrap().len(), 1);
}

/// Scrapes for longer than Alertmanager believes an alert that nobody repeats: four seconds, and
/// some for the new window.
async fn longer_than_a_lease(model: &Model) {
    let until_scrapes = model.requests.load(Ordering::SeqCst) + 10 * 30;
    until("thirty scrapes", SOON, async || {
        let now = model.requests.load(Ordering::SeqCst);
        if now >= until_scrapes {
            Ok(())
        } else {
            Err(now)
        }
    })
    .await;
}
