//! The request formats of common retraining receivers.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::metric::Labels;

use super::super::Error;
use super::{BodyTemplate, RetrainRequest};

/// The format of a webhook request.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum Format {
    /// CloudEvents 1.0, structured mode: Knative, Argo Events, KafkaSink.
    #[default]
    CloudEvents,
    /// CloudEvents 1.0, binary mode: the attributes are headers.
    CloudEventsBinary,
    /// Airflow's `POST /api/v2/dags/{dag}/dagRuns` (and `/api/v1/`).
    Airflow,
    /// Kubeflow Pipelines' `POST /apis/v2beta1/runs`.
    Kubeflow {
        /// The pipeline to run.
        pipeline_id: String,
        /// Its version; the newest when empty.
        pipeline_version_id: String,
        /// The experiment to run it in; the default one when empty.
        experiment_id: String,
    },
    /// GitHub's `POST /repos/{owner}/{repo}/dispatches`.
    Github {
        /// The `event_type` that triggers the workflows.
        event_type: String,
    },
    /// Argo Workflows: `POST /api/v1/workflows/{namespace}/submit` of a template, or
    /// `/api/v1/events/…` without one.
    Argo {
        /// The `WorkflowTemplate` to submit; empty for an event.
        template: String,
    },
    /// Alertmanager's webhook, version 4.
    Alertmanager,
    /// The user's template.
    Template(BodyTemplate),
}

/// Headers and body of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Names and values, including `Content-Type`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// The `type` attribute of a CloudEvent.
const EVENT_TYPE: &str = "dev.sidewatch.retraining.requested";

impl Format {
    /// The message for a request to `url`.
    ///
    /// # Errors
    /// When a template cannot be rendered.
    pub fn message(&self, request: &RetrainRequest, url: &str) -> Result<Message, Error> {
        let plain = |body: Value| with_type("application/json", &body);
        Ok(match self {
            Self::CloudEvents => with_type("application/cloudevents+json", &cloud_event(request)),
            Self::CloudEventsBinary => binary_cloud_event(request),
            Self::Airflow => plain(airflow(request, url)),
            Self::Kubeflow {
                pipeline_id,
                pipeline_version_id,
                experiment_id,
            } => plain(kubeflow(
                request,
                pipeline_id,
                pipeline_version_id,
                experiment_id,
            )),
            Self::Github { event_type } => {
                let mut message = plain(github(request, event_type));
                message
                    .headers
                    .push(header("accept", "application/vnd.github+json"));
                message
            }
            Self::Argo { template } if template.is_empty() => plain(data(request)),
            Self::Argo { template } => plain(argo(request, template)),
            Self::Alertmanager => plain(alertmanager(request)),
            Self::Template(template) => template.message(&data(request))?,
        })
    }

    /// The name of the run that the receiver creates for the request, if the format gives it one. A
    /// second run of that name is a conflict.
    pub(super) fn run_name(&self, request: &RetrainRequest) -> Option<String> {
        let names_its_run = match self {
            Self::Airflow => true,
            Self::Argo { template } => !template.is_empty(),
            Self::CloudEvents
            | Self::CloudEventsBinary
            | Self::Kubeflow { .. }
            | Self::Github { .. }
            | Self::Alertmanager
            | Self::Template(_) => false,
        };
        names_its_run.then(|| run_name(request))
    }

    /// The address that describes a run, where an answer may not name the run it conflicts with:
    /// Airflow 3 hides it unless `[api] expose_stacktrace` is set.
    pub(super) fn run_url(&self, url: &str, run: &str) -> Option<String> {
        if *self != Self::Airflow {
            return None;
        }
        let end = url.find(['?', '#']).unwrap_or(url.len());
        let (path, rest) = url.split_at_checked(end)?;
        Some(format!("{}/{run}{rest}", path.trim_end_matches('/')))
    }
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn with_type(content_type: &str, body: &Value) -> Message {
    Message {
        headers: vec![header("content-type", content_type)],
        body: body.to_string().into(),
    }
}

/// The request as JSON: the data of an event and the context of a template.
fn data(request: &RetrainRequest) -> Value {
    json!({
        "id": request.id,
        "model_id": request.model_id,
        "model_version": request.model_version,
        "rule": request.rule,
        "reason": request.reason,
        "value": request.value,
        "score": request.score,
        "expected": request.expected,
        "labels": request.labels,
        "annotations": request.annotations,
        "active_at": request.active_at.to_string(),
        "fired_at": request.fired_at.to_string(),
        "requested_at": request.requested_at.to_string(),
        "generator_url": request.generator_url,
    })
}

/// A name of at most 63 characters, the same for every retry: `retrain-` and the start of the id.
fn run_name(request: &RetrainRequest) -> String {
    format!("retrain-{}", request.id.get(..32).unwrap_or(&request.id))
}

/// The `source` attribute of a CloudEvent: one per model.
fn source(request: &RetrainRequest) -> String {
    format!("/sidewatch/{}", encoded(&request.model_id))
}

fn encoded(text: &str) -> String {
    crate::alert::template::query_escape(text).replace('+', "%20")
}

/// <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>
fn cloud_event(request: &RetrainRequest) -> Value {
    let mut event = Map::new();
    for (name, value) in attributes(request) {
        event.insert(name.to_owned(), Value::String(value));
    }
    event.insert("datacontenttype".to_owned(), json!("application/json"));
    event.insert("data".to_owned(), data(request));
    Value::Object(event)
}

fn attributes(request: &RetrainRequest) -> Vec<(&'static str, String)> {
    let mut attributes = vec![
        ("specversion", "1.0".to_owned()),
        ("id", request.id.clone()),
        ("source", source(request)),
        ("type", EVENT_TYPE.to_owned()),
        ("subject", request.rule.clone()),
        ("time", request.requested_at.to_string()),
    ];
    if !request.model_id.is_empty() {
        attributes.push(("partitionkey", request.model_id.clone()));
    }
    attributes
}

/// <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>,
/// section 3.1
fn binary_cloud_event(request: &RetrainRequest) -> Message {
    let mut message = with_type("application/json", &data(request));
    for (name, value) in attributes(request) {
        message
            .headers
            .push((format!("ce-{name}"), header_value(&value)));
    }
    message
}

/// Percent-encodes as section 3.1.3.2 of the binding requires: space, `"`, `%` and everything
/// beyond printable ASCII.
fn header_value(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_graphic() && byte != b'"' && byte != b'%' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

fn airflow(request: &RetrainRequest, url: &str) -> Value {
    let mut body = json!({
        "dag_run_id": run_name(request),
        "conf": data(request),
        "note": request.reason,
    });
    // Airflow 3 requires the key even without a date; Airflow 2 fills it in when it is missing.
    if !url.contains("/api/v1/") {
        body["logical_date"] = Value::Null;
    }
    body
}

fn kubeflow(request: &RetrainRequest, pipeline: &str, version: &str, experiment: &str) -> Value {
    let mut reference = json!({ "pipeline_id": pipeline });
    if !version.is_empty() {
        reference["pipeline_version_id"] = json!(version);
    }
    let mut body = json!({
        "display_name": run_name(request),
        "description": request.reason,
        "pipeline_version_reference": reference,
        "runtime_config": { "parameters": {
            "model_id": request.model_id,
            "model_version": request.model_version,
            "rule": request.rule,
            "request_id": request.id,
        }},
    });
    if !experiment.is_empty() {
        body["experiment_id"] = json!(experiment);
    }
    body
}

/// `client_payload` may have at most ten properties, so the whole request is one of them.
fn github(request: &RetrainRequest, event_type: &str) -> Value {
    json!({
        "event_type": event_type,
        "client_payload": {
            "id": request.id,
            "model_id": request.model_id,
            "model_version": request.model_version,
            "rule": request.rule,
            "reason": request.reason,
            "request": data(request),
        },
    })
}

fn argo(request: &RetrainRequest, template: &str) -> Value {
    let parameter = |name: &str, value: &str| format!("{name}={value}");
    json!({
        "resourceKind": "WorkflowTemplate",
        "resourceName": template,
        "submitOptions": {
            "name": run_name(request),
            "parameters": [
                parameter("model_id", &request.model_id),
                parameter("model_version", &request.model_version),
                parameter("rule", &request.rule),
                parameter("request_id", &request.id),
                parameter("reason", &request.reason),
            ],
        },
    })
}

/// Alertmanager's body, with the request under the additional key `sidewatch`.
fn alertmanager(request: &RetrainRequest) -> Value {
    let group = Labels::new([("alertname", request.rule.as_str())]);
    json!({
        "version": "4",
        "groupKey": format!("{{}}:{group}"),
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "retraining",
        "groupLabels": group,
        "commonLabels": request.labels,
        "commonAnnotations": request.annotations,
        "externalURL": request.generator_url.split(['?', '#']).next().unwrap_or(""),
        "alerts": [{
            "status": "firing",
            "labels": request.labels,
            "annotations": request.annotations,
            "startsAt": request.fired_at.to_string(),
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": request.generator_url,
            "fingerprint": format!("{:016x}", request.labels.fingerprint()),
        }],
        "sidewatch": data(request),
    })
}
