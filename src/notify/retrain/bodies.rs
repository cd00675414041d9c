//! The JSON bodies of the formats.

use serde_json::{Value, json};

use super::RetrainRequest;
use super::limits::{self, shortened};
use crate::metric::Labels;
use sidewatch_engine::retrain::{RequestEvidence, Taint};

/// The request as JSON: the data of an event and the context of a template.
pub(super) fn data(request: &RetrainRequest) -> Value {
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
        "evidence": request.evidence.as_ref().map(evidence),
    })
}

/// What a request rests on; times as in the request, durations in seconds.
fn evidence(evidence: &RequestEvidence) -> Value {
    let taint = |taint: &Taint| {
        json!({
            "from": taint.from.to_string(),
            "to": taint.to.to_string(),
            "cause": taint.cause.as_str(),
            "target": taint.target,
        })
    };
    json!({
        "observations": evidence.observations,
        "window_seconds": evidence.window.as_secs(),
        "from": evidence.from.to_string(),
        "to": evidence.to.to_string(),
        "taints": evidence.taints.iter().map(taint).collect::<Vec<_>>(),
    })
}

/// A name of at most 63 characters, the same for every retry: `retrain-` and the start of the id.
/// Kubernetes accepts it as a name and as the value of a label, and Airflow as the id of a run.
pub(super) fn run_name(request: &RetrainRequest) -> String {
    let id: String = request
        .id
        .chars()
        .take(32)
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let name = format!("retrain-{id}");
    name.trim_end_matches('-').to_owned()
}

/// A run of a DAG, for a URL without query.
pub(super) fn airflow(request: &RetrainRequest, url: &str) -> Value {
    let mut body = json!({
        "dag_run_id": run_name(request),
        "conf": data(request),
        "note": shortened(&request.reason, limits::AIRFLOW_NOTE_CHARS),
    });
    // Airflow 3 requires the key even without a date; Airflow 2 fills it in when it is missing. A
    // proxy may serve the API below a path that names a version of its own.
    let version_2 = url.rfind("/api/v1/dags/") > url.rfind("/api/v2/dags/");
    if !version_2 {
        body["logical_date"] = Value::Null;
    }
    body
}

/// A run of a pipeline, which must declare all four parameters.
pub(super) fn kubeflow(
    request: &RetrainRequest,
    pipeline: &str,
    version: &str,
    experiment: &str,
) -> Value {
    let mut reference = json!({ "pipeline_id": pipeline });
    if !version.is_empty() {
        reference["pipeline_version_id"] = json!(version);
    }
    let mut body = json!({
        "display_name": run_name(request),
        "description": shortened(&request.reason, limits::KUBEFLOW_DESCRIPTION_CHARS),
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
pub(super) fn github(request: &RetrainRequest, event_type: &str) -> Value {
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

/// A workflow of a template. Argo resolves `{{…}}` in the values of parameters, and refuses what it
/// does not know.
pub(super) fn argo(request: &RetrainRequest, template: &str) -> Value {
    let parameter = |name: &str, value: &str| format!("{name}={}", value.replace("{{", "{ {"));
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
pub(super) fn alertmanager(request: &RetrainRequest) -> Value {
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
