//! `sidewatch plan` against servers without series, with very many jobs, and with errors.

use std::fmt::Write as _;
use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};
use sidewatch::internals::runtime::clock;
use tokio::time::Instant;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::support::{free_port, start_prometheus};

async fn plan(url: &str, more: &[&str]) -> Output {
    tokio::process::Command::new(env!("CARGO_BIN_EXE_sidewatch"))
        .args(["plan", "--prometheus", url, "--range", "1h"])
        .args(more)
        .output()
        .await
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A Prometheus index with `jobs` jobs without samples, of which the first `models` are vLLM.
struct Index {
    jobs: usize,
    models: usize,
}

impl Respond for Index {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let pairs: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
        let matcher = pairs.iter().find(|(name, _)| name == "match[]");
        let matcher = matcher.map_or("", |(_, value)| value);
        let data = match request.url.path() {
            "/api/v1/label/job/values" if matcher.is_empty() => names(self.jobs),
            "/api/v1/label/job/values" => names(self.models),
            "/api/v1/label/__name__/values" if matcher.contains("job=\"\"") => Vec::new(),
            "/api/v1/label/__name__/values" => vec!["vllm:num_requests_running".to_owned()],
            other => panic!("unexpected request: {other}"),
        };
        ResponseTemplate::new(200).set_body_json(json!({"status": "success", "data": data}))
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("job-{n}")).collect()
}

/// The series of a job, one target each, and no samples.
fn series(request: &Request) -> ResponseTemplate {
    let form = String::from_utf8(request.body.clone()).unwrap();
    let job = form.split("job-").nth(1).unwrap();
    let job: String = job.chars().take_while(char::is_ascii_digit).collect();
    let one = json!({
        "__name__": "vllm:num_requests_running",
        "job": format!("job-{job}"),
        "instance": format!("10.0.0.{job}:8000"),
    });
    ResponseTemplate::new(200).set_body_json(json!({"status": "success", "data": [one]}))
}

async fn server(jobs: usize, models: usize) -> MockServer {
    let server = MockServer::start().await;
    let index = Index { jobs, models };
    Mock::given(method("GET"))
        .respond_with(index)
        .mount(&server)
        .await;
    Mock::given(path("/api/v1/series"))
        .respond_with(series)
        .mount(&server)
        .await;
    let nothing = json!({"status": "success", "data": {"resultType": "matrix", "result": []}});
    Mock::given(path("/api/v1/query_range"))
        .respond_with(ResponseTemplate::new(200).set_body_json(nothing))
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn a_server_without_series_is_reported() {
    let server = server(0, 0).await;
    let output = plan(&server.uri(), &[]).await;
    assert!(output.status.success());
    let said = text(&output.stdout);
    assert!(said.starts_with("0 models on http://127.0.0.1:"), "{said}");
    assert!(
        said.contains("There is no series of any target between "),
        "{said}"
    );
}

#[tokio::test]
async fn errors_of_unreachable_and_protected_servers_name_a_remedy() {
    let started = Instant::now();
    let unreachable = format!("http://127.0.0.1:{}", free_port());
    let output = plan(&unreachable, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains(&unreachable), "{said}");
    assert!(started.elapsed() < Duration::from_secs(30));
    // Mimir without a tenant header, and a server that requires a password.
    for (status, body) in [(401, "no org id\n"), (403, "")] {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .respond_with(ResponseTemplate::new(status).set_body_string(body))
            .mount(&server)
            .await;
        let output = plan(&server.uri(), &[]).await;
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(said.contains(body.trim()), "{said}");
        assert!(
            said.contains("basic_auth") && said.contains("http_headers"),
            "{said}"
        );
        assert_eq!(server.received_requests().await.unwrap().len(), 1);
    }
    let server = MockServer::start().await;
    let said = text(&plan(&server.uri(), &[]).await.stderr);
    assert!(said.contains("is the path complete"), "{said}");
}

#[tokio::test]
async fn only_jobs_with_metrics_of_a_known_server_are_inspected() {
    let server = server(1000, 3).await;
    let output = plan(&server.uri(), &["--format", "json", "--models", "2"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["other_jobs"], 997);
    assert_eq!(answer["models"].as_array().map(Vec::len), Some(2));
    assert_eq!(answer["not_replayed"][0]["name"], "job-2");
    let asked = server.received_requests().await.unwrap();
    let index = asked
        .iter()
        .filter(|request| !request.url.path().ends_with("query_range"));
    // Two requests for the jobs, two for each inspected job, one for the targets without a job.
    assert_eq!(index.count(), 9);
}

#[tokio::test]
async fn a_thousand_models_are_listed_and_the_requested_number_is_replayed() {
    let server = server(1000, 1000).await;
    let started = Instant::now();
    let output = plan(&server.uri(), &["--format", "json", "--models", "5"]).await;
    eprintln!("a thousand models took {:?}", started.elapsed());
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["models"].as_array().map(Vec::len), Some(5));
    assert_eq!(answer["not_replayed"].as_array().map(Vec::len), Some(995));
    let why = answer["not_replayed"][0]["why"].as_str().unwrap();
    assert_eq!(why, "there are more than 5 models; see --models");
}

/// Ten minutes of series with a constant value.
fn past(series: &[&str]) -> String {
    let now = clock::now().as_secs_f64() as i64;
    let mut text = String::new();
    for one in series {
        let name = one.split('{').next().unwrap();
        writeln!(text, "# TYPE {name} gauge").unwrap();
        for back in (0..40).rev() {
            writeln!(text, "{one} 1 {}", now - back * 15).unwrap();
        }
    }
    text + "# EOF\n"
}

#[tokio::test]
async fn recorded_series_are_no_model_and_a_target_without_a_job_is_one() {
    let recorded = [
        "vllm:request_success:rate5m{model_name=\"m\"}",
        "job:http_requests:rate5m{job=\"api\"}",
    ];
    let dir = tempfile::tempdir().unwrap();
    let Some((prometheus, url)) =
        start_prometheus(dir.path(), Some(&past(&recorded)), "{}\n").await
    else {
        return;
    };
    let output = plan(&url, &[]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.starts_with("0 models on "), "{said}");
    assert!(
        said.contains("1 other job without a model server"),
        "{said}"
    );
    drop(prometheus);

    let targets = [
        recorded[0],
        "vllm:num_requests_running{instance=\"10.0.0.7:8000\",model_name=\"m\"}",
        "vllm:num_requests_waiting{instance=\"10.0.0.7:8000\",model_name=\"m\"}",
    ];
    let dir = tempfile::tempdir().unwrap();
    let Some((_prometheus, url)) =
        start_prometheus(dir.path(), Some(&past(&targets)), "{}\n").await
    else {
        return;
    };
    let out = dir.path().join("install");
    let out = out.to_str().unwrap();
    let output = plan(&url, &["--format", "json", "--out", out]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let model = &answer["models"][0];
    assert_eq!(
        (&model["pack"], &model["name"]),
        (&json!("vllm"), &json!("vllm"))
    );
    assert_eq!(model["job"], Value::Null);
    assert_eq!(model["targets"], 1);
    assert!(!model["signals"].as_array().unwrap().is_empty(), "{model}");
    let written = dir.path().join("install/vllm/sidewatch.yaml");
    let checked = tokio::process::Command::new(env!("CARGO_BIN_EXE_sidewatch"))
        .args(["check", "config", written.to_str().unwrap()])
        .output()
        .await
        .unwrap();
    assert_ne!(checked.status.code(), Some(1), "{}", text(&checked.stdout));
}
