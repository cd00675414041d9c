//! Bad input: the binary reports mistakes at the start, and keeps running on errors of others.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::{Process, free_port, get_text, until};

const SOON: Duration = Duration::from_secs(20);

fn sidewatch(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sidewatch"))
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap()
}

fn refused(dir: &Path, args: &[&str]) -> String {
    let output = sidewatch(dir, args);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stderr).unwrap()
}

const RULES: &str = "groups:\n- name: a\n  rules:\n  - watch: Low\n    expr: accuracy\n    metric: accuracy\n    strategy: {type: static, bound: 0.9}\n";

/// One mistake in each rule.
const FIVE: &str = "\
groups:
- name: a
  rules:
  - watch: One
    expr: sum(
    strategy: {type: static, bound: 1}
  - watch: Two
    expr: x
    strategy:
      type: ewma
      alpha: 1.5
  - alert: Three
    expr: x > 1
    for: soon
  - record: four
    expr: x
    metric: acuracy
  - alert: Five
    expr: x
    anotations: {summary: five}
";

#[test]
fn all_mistakes_of_a_rule_file_are_reported_with_line_path_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.yaml"), FIVE).unwrap();
    let said = refused(
        dir.path(),
        &[
            "run",
            "--target=http://127.0.0.1:1/metrics",
            "--rules=rules.yaml",
        ],
    );
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "sidewatch: 5 mistakes in the configuration");
    for (line, place, remedy) in [
        (1, "rules.yaml:5: groups[0].rules[0].expr: ", "expected"),
        (
            2,
            "rules.yaml:11: groups[0].rules[1].strategy.alpha: ",
            "must be between 0 and 1, got 1.5",
        ),
        (
            3,
            "rules.yaml:14: groups[0].rules[2].for: ",
            "write it as 30s, 5m or 1h30m",
        ),
        (
            4,
            "rules.yaml:17: groups[0].rules[3].metric: ",
            "must be one of inference_latency_ms, accuracy, prediction_drift, custom",
        ),
        (
            5,
            "rules.yaml:20: groups[0].rules[4].anotations: ",
            "did you mean annotations?",
        ),
    ] {
        assert!(lines[line].starts_with(place), "{said}");
        assert!(lines[line].contains(remedy), "{said}");
    }
    assert_eq!(lines.len(), 6, "{said}");
}

#[test]
fn an_unknown_configuration_key_is_reported_with_a_suggestion() {
    let dir = tempfile::tempdir().unwrap();
    let config =
        "scrape: {targets: [{url: \"http://127.0.0.1:1/metrics\"}]}\nrule_flies: [a.yaml]\n";
    fs::write(dir.path().join("c.yaml"), config).unwrap();
    let said = refused(dir.path(), &["run", "--config.file=c.yaml"]);
    assert!(
        said.contains("c.yaml:2: rule_flies: unknown key; did you mean rule_files?"),
        "{said}"
    );
}

#[test]
fn the_mistakes_of_a_first_rule_are_answered_with_what_was_meant() {
    let dir = tempfile::tempdir().unwrap();
    for (rule, remedy) in [
        (
            "{alert: A, expr: x, strategy: {type: ewma}}",
            "strategy: belongs to a watch; write watch: in the place of alert:",
        ),
        (
            "{wach: A, expr: x, strategy: {type: ewma}}",
            "did you mean watch by wach?",
        ),
        (
            "{watch: A, expr: mean(x), strategy: {type: ewma}}",
            "did you mean avg?",
        ),
        (
            "{watch: A, expr: x, strategy: {type: drift, alpha: 0.1}}",
            "strategy.alpha: belongs to drift of the record",
        ),
    ] {
        let text = format!("groups: [{{name: g, rules: [{rule}]}}]\n");
        fs::write(dir.path().join("rules.yaml"), text).unwrap();
        let flags = ["run", "--target=http://a:1/metrics", "--rules=rules.yaml"];
        let said = refused(dir.path(), &flags);
        assert!(said.contains(remedy), "{said}");
    }
    let target = "--target=http://127.0.0.1:1/metrics";
    for (flag, remedy) in [
        ("--rules=vlm", "did you mean vllm?"),
        (
            "--alertmanager.url=127.0.0.1:9093",
            "must be a URL such as http://127.0.0.1:9093",
        ),
        ("--retrain.url=argo:12000", "must be a URL such as http://"),
    ] {
        let mut flags = vec!["run", target, flag];
        if !flag.starts_with("--rules") {
            flags.push("--rules=vllm");
        }
        let said = refused(dir.path(), &flags);
        assert!(said.contains(remedy), "{said}");
    }
}

#[test]
fn the_error_for_a_missing_file_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let said = refused(dir.path(), &["run", "--config.file=nope.yaml"]);
    assert!(
        said.contains("nope.yaml: cannot be read: No such file"),
        "{said}"
    );
    let said = refused(
        dir.path(),
        &[
            "run",
            "--target=http://a:1/metrics",
            "--rules=rules/nope.yaml",
        ],
    );
    assert!(
        said.contains("rules/nope.yaml: cannot be read: No such file"),
        "{said}"
    );
}

#[test]
fn the_error_for_a_port_in_use_names_the_flag_to_change() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let listen = format!("--web.listen-address={address}");
    let said = refused(
        dir.path(),
        &[
            "run",
            "--target=http://127.0.0.1:1/metrics",
            "--rules=rules.yaml",
            &listen,
        ],
    );
    assert!(
        said.contains(&format!(
            "{address} is in use by another program; choose another --web.listen-address"
        )),
        "{said}"
    );
}

#[test]
fn a_prometheus_rule_file_loads_unchanged_and_unknown_keys_are_refused() {
    use sidewatch::internals::config::RuleReader;
    use sidewatch_engine::judge::Registry;
    let registry = Registry::built_in();
    let reader = RuleReader {
        registry: &registry,
        interval: Duration::from_secs(15),
    };
    let plain = "
groups:
  - name: example
    interval: 30s
    limit: 10
    labels: {team: ml}
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
        labels: {cluster: eu}
      - alert: Down
        expr: up == 0
        for: 5m
        keep_firing_for: 10m
        labels: {severity: page}
        annotations:
          summary: '{{ $labels.instance }} of {{ $labels.job }} has been down for more than 5 minutes: {{ $value | humanize }}'
      - alert: Always
        expr: 1
";
    assert_eq!(reader.read("r.yaml", plain).unwrap()[0].rules.len(), 3);
    let manifest = format!(
        "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {{name: x}}\nspec:{}",
        plain.replace('\n', "\n  ")
    );
    assert_eq!(reader.read("m.yaml", &manifest).unwrap()[0].rules.len(), 3);
    let judged = plain.replace("for: 5m", "strategy: {type: static, bound: 1}");
    assert!(
        reader
            .read("r.yaml", &judged)
            .unwrap_err()
            .to_string()
            .contains("strategy: belongs to a watch")
    );
    let refused = plain.replace("up == 0", "info(up)");
    assert!(
        reader
            .read("r.yaml", &refused)
            .unwrap_err()
            .to_string()
            .contains("info() (joins with info metrics) is not supported")
    );
    let long = plain.replace("up == 0", "avg_over_time(up[400d]) == 0");
    assert_eq!(reader.read("r.yaml", &long).unwrap()[0].rules.len(), 3);
}

/// Starts the binary on a target and waits until a scrape failure with this reason is counted.
async fn run_until_failure(target: &str, reason: &str) -> (Process, tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let (target, listen) = (
        format!("--target={target}"),
        format!("--web.listen-address={address}"),
    );
    let args = [
        "run",
        &target,
        "--rules=rules.yaml",
        "--scrape.interval=3s",
        &listen,
    ];
    let process = Process::sidewatch(&args, dir.path());
    let wanted =
        format!("sidewatch_scrape_failures_total{{model_id=\"default\",reason=\"{reason}\"");
    let page = until(&wanted, SOON, async || {
        let page = get_text(&format!("http://{address}/metrics")).await?;
        let found = page
            .lines()
            .any(|line| line.starts_with(&wanted) && !line.ends_with(" 0"));
        if found { Ok(page) } else { Err(page) }
    })
    .await;
    (process, dir, page)
}

async fn stops_cleanly(mut process: Process) {
    process.signal("INT");
    assert_eq!(process.ended(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn scrapes_of_an_unreachable_target_are_counted_as_failures() {
    let target = format!("http://127.0.0.1:{}/metrics", free_port());
    let (process, _dir, page) = run_until_failure(&target, "connect").await;
    let up = page
        .lines()
        .find(|line| line.starts_with("sidewatch_target_up{"))
        .unwrap();
    assert!(up.ends_with(" 0"), "{up}");
    stops_cleanly(process).await;
}

#[tokio::test]
async fn invalid_responses_of_a_target_are_counted_by_reason() {
    let random: Vec<u8> = (0..4096_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    for (answer, reason) in [
        (ResponseTemplate::new(404), "status"),
        (ResponseTemplate::new(500), "status"),
        (
            ResponseTemplate::new(200).set_body_raw(random, "text/plain"),
            "syntax",
        ),
        (
            ResponseTemplate::new(200).set_body_raw("a 1\n", "image/png"),
            "content_type",
        ),
        (
            ResponseTemplate::new(200)
                .set_body_raw("a 1\n", "text/plain")
                .set_delay(Duration::from_secs(5)),
            "timeout",
        ),
    ] {
        let target = MockServer::start().await;
        Mock::given(method("GET"))
            .respond_with(answer)
            .mount(&target)
            .await;
        let (process, _dir, page) = run_until_failure(&target.uri(), reason).await;
        let others = page.lines().filter(|line| {
            line.starts_with("sidewatch_scrape_failures_total{") && line.ends_with(" 0")
        });
        assert_eq!(others.count(), 12, "every other reason stays at 0: {page}");
        stops_cleanly(process).await;
    }
}

#[tokio::test]
async fn an_alertmanager_that_was_down_gets_the_alert_when_it_is_back() {
    let target = MockServer::start().await;
    let body = ResponseTemplate::new(200).set_body_raw("accuracy 0.5\n", "text/plain");
    Mock::given(method("GET"))
        .respond_with(body)
        .mount(&target)
        .await;
    let port = free_port();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    let config = format!(
        "global: {{scrape_interval: 200ms}}\nscrape: {{targets: [{{url: \"{}\", labels: {{pod: a}}}}]}}\n\
         rule_files: [rules.yaml]\nalerting: {{alertmanagers: [{{url: \"http://127.0.0.1:{port}\"}}]}}\n",
        target.uri()
    );
    fs::write(dir.path().join("c.yaml"), config).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let listen = format!("--web.listen-address={address}");
    let process = Process::sidewatch(&["run", "--config.file=c.yaml", &listen], dir.path());
    until("failed deliveries", SOON, async || {
        let page = get_text(&format!("http://{address}/metrics")).await?;
        let failed = page
            .lines()
            .find(|line| line.starts_with("sidewatch_notifications_failed_total"))
            .map(str::to_owned);
        match failed {
            Some(line) if !line.ends_with(" 0") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let alertmanager = MockServer::builder().listener(listener).start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&alertmanager)
        .await;
    until("the alert", SOON, async || {
        let requests = alertmanager.received_requests().await.unwrap();
        let all: String = requests
            .iter()
            .map(|request| String::from_utf8_lossy(&request.body).into_owned())
            .collect();
        if all.contains("\"alertname\":\"Low\"") {
            Ok(())
        } else {
            Err(all)
        }
    })
    .await;
    stops_cleanly(process).await;
}

#[tokio::test]
async fn health_checks_can_have_their_own_listener() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let health = format!("--web.health-listen-address={address}");
    let args = [
        "run",
        "--target=http://127.0.0.1:1/metrics",
        "--rules=rules.yaml",
        "--web.listen-address=127.0.0.1:0",
        &health,
    ];
    let process = Process::sidewatch(&args, dir.path());
    let ready = until("readiness", SOON, async || {
        get_text(&format!("http://{address}/-/ready")).await
    })
    .await;
    assert_eq!(ready, "sidewatch is ready\n");
    assert!(
        get_text(&format!("http://{address}/metrics"))
            .await
            .unwrap_err()
            .starts_with("404")
    );
    stops_cleanly(process).await;
}
