//! The limits of the receivers' APIs, and how a request is shortened to meet them.
//!
//! | receiver | limit | source |
//! |---|---|---|
//! | Airflow | `dag_run_id`: 250 characters of `A-Z a-z 0-9 _ . ~ : + -`, no `..`, not `scheduled__…` | `dag_run.run_id` is `VARCHAR(250)`; `[scheduler] allowed_run_id_pattern` |
//! | Airflow | `note`: 1,000 characters | `dag_run_note.content` is `VARCHAR(1000)` |
//! | Airflow | `conf` is an object; version 3 refuses unknown keys and requires `logical_date` | `TriggerDAGRunPostBody` |
//! | Argo | name of a workflow: 63 characters, RFC 1123 | Argo writes it into a label of each pod |
//! | Argo | name of the template: 63 characters, RFC 1123 | label `workflows.argoproj.io/workflow-template` |
//! | Argo | parameters: texts `name=value`, without `{{…}}` in the value | `SubmitOpts.parameters`; variables are resolved in them |
//! | Kubeflow | `display_name`, `description`: 255 characters | text columns of `run_details` were `VARCHAR(255)` |
//! | Kubeflow | `pipeline_version_reference` with `pipeline_id`; only parameters that the pipeline declares | `CreateRun`: "parameter(s) provided are not required by pipeline" |
//! | GitHub | `event_type`: 1 to 100 characters | "Create a repository dispatch event" |
//! | GitHub | `client_payload`: 10 properties, less than 64 KB | the same |
//! | CloudEvents | attributes: not empty, no control characters | specification 1.0.2, "Type System" |
//! | CloudEvents | 64 KiB for an event that every intermediary forwards | specification 1.0.2, "Size Limits" |
//! | any | headers: 8 KiB a line | the default of common servers |
//! | any | bodies: 1 MiB | the default of nginx, `client_max_body_size` |

use std::borrow::Cow;

use super::RetrainRequest;
use crate::alert::Annotations;
use crate::metric::Labels;

/// Size limit of a body in bytes, below the 64 KB of GitHub and CloudEvents.
pub(super) const BODY_BYTES: usize = 60_000;
/// Size limit of a body from the user's template in bytes.
pub(super) const TEMPLATE_BYTES: usize = 1 << 20;
/// Longest note of an Airflow run.
pub(super) const AIRFLOW_NOTE_CHARS: usize = 1000;
/// Longest description of a Kubeflow run.
pub(super) const KUBEFLOW_DESCRIPTION_CHARS: usize = 255;
/// Longest attribute of a CloudEvent; its percent-encoded form stays below 8 KiB.
pub(super) const ATTRIBUTE_CHARS: usize = 256;
/// Lengths to which texts are shortened one after the other.
const TEXT_CHARS: [usize; 4] = [4096, 1024, 256, 64];

/// At most `max` characters of a text, with `…` where it was cut.
pub(super) fn shortened(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max || text.chars().count() <= max {
        return Cow::Borrowed(text);
    }
    let kept: String = text.chars().take(max.saturating_sub(1)).collect();
    Cow::Owned(kept + "…")
}

/// Ever shorter copies of a request; the last one has no labels and no annotations.
pub(super) fn shorter(request: &RetrainRequest) -> impl Iterator<Item = RetrainRequest> {
    let copies = TEXT_CHARS.into_iter().map(|max| with_texts(request, max));
    copies.chain(std::iter::once_with(|| RetrainRequest {
        labels: Labels::empty(),
        annotations: Annotations::default(),
        ..with_texts(request, 64)
    }))
}

/// A copy whose texts have at most `max` characters. A link is left out rather than cut.
fn with_texts(request: &RetrainRequest, max: usize) -> RetrainRequest {
    let text = |text: &str| shortened(text, max).into_owned();
    let values =
        |labels: &Labels| Labels::new(labels.iter().map(|(name, value)| (name, text(value))));
    let link = Some(&request.generator_url).filter(|link| link.len() <= max);
    RetrainRequest {
        model_id: text(&request.model_id),
        model_version: text(&request.model_version),
        rule: text(&request.rule),
        reason: text(&request.reason),
        labels: values(&request.labels),
        annotations: Annotations::new(
            request
                .annotations
                .iter()
                .map(|(name, value)| (name, text(value))),
        ),
        generator_url: link.cloned().unwrap_or_default(),
        ..request.clone()
    }
}
