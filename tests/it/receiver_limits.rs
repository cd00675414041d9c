//! Requests to every receiver, checked against the limits of its API.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sidewatch::internals::notify::RetrainingNotifier;
use sidewatch::internals::notify::retrain::{BodyTemplate, Format, Webhook};
use sidewatch::internals::runtime::http::{Client, Settings};
use sidewatch_engine::alert::AlertState;
use sidewatch_engine::alert::Annotations;
use sidewatch_engine::metric::{Labels, Timestamp};
use sidewatch_engine::retrain::RetrainRequest;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::notify::alert;

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const RUN: &str = "retrain-00112233445566778899aabbccddeeff";

fn request() -> RetrainRequest {
    let alert = alert("AccuracyDropped", AlertState::Firing, &[("team", "risk")]);
    let at = Timestamp::from_millis(1_700_000_090_000);
    RetrainRequest::new(KEY.to_owned(), ("fraud", "7"), &alert, at)
}

/// Requests with texts that no receiver takes as they are.
fn huge_requests() -> Vec<RetrainRequest> {
    let long = |times| "é\"\n".repeat(times);
    let many = |count: usize, size: usize| {
        (0..count).map(move |n| (format!("label_{n}"), "\"".repeat(size)))
    };
    vec![
        RetrainRequest {
            reason: long(30_000),
            ..request()
        },
        RetrainRequest {
            annotations: Annotations::new(many(3, 30_000)),
            ..request()
        },
        RetrainRequest {
            labels: Labels::new(many(1500, 60)),
            ..request()
        },
        RetrainRequest {
            model_id: long(20_000),
            model_version: long(20_000),
            rule: long(20_000),
            reason: long(20_000),
            labels: Labels::new(many(300, 300)),
            annotations: Annotations::new(many(300, 400)),
            generator_url: format!("http://side/?q={}", "x".repeat(100_000)),
            ..request()
        },
    ]
}

fn kubeflow() -> Format {
    Format::Kubeflow {
        pipeline_id: "p".into(),
        pipeline_version_id: "v".into(),
        experiment_id: String::new(),
    }
}

fn github() -> Format {
    Format::Github {
        event_type: "retrain".into(),
    }
}

fn argo(template: &str) -> Format {
    Format::Argo {
        template: template.into(),
    }
}

type Headers = Vec<(String, String)>;

fn write(format: &Format, request: &RetrainRequest, url: &str) -> (Headers, Value) {
    let message = format.message(request, url).unwrap();
    let body = serde_json::from_slice(&message.body).unwrap();
    (message.headers, body)
}

fn body(format: &Format, request: &RetrainRequest) -> Value {
    write(format, request, "http://host/api/v2/dags/d/dagRuns").1
}

fn chars(value: &Value) -> usize {
    value.as_str().unwrap().chars().count()
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn a_huge_request_is_shortened_to_what_receivers_take() {
    let template = BodyTemplate::parse("{{ . | toJson }}", "application/json").unwrap();
    for request in huge_requests() {
        for format in [
            Format::CloudEvents,
            Format::CloudEventsBinary,
            Format::Airflow,
            kubeflow(),
            github(),
            argo("retrain"),
            argo(""),
            Format::Alertmanager,
        ] {
            let message = format.message(&request, "http://x").unwrap();
            assert!(
                message.body.len() < 64_000,
                "{format:?}: {}",
                message.body.len()
            );
            let whole = String::from_utf8(message.body.to_vec()).unwrap();
            assert!(
                whole.contains(RUN.trim_start_matches("retrain-")),
                "{format:?}"
            );
            for (name, value) in message.headers {
                assert!(name.len() + value.len() < 8000, "{format:?}: {name}");
            }
        }
        let own = Format::Template(template.clone());
        assert!(own.message(&request, "http://x").unwrap().body.len() <= 1 << 20);
    }
}

#[test]
fn a_request_that_fits_is_not_shortened() {
    let reason = "é".repeat(20_000);
    let request = RetrainRequest {
        reason: reason.clone(),
        ..request()
    };
    assert_eq!(body(&argo(""), &request)["reason"], reason);
    assert_eq!(
        body(&Format::CloudEvents, &request)["data"]["reason"],
        reason
    );
}

#[test]
fn airflow_accepts_the_id_the_note_and_the_conf_of_a_run() {
    for request in huge_requests() {
        let run = body(&Format::Airflow, &request);
        assert_eq!(run["dag_run_id"], RUN);
        assert!(chars(&run["note"]) <= 1000);
        assert!(run["conf"].is_object());
    }
    let odd = RetrainRequest {
        id: "A/b..c é_scheduled__".into(),
        ..request()
    };
    assert_eq!(
        body(&Format::Airflow, &odd)["dag_run_id"],
        "retrain-a-b--c---scheduled"
    );
}

#[test]
fn the_version_of_airflow_is_that_before_dags_wherever_the_api_is_served() {
    for (url, keys_expected) in [
        (
            "http://af/api/v1/dags/d/dagRuns",
            vec!["conf", "dag_run_id", "note"],
        ),
        (
            "https://host/airflow/api/v1/dags/d/dagRuns/?x=1",
            vec!["conf", "dag_run_id", "note"],
        ),
        (
            "http://af/api/v2/dags/d/dagRuns",
            vec!["conf", "dag_run_id", "logical_date", "note"],
        ),
        (
            "http://host/api/v1/dags-proxy/api/v2/dags/d/dagRuns",
            vec!["conf", "dag_run_id", "logical_date", "note"],
        ),
        (
            "http://host/api/v2/dags/d/dagRuns?from=/api/v1/dags/",
            vec!["conf", "dag_run_id", "logical_date", "note"],
        ),
    ] {
        let (_, run) = write(&Format::Airflow, &request(), url);
        assert_eq!(keys(&run), keys_expected, "{url}");
        assert_eq!(run["logical_date"], Value::Null);
    }
}

#[test]
fn kubernetes_accepts_the_name_and_the_parameters_of_a_workflow() {
    let request = RetrainRequest {
        reason: "p99 = 3 {{workflow.name}}".into(),
        ..request()
    };
    let submit = body(&argo("retrain-fraud"), &request);
    assert_eq!(
        keys(&submit),
        ["resourceKind", "resourceName", "submitOptions"]
    );
    let name = submit["submitOptions"]["name"].as_str().unwrap();
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    assert!(name == RUN && name.len() <= 63 && name.chars().all(is_plain));
    let parameters = submit["submitOptions"]["parameters"].as_array().unwrap();
    for parameter in parameters {
        let (name, value) = parameter.as_str().unwrap().split_once('=').unwrap();
        assert!(!name.is_empty() && !value.contains("{{"), "{parameter}");
    }
    assert!(parameters.contains(&json!("reason=p99 = 3 { {workflow.name}}")));
}

#[test]
fn kubeflow_gets_a_pipeline_and_short_texts() {
    for request in huge_requests() {
        let run = body(&kubeflow(), &request);
        assert_eq!(run["display_name"], RUN);
        assert!(chars(&run["description"]) <= 255);
        let reference = json!({"pipeline_id": "p", "pipeline_version_id": "v"});
        assert_eq!(run["pipeline_version_reference"], reference);
        let parameters = &run["runtime_config"]["parameters"];
        assert_eq!(
            keys(parameters),
            ["model_id", "model_version", "request_id", "rule"]
        );
        assert!(
            parameters
                .as_object()
                .unwrap()
                .values()
                .all(Value::is_string)
        );
        assert!(run.get("experiment_id").is_none());
    }
}

#[test]
fn github_gets_at_most_ten_properties() {
    let (headers, dispatch) = write(&github(), &request(), "http://x");
    assert_eq!(keys(&dispatch), ["client_payload", "event_type"]);
    assert!(keys(&dispatch["client_payload"]).len() <= 10);
    assert_eq!(
        dispatch["client_payload"]["request"]["labels"]["team"],
        "risk"
    );
    assert!(headers.contains(&("accept".into(), "application/vnd.github+json".into())));
}

#[test]
fn attributes_of_events_are_printable_and_never_empty() {
    let odd = RetrainRequest {
        rule: "Rule\twith\u{7f} é %\"".into(),
        model_id: "a b/é?#".into(),
        ..request()
    };
    let event = body(&Format::CloudEvents, &odd);
    assert_eq!(event["subject"], "Rule with  é %\"");
    assert_eq!(event["source"], "/sidewatch/a%20b%2F%C3%A9%3F%23");
    let (headers, _) = write(&Format::CloudEventsBinary, &odd, "http://x");
    for (name, value) in headers.iter().filter(|(name, _)| name.starts_with("ce-")) {
        let attribute = name.strip_prefix("ce-").unwrap();
        assert!(attribute.len() <= 20 && attribute.chars().all(|c| c.is_ascii_lowercase()));
        assert!(
            value.chars().all(|c| c.is_ascii_graphic() && c != '"'),
            "{name}: {value}"
        );
        let decoded = percent_decoded(value);
        assert_eq!(event[attribute], decoded, "{name}");
    }
    let nameless = RetrainRequest {
        model_id: "\n".into(),
        ..request()
    };
    let event = body(&Format::CloudEvents, &nameless);
    assert!(event.get("partitionkey").is_none());
    assert_eq!(event["source"], "/sidewatch/");
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first == b'%' {
            let digits = std::str::from_utf8(&tail[..2]).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &tail[2..];
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn alertmanagers_webhook_has_every_field_of_version_4() {
    for request in huge_requests() {
        let hook = body(&Format::Alertmanager, &request);
        for key in [
            "version",
            "groupKey",
            "truncatedAlerts",
            "status",
            "receiver",
            "groupLabels",
            "commonLabels",
            "commonAnnotations",
            "externalURL",
            "alerts",
        ] {
            assert!(hook.get(key).is_some(), "{key}");
        }
        assert_eq!(hook["alerts"].as_array().unwrap().len(), 1);
    }
}

/// The path and query to which a webhook with this address posts.
async fn posted_to(format: Format, place: &str) -> String {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    let hook = Webhook {
        url: format!("{}{place}", server.uri()).into(),
        format,
        secret: None,
        headers: Vec::new(),
        timeout: Duration::from_secs(20),
        client: Arc::new(Client::new(Settings::default())),
    };
    hook.request(&request()).await.unwrap();
    let url = &server.received_requests().await.unwrap()[0].url;
    let query = url.query().map(|query| format!("?{query}"));
    format!("{}{}", url.path(), query.unwrap_or_default())
}

#[tokio::test]
async fn a_slash_after_the_path_of_a_pipeline_is_left_out_and_a_query_stays() {
    for (format, place, expected) in [
        (
            Format::Airflow,
            "/x/api/v2/dags/d/dagRuns/",
            "/x/api/v2/dags/d/dagRuns",
        ),
        (
            kubeflow(),
            "/pipeline/apis/v2beta1/runs/?a=/",
            "/pipeline/apis/v2beta1/runs?a=/",
        ),
        (
            github(),
            "/api/v3/repos/o/r/dispatches",
            "/api/v3/repos/o/r/dispatches",
        ),
        (
            argo("t"),
            "/argo/api/v1/workflows/ns/submit/",
            "/argo/api/v1/workflows/ns/submit",
        ),
        (
            argo(""),
            "/api/v1/events/ns/retrain/",
            "/api/v1/events/ns/retrain",
        ),
        (Format::CloudEvents, "/hook/", "/hook/"),
        (Format::Alertmanager, "/hook/?x=1", "/hook/?x=1"),
    ] {
        assert_eq!(posted_to(format, place).await, expected);
    }
}
