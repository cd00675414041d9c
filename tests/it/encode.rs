//! The output of `/metrics` in strict parsers, over a real socket.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sidewatch::internals::publish::{
    Alert, Definition, Exposition, Group, Peer, Receiver, Rule, RuleKind, Server, Shared, Signal,
    Snapshot, Target,
};
use sidewatch_engine::judge::Band;
use sidewatch_engine::metric::{Labels, Timestamp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::{Process, free_port, get_text, tool, until};

const SOON: Duration = Duration::from_secs(30);
/// A label value with everything that must be escaped, and more.
const NASTY: &str = "a\"b\\c\nd{e}=,# é 漢 🦀";

fn definition(name: &str) -> Arc<Definition> {
    let labels = vec![("severity".to_owned(), "page".to_owned())];
    Definition::new("", name, RuleKind::Watch, labels).into()
}

fn rule(name: &str, fired: u64) -> Rule {
    Rule {
        definition: definition(name),
        fired,
        ..Rule::default()
    }
}

fn signal(rule: &str, labels: Labels) -> Signal {
    Signal {
        rule: definition(rule),
        labels,
        value: Some(-1.5e-7),
        state: Some("anomalous"),
        score: Some(12.0),
        expected: Band {
            lower: Some(0.25),
            centre: None,
            upper: Some(1e20),
        },
        ..Signal::default()
    }
}

/// Something in every family.
fn full() -> Snapshot {
    let labels = Labels::new([
        ("model_name", NASTY),
        ("quantile", "0.99"),
        ("le", "+Inf"),
        ("with.dot", "x"),
    ]);
    Snapshot {
        at: Timestamp::from_secs_f64(1.7e9),
        model: Labels::new([("model_id", NASTY)]),
        targets: vec![Target {
            url: format!("http://x/{NASTY}"),
            up: Some(true),
            failures: vec![("timeout", 2)],
            ..Target::default()
        }],
        signals: vec![signal("R", labels.clone()), signal(NASTY, labels)],
        alerts: vec![Alert {
            rule: definition("R"),
            labels: Labels::empty(),
            annotations: Labels::empty(),
            state: "firing",
            active_at: Timestamp::default(),
            keep_firing_since: None,
            value: 1.0,
        }],
        groups: vec![Group {
            rules: vec![rule("R", 3), rule(NASTY, 0)],
            ..Group::default()
        }],
        peers: vec![Peer {
            url: NASTY.to_owned(),
            ..Peer::default()
        }],
        receivers: vec![Receiver {
            name: NASTY.to_owned(),
            ..Receiver::default()
        }],
        ..Snapshot::default()
    }
}

fn shared(snapshot: Snapshot) -> Arc<Shared> {
    let shared = Arc::new(Shared::new(&snapshot.model));
    shared.publish(snapshot);
    shared
}

const STRICT: &str = "
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
print(json.dumps([[s.name, s.labels, float(s.value)] for f in text_string_to_metric_families(sys.stdin.read()) for s in f.samples]))
";

#[test]
fn a_strict_reader_of_openmetrics_gets_every_label_back() {
    let Some(python) = std::env::var_os("SIDEWATCH_PYTHON") else {
        assert!(
            std::env::var_os("SIDEWATCH_REQUIRE_TOOLS").is_none(),
            "SIDEWATCH_PYTHON names no Python with prometheus_client"
        );
        eprintln!("skipped: SIDEWATCH_PYTHON is not set");
        return;
    };
    let page = shared(full()).metrics(Exposition::OpenMetrics);
    let mut child = Command::new(python)
        .args(["-c", STRICT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{page}");
    let samples: Vec<(String, Value, f64)> = serde_json::from_slice(&output.stdout).unwrap();
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(samples.len(), lines.count());
    let (_, labels, value) = samples
        .iter()
        .find(|(name, ..)| name == "sidewatch_metric_value")
        .unwrap();
    assert_eq!(
        labels,
        &serde_json::json!({
            "model_id": NASTY, "rule": "R", "severity": "page", "model_name": NASTY,
            "exported_quantile": "0.99", "exported_le": "+Inf", "with_dot": "x",
        })
    );
    assert!((value - -1.5e-7).abs() < 1e-20);
    for (name, expected) in [
        ("sidewatch_expected_upper", 1e20),
        ("sidewatch_alerts_total", 3.0),
        ("sidewatch_anomaly", 1.0),
    ] {
        let (.., value) = samples.iter().find(|(found, ..)| found == name).unwrap();
        assert!((value - expected).abs() < 1e-9, "{name} {value}");
    }
}

#[test]
fn promtool_finds_nothing_to_criticise() {
    let Some(promtool) = tool("promtool") else {
        return;
    };
    let page = shared(full()).metrics(Exposition::Text);
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{page}");
}

#[test]
fn children_are_born_at_zero_and_leave_with_their_owner() {
    let lines = |shared: &Shared, rule: &str| {
        let page = shared.metrics(Exposition::Text);
        let found = page
            .lines()
            .filter(|line| line.contains(&format!("rule=\"{rule}\"")));
        found.map(str::to_owned).collect::<Vec<_>>()
    };
    let with = |names: &[&str]| Snapshot {
        groups: vec![Group {
            rules: names.iter().map(|name| rule(name, 0)).collect(),
            ..Group::default()
        }],
        signals: names
            .iter()
            .map(|name| signal(name, Labels::empty()))
            .collect(),
        ..Snapshot::default()
    };
    let shared = shared(with(&["Old"]));
    let born = lines(&shared, "Old");
    for line in [
        "sidewatch_alerts_total{rule=\"Old\",severity=\"page\"} 0",
        "sidewatch_rule_evaluations_total{rule=\"Old\",severity=\"page\"} 0",
        "sidewatch_rule_evaluation_failures_total{rule=\"Old\",severity=\"page\"} 0",
        "sidewatch_active_alerts{rule=\"Old\",severity=\"page\",state=\"firing\"} 0",
        "sidewatch_signal_state{rule=\"Old\",severity=\"page\",state=\"ok\"} 0",
        "sidewatch_signal_state{rule=\"Old\",severity=\"page\",state=\"anomalous\"} 1",
    ] {
        assert!(born.iter().any(|found| found == line), "{line}\n{born:#?}");
    }
    shared.publish(with(&["New"]));
    assert!(lines(&shared, "Old").is_empty());
    assert_eq!(lines(&shared, "New").len(), born.len());
}

async fn served(shared: Arc<Shared>) -> (SocketAddr, JoinSet<()>) {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let address = server.address();
    let mut tasks = JoinSet::new();
    tasks.spawn(server.run(shared, CancellationToken::new()));
    (address, tasks)
}

#[tokio::test]
async fn the_client_decides_whether_the_page_is_compressed() {
    let (address, _tasks) = served(shared(full())).await;
    let ask = async |coding: &str| {
        let request = reqwest::Client::new().get(format!("http://{address}/metrics"));
        let answer = request.header("accept-encoding", coding).send().await;
        let answer = answer.unwrap();
        let coding = answer.headers().get("content-encoding").cloned();
        assert_eq!(answer.headers()["vary"], "Accept, Accept-Encoding");
        (coding, answer.bytes().await.unwrap())
    };
    for coding in ["", "identity", "gzip;q=0", "br;q=1.0, gzip; q=0.0"] {
        let (found, body) = ask(coding).await;
        assert_eq!(found, None, "{coding}");
        assert!(body.starts_with(b"# HELP"));
    }
    for coding in ["gzip", "gzip;q=0.5, identity", "br, *"] {
        let (found, body) = ask(coding).await;
        assert_eq!(found.unwrap(), "gzip", "{coding}");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*body)
            .read_to_string(&mut text)
            .unwrap();
        assert!(text.starts_with("# HELP") && text.contains("sidewatch_metric_value"));
    }
}

#[tokio::test]
async fn a_scrape_never_waits_for_a_tick_and_ready_waits_for_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let target = MockServer::start().await;
    let delay = Duration::from_secs(6);
    Mock::given(method("GET"))
        .respond_with(
            ResponseTemplate::new(200)
                .set_delay(delay)
                .set_body_raw("# TYPE up_to gauge\nup_to 1\n", "text/plain; version=0.0.4"),
        )
        .mount(&target)
        .await;
    let config = format!(
        "global: {{scrape_interval: 10s, scrape_timeout: 9s}}\nscrape:\n  targets: [{{url: \"{}\", labels: {{pod: p}}}}]\nrule_files: [rules.yaml]\n",
        target.uri()
    );
    fs::write(dir.path().join("sidewatch.yaml"), config).unwrap();
    let rules = "groups: [{name: g, rules: [{record: a, metric: accuracy, expr: up_to}]}]\n";
    fs::write(dir.path().join("rules.yaml"), rules).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let listen = format!("--web.listen-address={address}");
    let args = ["run", "--config.file=sidewatch.yaml", &listen];
    let mut process = Process::sidewatch(&args, dir.path());
    let started = tokio::time::Instant::now();
    let metrics = until("metrics", SOON, async || {
        get_text(&format!("http://{address}/metrics")).await
    })
    .await;
    let ready = get_text(&format!("http://{address}/-/ready")).await;
    assert!(started.elapsed() < delay, "the first tick was over");
    assert!(
        metrics.contains("sidewatch_build_info") && !metrics.contains("sidewatch_metric_value")
    );
    assert!(ready.unwrap_err().starts_with("503"));
    until("ready", SOON, async || {
        get_text(&format!("http://{address}/-/ready")).await
    })
    .await;
    let metrics = get_text(&format!("http://{address}/metrics"))
        .await
        .unwrap();
    assert!(metrics.contains("sidewatch_metric_value"), "{metrics}");
    process.signal("TERM");
    assert!(process.ended(SOON).await.success());
}

#[tokio::test]
async fn a_process_that_stops_is_not_ready() {
    let shared = shared(Snapshot::default());
    let (address, _tasks) = served(Arc::clone(&shared)).await;
    let ready = async || get_text(&format!("http://{address}/-/ready")).await;
    assert!(ready().await.unwrap_err().starts_with("503"));
    shared.set_ready();
    ready().await.unwrap();
    shared.set_stopping();
    assert!(ready().await.unwrap_err().contains("stopping"));
    shared.set_ready();
    assert!(ready().await.unwrap_err().starts_with("503"));
}
