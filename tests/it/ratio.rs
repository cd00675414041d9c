//! Counted ratios of the binary: their counts across a restart, and the words of an alert.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::support::{Process, free_port, get_json, get_text, until};

const SOON: Duration = Duration::from_secs(30);

/// A model server that answers a hundred requests between two scrapes. Its counter of failures
/// appears with the first one; then half of the requests fail.
#[derive(Default)]
struct Server {
    requests: AtomicU32,
    failures: AtomicU32,
    is_failing: Arc<AtomicBool>,
}

impl Respond for Server {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let requests = self.requests.fetch_add(100, Ordering::SeqCst) + 100;
        if self.is_failing.load(Ordering::SeqCst) {
            self.failures.fetch_add(50, Ordering::SeqCst);
        }
        let failures = match self.failures.load(Ordering::SeqCst) {
            0 => String::new(),
            some => format!("requests_failed_total{{model=\"a\"}} {some}\n"),
        };
        let body = format!("requests_total{{model=\"a\"}} {requests}\n{failures}");
        ResponseTemplate::new(200).set_body_raw(body, "text/plain; version=0.0.4")
    }
}

const RULES: &str = "
groups:
- name: ratios
  rules:
  - record: error_ratio
    metric: custom
    ratio: {bad: requests_failed_total, total: requests_total, by: [model], window: 1h}
  - watch: ErrorsHigh
    expr: error_ratio
    strategy: {type: ratio, bound: 0.05}
    annotations: {summary: failing}
";

fn start(folder: &Path, address: &str) -> Process {
    let listen = format!("--web.listen-address={address}");
    Process::sidewatch(&["run", "--config.file=sidewatch.yaml", &listen], folder)
}

/// The state and reason of the watch.
async fn signal(address: &str) -> Result<(String, String), String> {
    let answer = get_json(&format!("http://{address}/api/v1/signals")).await?;
    let signals = answer["data"]["signals"].as_array();
    let found = signals.and_then(|all| all.iter().find(|one| one["rule"] == "ErrorsHigh"));
    let found = found.ok_or_else(|| answer.to_string())?;
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    Ok((text("state"), text("why")))
}

/// The value of a series on our page.
async fn series(address: &str, start: &str) -> Result<f64, String> {
    let page = get_text(&format!("http://{address}/metrics")).await?;
    let line = page.lines().find(|line| line.starts_with(start));
    let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    value.ok_or_else(|| format!("no {start}"))
}

#[tokio::test]
async fn counts_survive_a_restart_and_an_alert_says_what_was_counted() {
    let folder = tempfile::tempdir().unwrap();
    let target = MockServer::start().await;
    let server = Server::default();
    let is_failing = Arc::clone(&server.is_failing);
    Mock::given(method("GET"))
        .respond_with(server)
        .mount(&target)
        .await;
    let config = format!(
        "global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}\n\
         scrape: {{targets: [{{url: \"{}/metrics\", labels: {{pod: a-0}}}}]}}\n\
         rule_files: [rules.yaml]\nstorage: {{path: state}}\n",
        target.uri()
    );
    fs::write(folder.path().join("sidewatch.yaml"), config).unwrap();
    fs::write(folder.path().join("rules.yaml"), RULES).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let denominator = "sidewatch_ratio_denominator{";

    let mut process = start(folder.path(), &address);
    let before = until("a thousand requests", SOON, async || {
        let count = series(&address, denominator).await?;
        if count >= 1000.0 {
            Ok(count)
        } else {
            Err(count.to_string())
        }
    })
    .await;
    assert_eq!(signal(&address).await.unwrap().0, "ok");
    process.signal("TERM");
    assert!(process.ended(SOON).await.success());

    let _process = start(folder.path(), &address);
    let after = until("a count", SOON, async || {
        series(&address, denominator).await
    })
    .await;
    assert!(after > before, "{before} and then {after}");
    is_failing.store(true, Ordering::SeqCst);
    let why = until("an incident", SOON, async || {
        match signal(&address).await? {
            (state, why) if state == "anomalous" => Ok(why),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert!(why.contains(" requests failed in "), "{why}");
    assert!(why.contains("the bound is 5 %"), "{why}");
    let failed = series(&address, "sidewatch_ratio_numerator{")
        .await
        .unwrap();
    assert!(failed >= 50.0, "{failed}");
}
