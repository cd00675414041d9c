//! The API: the same shapes as the real Prometheus, refused requests, and no secret in any
//! answer.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::browser::PATIENCE;
use super::support::{Process, free_port, get_json, get_text, tool, until};

const RULES: &str = r#"
groups:
- name: shapes
  interval: 1s
  rules:
  - record: model:accuracy:mean
    expr: avg(model_accuracy)
    labels: {team: ml}
  - record: model:accuracy:max
    expr: max(model_accuracy)
    labels: {y: ""}
  - alert: Fires
    expr: model_accuracy < 0.9
    labels: {severity: page}
    annotations: {summary: "accuracy of {{ $labels.model_name }} is {{ $value }}"}
  - alert: Waits
    expr: model_accuracy < 0.8
    for: 1h
    keep_firing_for: 5m
  - alert: Sleeps
    expr: model_accuracy > 2
    labels: {y: ""}
- name: second
  limit: 3
  rules:
  - alert: Fires
    expr: model_accuracy{model_name="b"} < 0.9
    for: 1h
"#;

async fn target() -> MockServer {
    let server = MockServer::start().await;
    let body = "# TYPE model_accuracy gauge\nmodel_accuracy{model_name=\"a\"} 0.75\nmodel_accuracy{model_name=\"b\"} 0.85\n";
    let answer = ResponseTemplate::new(200);
    Mock::given(method("GET"))
        .and(path("/metrics"))
        .respond_with(answer.set_body_raw(body, "text/plain; version=0.0.4; charset=utf-8"))
        .mount(&server)
        .await;
    server
}

/// Our binary with a configuration, once it is ready; its URL.
async fn sidewatch(config: &str, dir: &Path) -> (Process, String) {
    fs::write(dir.join("sidewatch.yaml"), config).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let listen = format!("--web.listen-address={address}");
    let args = [
        "run",
        "--config.file=sidewatch.yaml",
        "--web.enable-lifecycle",
        &listen,
    ];
    let process = Process::sidewatch(&args, dir);
    let url = format!("http://{address}");
    until("ready", PATIENCE, async || {
        get_text(&format!("{url}/-/ready")).await
    })
    .await;
    (process, url)
}

fn ours(target: &str) -> String {
    format!(
        "global: {{scrape_interval: 1s}}\nmodel: {{id: m}}\nscrape:\n  targets: [{{url: \"{target}/metrics\", labels: {{job: j, instance: i, pod: p}}}}]\nrule_files: [sub/../rules.yaml]\n"
    )
}

fn prometheus(binary: &Path, target: &str, dir: &Path) -> (Process, String) {
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [sub/../rules.yaml]\nscrape_configs:\n- job_name: j\n  static_configs: [{{targets: [\"{}\"], labels: {{instance: i, pod: p}}}}]\n",
        target.trim_start_matches("http://")
    );
    fs::write(dir.join("prometheus.yml"), config).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let listen = format!("--web.listen-address={address}");
    let args = [
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        &listen,
    ];
    (
        Process::start(binary, &args, dir),
        format!("http://{address}"),
    )
}

/// What differs from run to run, checked and replaced by its kind; labels of ours that Prometheus
/// does not have are left out.
fn comparable(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut out = Map::new();
            for (key, value) in map {
                if key == "model_id" {
                    continue;
                }
                let value = match key.as_str() {
                    "evaluationTime" => json!(value.as_f64().is_some_and(|took| took >= 0.0)),
                    "lastEvaluation" | "activeAt" => {
                        let text = value.as_str().unwrap();
                        assert!(
                            text.starts_with("20") && (text.contains('T')),
                            "{key}: {text}"
                        );
                        json!("a time")
                    }
                    _ => comparable(value),
                };
                out.insert(key.clone(), value);
            }
            out.into()
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(comparable).collect();
            // Prometheus 2.42 shows groups of which the filter leaves nothing; later ones do not,
            // and neither do we.
            items.retain(|item| item["rules"] != json!([]));
            // Neither promises an order of alerts.
            if items.iter().any(|item| !item["activeAt"].is_null()) {
                items.sort_by_key(ToString::to_string);
            }
            items.into()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[tokio::test]
async fn rules_and_alerts_have_prometheus_shapes_field_by_field() {
    let Some(binary) = tool("prometheus") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    let target = target().await;
    let (_prometheus, theirs) = prometheus(&binary, &target.uri(), dir.path());
    let (_sidewatch, ours) = sidewatch(&ours(&target.uri()), dir.path()).await;
    for api in ["alerts", "rules", "rules?type=alert", "rules?type=record"] {
        until(api, PATIENCE, async || {
            let theirs = get_json(&format!("{theirs}/api/v1/{api}")).await?;
            let ours = get_json(&format!("{ours}/api/v1/{api}")).await?;
            let (theirs, ours) = (comparable(&theirs), comparable(&ours));
            if theirs == ours {
                Ok(())
            } else {
                Err(format!("theirs {theirs:#}\nours {ours:#}"))
            }
        })
        .await;
    }
    let alerts = get_json(&format!("{ours}/api/v1/alerts")).await.unwrap();
    assert_eq!(alerts["data"]["alerts"].as_array().unwrap().len(), 4);
    targets_have_their_shape(&theirs, &ours).await;
}

/// Every key that Prometheus has, with a value of the same type.
async fn targets_have_their_shape(theirs: &str, ours: &str) {
    let theirs = get_json(&format!("{theirs}/api/v1/targets")).await.unwrap();
    let ours = get_json(&format!("{ours}/api/v1/targets")).await.unwrap();
    let (theirs, ours) = (
        &theirs["data"]["activeTargets"][0],
        &ours["data"]["activeTargets"][0],
    );
    for (key, value) in theirs.as_object().unwrap() {
        let same = std::mem::discriminant(value) == std::mem::discriminant(&ours[key]);
        assert!(same, "{key}: {value} and {}", ours[key]);
    }
    for key in [
        "health",
        "labels",
        "lastError",
        "scrapePool",
        "scrapeInterval",
    ] {
        let mut ours = ours[key].clone();
        if let Some(labels) = ours.as_object_mut() {
            labels.remove("model_id");
        }
        assert_eq!(ours, theirs[key], "{key}");
    }
}

#[tokio::test]
async fn rules_can_be_filtered_and_mistakes_have_the_error_shape() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    let target = target().await;
    let (_sidewatch, url) = sidewatch(&ours(&target.uri()), dir.path()).await;
    let names = async |query: &str| {
        let answer = get_json(&format!("{url}/api/v1/rules?{query}"))
            .await
            .unwrap();
        let groups = answer["data"]["groups"].as_array().unwrap().iter();
        let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
        rules
            .map(|rule| rule["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names("rule_name[]=Waits&rule_name[]=Sleeps").await,
        ["Waits", "Sleeps"]
    );
    assert_eq!(names("rule_name%5B%5D=Fires").await, ["Fires", "Fires"]);
    assert_eq!(names("rule_group[]=second").await, ["Fires"]);
    assert_eq!(
        names("type=record").await,
        ["model:accuracy:mean", "model:accuracy:max"]
    );
    assert!(names("file[]=other.yaml").await.is_empty());
    assert_eq!(
        names("file[]=rules.yaml&rule_group[]=second").await,
        ["Fires"]
    );
    for (path, status, kind) in [
        ("/api/v1/rules?type=x", 400, "bad_data"),
        ("/api/v1/targets?state=x", 400, "bad_data"),
        ("/api/v1/nope", 404, "not_found"),
        ("/api/", 404, "not_found"),
    ] {
        let answer = reqwest::get(format!("{url}{path}")).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/json");
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(body["status"], "error");
        assert_eq!(body["errorType"], kind);
        assert!(!body["error"].as_str().unwrap().is_empty());
    }
    let build = get_json(&format!("{url}/api/v1/status/buildinfo"))
        .await
        .unwrap();
    assert_eq!(build["data"]["version"], env!("CARGO_PKG_VERSION"));
}

/// Every key that may hold a secret, with one in it.
const SECRETS: &str = r#"
global: {scrape_interval: 1s}
scrape:
  targets: [{url: "http://me:s3cret@127.0.0.1:1/metrics", labels: {pod: p}}]
  basic_auth: {username: me, password: s3cret}
  http_headers: {X-Key: {values: [s3cret], secrets: [s3cret]}}
rule_files: [rules.yaml]
alerting:
  alertmanagers:
  - url: "http://me:s3cret@127.0.0.1:1"
    authorization: {credentials: s3cret}
    proxy_url: "http://me:s3cret@127.0.0.1:2"
    proxy_connect_header: {X-Key: [s3cret]}
  - url: "http://127.0.0.1:3"
    oauth2: {client_id: id, client_secret: s3cret, token_url: "http://me:s3cret@127.0.0.1:2/", endpoint_params: {a: s3cret}}
retraining:
  webhooks:
  - url: "http://me:s3cret@127.0.0.1:1/hook"
    secret: s3cret
    bearer_token: s3cret
"#;

#[tokio::test]
async fn no_secret_of_the_configuration_can_be_read_over_http() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    let (_sidewatch, url) = sidewatch(SECRETS, dir.path()).await;
    let quiet = async || {
        for path in [
            "/",
            "/metrics",
            "/api/v1/status/config",
            "/api/v1/targets",
            "/api/v1/rules",
            "/api/v1/alerts",
            "/api/v1/signals",
            "/api/v1/retraining/outbox",
        ] {
            let body = get_text(&format!("{url}{path}")).await.unwrap();
            assert!(!body.contains("s3cret"), "{path}: {body}");
        }
    };
    quiet().await;
    let config = get_json(&format!("{url}/api/v1/status/config"))
        .await
        .unwrap();
    let yaml = config["data"]["yaml"].as_str().unwrap();
    assert!(
        yaml.contains("basic_auth: {username: me, password: <secret>}"),
        "{yaml}"
    );
    assert_eq!(yaml.lines().count(), SECRETS.lines().count());
    assert_eq!(config["data"]["files"][1]["text"], RULES);
    let page = get_text(&format!("{url}/")).await.unwrap();
    assert!(
        page.contains("data-line=\"5\">  basic_auth: {username: me, password: &lt;secret&gt;}"),
        "{page}"
    );

    // A refused file is quoted in the problems, its secrets are not.
    let wrong = SECRETS
        .replace("http://me", "htp://me")
        .replace("secret: s3cret", "secret: [s3cret]")
        .replace("bearer_token: s3cret", "bearer_token: {a: s3cret}")
        .replace("credentials: s3cret", "credentials: [s3cret]");
    fs::write(dir.path().join("sidewatch.yaml"), wrong).unwrap();
    let answer = reqwest::Client::new()
        .post(format!("{url}/-/reload"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 500);
    let problems = answer.text().await.unwrap();
    assert!(
        problems.contains("must be a URL") && !problems.contains("s3cret"),
        "{problems}"
    );
    let page = get_text(&format!("{url}/")).await.unwrap();
    assert!(
        page.contains("was refused") && page.contains("must be a URL"),
        "{page}"
    );
    quiet().await;
}
