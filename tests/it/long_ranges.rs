//! Rules that look back further than the window: the file loads, they say why they are not
//! evaluated, and all others run.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::browser::PATIENCE;
use super::support::{Fake, Process, free_port, get_json, get_text, until, value_of};

const RULES: &str = r#"
groups:
- name: g
  rules:
  - alert: OfTheDay
    expr: increase(errors_total[1d]) > 100
  - record: errors:weekly
    expr: increase(errors_total[1w])
  - watch: OfTheWeek
    expr: avg_over_time(queue[1w])
    strategy: {type: static, bound: 5}
  - alert: Now
    expr: queue > 1
    annotations: {summary: '{{ with query "max_over_time(queue[1d])" }}{{ . | first | value }}{{ end }}'}
  - alert: OffsetWithin
    expr: queue > 1 and queue offset 2h < 1
"#;
const BODY: &str = "# TYPE errors_total counter\nerrors_total 500\n# TYPE queue gauge\nqueue 3\n";

/// Sidewatch with these flags, once its first alert fires.
async fn started(target: &Fake, flags: &[&str]) -> (Process, String, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let (target, listen) = (
        format!("--target=http://{}/metrics", target.address),
        format!("--web.listen-address={address}"),
    );
    let mut args = vec![
        "run",
        &target,
        "--rules=rules.yaml",
        "--scrape.interval=1s",
        &listen,
    ];
    args.extend_from_slice(flags);
    let process = run(&args, dir.path());
    let url = format!("http://{address}");
    until("the alert", PATIENCE, async || {
        let alerts = get_json(&format!("{url}/api/v1/alerts")).await?;
        let count = alerts["data"]["alerts"].as_array().map_or(0, Vec::len);
        (count > 0).then_some(()).ok_or("no alert".to_owned())
    })
    .await;
    (process, url, dir)
}

fn run(args: &[&str], dir: &Path) -> Process {
    Process::sidewatch(args, dir)
}

/// The health and the last error of each rule.
async fn health(url: &str) -> Vec<(String, String, String)> {
    let rules = get_json(&format!("{url}/api/v1/rules")).await.unwrap();
    let rules = rules["data"]["groups"][0]["rules"]
        .as_array()
        .unwrap()
        .clone();
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let of = |rule: &Value| {
        (
            text(&rule["name"]),
            text(&rule["health"]),
            text(&rule["lastError"]),
        )
    };
    rules.iter().map(of).collect()
}

#[tokio::test]
async fn a_rule_that_looks_back_too_far_is_unsupported_and_the_others_run() {
    let target = Fake::start(|| BODY.to_owned()).await;
    let (_process, url, _dir) = started(&target, &[]).await;
    let health = health(&url).await;
    for (name, state, error) in &health {
        let is_long = ["OfTheDay", "errors:weekly", "OfTheWeek"].contains(&name.as_str());
        assert_eq!(
            state,
            if is_long { "unsupported" } else { "ok" },
            "{name}: {error}"
        );
        let says_why = error.contains("more than the storage.retention of 2h");
        assert_eq!(says_why, is_long, "{name}: {error}");
    }
    // The template's query is held to the same limit, so that no number is that of a shorter range.
    let alerts = get_json(&format!("{url}/api/v1/alerts")).await.unwrap();
    let now = &alerts["data"]["alerts"][0];
    let summary = now["annotations"]["summary"].as_str().unwrap();
    assert_eq!(now["labels"]["alertname"], "Now");
    assert!(summary.contains("looks back over 1d"), "{summary}");
    let page = get_text(&format!("{url}/metrics")).await.unwrap();
    let flag = |rule: &str| {
        value_of(
            &page,
            &["sidewatch_rule_unsupported{", &format!("rule=\"{rule}\"")],
        )
    };
    assert_eq!((flag("OfTheWeek"), flag("Now")), (Some(1.0), Some(0.0)));
    let html = get_text(&format!("{url}/")).await.unwrap();
    assert!(html.contains("unsupported: looks back over 1w"), "{html}");
}

#[tokio::test]
async fn the_flag_raises_the_retention() {
    let target = Fake::start(|| BODY.to_owned()).await;
    let (_process, url, _dir) = started(&target, &["--storage.retention=2w"]).await;
    for (name, state, error) in health(&url).await {
        assert_eq!(state, "ok", "{name}: {error}");
    }
    let flags = get_json(&format!("{url}/api/v1/status/flags"))
        .await
        .unwrap();
    assert_eq!(flags["data"]["storage.retention"], json!("2w"));
    let info = get_json(&format!("{url}/api/v1/status/runtimeinfo"))
        .await
        .unwrap();
    assert!(
        info["data"]["storageRetention"]
            .as_str()
            .unwrap()
            .starts_with("7d"),
        "{info}"
    );
}
