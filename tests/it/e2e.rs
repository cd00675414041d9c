//! The binary beside the real Prometheus and the real Alertmanager.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use sidewatch::internals::runtime::clock;
use sidewatch_engine::metric::Timestamp;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::support::{
    Process, free_port, get_json, get_text, start_alertmanager, tool, unpack, until,
};

const SOON: Duration = Duration::from_secs(30);

/// Serves one snapshot after the other, and the last one for ever; remembers when each went out.
struct Replay {
    bodies: Vec<String>,
    served: std::sync::Arc<Mutex<Vec<Timestamp>>>,
}

impl Respond for Replay {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let mut served = self.served.lock().unwrap();
        let index = served.len().min(self.bodies.len() - 1);
        served.push(clock::now());
        let body = self.bodies[index].clone();
        ResponseTemplate::new(200).set_body_raw(body, "text/plain; version=0.0.4; charset=utf-8")
    }
}

async fn replay(dir: &Path) -> (MockServer, std::sync::Arc<Mutex<Vec<Timestamp>>>) {
    let bodies = (1..=40)
        .map(|n| fs::read_to_string(dir.join(format!("snap_{n:04}.txt"))).unwrap())
        .collect();
    let served = std::sync::Arc::default();
    let target = MockServer::start().await;
    let responder = Replay {
        bodies,
        served: std::sync::Arc::clone(&served),
    };
    Mock::given(method("GET"))
        .and(path("/metrics"))
        .respond_with(responder)
        .mount(&target)
        .await;
    (target, served)
}

/// A real Alertmanager on a free port.
async fn alertmanager(binary: &Path, dir: &Path) -> (Process, String) {
    fs::write(
        dir.join("am.yml"),
        "route: {receiver: none, group_wait: 100ms}\nreceivers: [{name: none}]\n",
    )
    .unwrap();
    start_alertmanager(binary, dir).await
}

const RULES: &str = r#"
groups:
- name: iris
  rules:
  - record: inference_latency_ms
    metric: inference_latency_ms
    expr: 1000 * histogram_quantile(0.99, sum by (le, model_name) (rate(request_predict_seconds_bucket[2s])))
  - record: accuracy
    metric: accuracy
    expr: model_accuracy
  - watch: LatencyHigh
    expr: inference_latency_ms
    strategy: {type: static, bound: 250}
    for: 400ms
    labels: {severity: page}
    annotations: {summary: "p99 of {{ $labels.model_name }} is {{ $value | humanize }} ms"}
  - watch: AccuracyDropped
    expr: accuracy
    strategy: {type: static, bound: 0.85}
    for: 400ms
    labels: {severity: page}
    annotations: {summary: "accuracy of {{ $labels.model_name }} is {{ $value | humanizePercentage }}"}
    retrain: {cooldown: 6h}
"#;

fn write_config(dir: &Path, target: &str, alertmanager: &str, webhook: &str) {
    let config = format!(
        "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n\
         model: {{id: iris, version: \"1\"}}\n\
         scrape:\n  targets:\n  - url: {target}/metrics\n    labels: {{pod: iris-0, namespace: ml}}\n\
         rule_files: [rules.yaml]\n\
         alerting:\n  alertmanagers: [{{url: \"{alertmanager}\"}}]\n\
         retraining:\n  webhooks: [{{url: \"{webhook}/retrain\"}}]\n"
    );
    fs::write(dir.join("sidewatch.yaml"), config).unwrap();
    fs::write(dir.join("rules.yaml"), RULES).unwrap();
}

fn named<'a>(alerts: &'a Value, name: &str) -> Option<&'a Value> {
    alerts
        .as_array()?
        .iter()
        .find(|alert| alert["labels"]["alertname"] == name)
}

#[tokio::test]
async fn a_real_servers_fault_reaches_the_real_alertmanager_after_it_happened_and_not_before() {
    let Some(am) = tool("alertmanager") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let snapshots = unpack("kserve", dir.path()).join("snapshots");
    let (target, served) = replay(&snapshots).await;
    let (_am, am_url) = alertmanager(&am, dir.path()).await;
    let webhook = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(202))
        .mount(&webhook)
        .await;
    write_config(dir.path(), &target.uri(), &am_url, &webhook.uri());
    let listen = format!("--web.listen-address=127.0.0.1:{}", free_port());
    let mut sidewatch = Process::sidewatch(
        &["run", "--config.file=sidewatch.yaml", &listen],
        dir.path(),
    );

    let alerts = until("both alerts at Alertmanager", SOON, async || {
        let alerts = get_json(&format!("{am_url}/api/v2/alerts")).await?;
        let both =
            named(&alerts, "LatencyHigh").is_some() && named(&alerts, "AccuracyDropped").is_some();
        if both {
            Ok(alerts)
        } else {
            Err(alerts.to_string())
        }
    })
    .await;
    let fault = served.lock().unwrap()[20].as_secs_f64();
    check_alert(named(&alerts, "LatencyHigh").unwrap(), "p99 of iris", fault);
    check_alert(
        named(&alerts, "AccuracyDropped").unwrap(),
        "accuracy of iris",
        fault,
    );
    check_amtool(&am, &am_url);

    let requests = until("the retraining request", SOON, async || {
        let requests = webhook.received_requests().await.unwrap();
        if requests.is_empty() {
            Err("none")
        } else {
            Ok(requests)
        }
    })
    .await;
    let event: Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!(event["specversion"], "1.0");
    sidewatch.signal("TERM");
    assert_eq!(sidewatch.ended(SOON).await.code(), Some(0));
    assert_eq!(
        webhook.received_requests().await.unwrap().len(),
        1,
        "once per cool-down"
    );
}

/// amtool lists the alert by its summary.
fn check_amtool(alertmanager: &Path, url: &str) {
    let query = [
        "--alertmanager.url",
        url,
        "alert",
        "query",
        "alertname=AccuracyDropped",
    ];
    let listed = Command::new(alertmanager.with_file_name("amtool"))
        .args(query)
        .output()
        .unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("accuracy of iris"), "{listed}");
}

/// The alert is about the fault, carries who it is about, and did not start before the fault.
fn check_alert(alert: &Value, summary: &str, fault: f64) {
    let text = alert["annotations"]["summary"].as_str().unwrap();
    assert!(text.starts_with(summary), "{text}");
    let labels = &alert["labels"];
    assert_eq!(
        (&labels["model_id"], &labels["model_version"]),
        (&"iris".into(), &"1".into())
    );
    assert_eq!(
        (&labels["pod"], &labels["namespace"]),
        (&"iris-0".into(), &"ml".into())
    );
    let since = epoch_seconds(alert["startsAt"].as_str().unwrap());
    // The schedule's timestamps may run ahead of the request by no more than an interval.
    assert!(
        since + 0.2 > fault,
        "{text}: fired at {since}, the fault came at {fault}"
    );
}

/// Seconds of `2026-01-02T03:04:05.678Z`, by the calendar of `date`.
fn epoch_seconds(text: &str) -> f64 {
    let output = Command::new("date")
        .args(["-d", text, "+%s.%N"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn the_real_prometheus_scrapes_us_and_promtool_finds_nothing_to_mend() {
    let (Some(prometheus), Some(promtool)) = (tool("prometheus"), tool("promtool")) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let snapshots = unpack("kserve", dir.path()).join("snapshots");
    let (target, _) = replay(&snapshots).await;
    fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let _sidewatch = Process::sidewatch(
        &[
            "run",
            &format!("--target={}/metrics", target.uri()),
            "--rules=rules.yaml",
            "--scrape.interval=200ms",
            &format!("--web.listen-address={address}"),
        ],
        dir.path(),
    );
    until("readiness", SOON, async || {
        get_text(&format!("http://{address}/-/ready")).await
    })
    .await;
    let page = get_text(&format!("http://{address}/metrics"))
        .await
        .unwrap();
    check_metrics(&promtool, &page);

    let prometheus_address = format!("127.0.0.1:{}", free_port());
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: sidewatch, static_configs: [{{targets: [\"{address}\"]}}]}}]\n"
    );
    fs::write(dir.path().join("p.yml"), config).unwrap();
    let listen = format!("--web.listen-address={prometheus_address}");
    let args = [
        "--config.file=p.yml",
        "--storage.tsdb.path=p",
        listen.as_str(),
    ];
    let _prometheus = Process::start(&prometheus, &args, dir.path());
    let query = "sidewatch_anomaly%7Brule%3D%22AccuracyDropped%22%7D%20%3D%3D%201";
    let found = until("the anomaly in Prometheus", SOON, async || {
        let url = format!("http://{prometheus_address}/api/v1/query?query={query}");
        let answer = get_json(&url).await?;
        let found = answer["data"]["result"][0]["metric"].clone();
        if found.is_null() {
            Err(answer.to_string())
        } else {
            Ok(found)
        }
    })
    .await;
    assert_eq!(found["model_name"], "iris");
    assert_eq!(found["job"], "sidewatch");
}

/// `promtool check metrics` reads a page from its standard input and must have nothing to say.
fn check_metrics(promtool: &PathBuf, page: &str) {
    use std::io::Write as _;
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{page}");
}
