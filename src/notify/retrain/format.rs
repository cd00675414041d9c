//! The request formats of common retraining receivers.

use serde_json::Value;

use super::super::Error;
use super::message::Message;
use super::{BodyTemplate, RequestKind, RetrainRequest, bodies, cloud_event, limits};

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

/// A URL up to the end of its path, and its query and fragment.
fn path_of(url: &str) -> (&str, &str) {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    url.split_at_checked(end).unwrap_or((url, ""))
}

impl Format {
    /// The message for a request to `url`. Its texts are shortened until the receiver accepts its
    /// size, and until a template can be rendered, which limits the length of texts.
    ///
    /// # Errors
    /// When a template cannot be rendered.
    pub fn message(&self, request: &RetrainRequest, url: &str) -> Result<Message, Error> {
        let limit = if matches!(self, Self::Template(_)) {
            limits::TEMPLATE_BYTES
        } else {
            limits::BODY_BYTES
        };
        let mut message = self.write(request, url);
        for shorter in limits::shorter(request) {
            if matches!(&message, Ok(message) if message.body.len() <= limit) {
                break;
            }
            message = self.write(&shorter, url);
        }
        message
    }

    fn write(&self, request: &RetrainRequest, url: &str) -> Result<Message, Error> {
        let plain = |body: Value| Message::new("application/json", &body);
        Ok(match self {
            Self::CloudEvents => cloud_event::structured(request),
            Self::CloudEventsBinary => cloud_event::binary(request),
            Self::Airflow => plain(bodies::airflow(request, path_of(url).0)),
            Self::Kubeflow {
                pipeline_id,
                pipeline_version_id,
                experiment_id,
            } => plain(bodies::kubeflow(
                request,
                pipeline_id,
                pipeline_version_id,
                experiment_id,
            )),
            Self::Github { event_type } => {
                let mut message = plain(bodies::github(request, event_type));
                message.header("accept", "application/vnd.github+json");
                message
            }
            Self::Argo { template } if template.is_empty() => plain(bodies::data(request)),
            Self::Argo { template } => plain(bodies::argo(request, template)),
            Self::Alertmanager => plain(bodies::alertmanager(request)),
            Self::Template(template) => template.message(&bodies::data(request))?,
        })
    }

    /// Whether its receivers can tell a request of this kind from others: the type of an event says
    /// it, and a pipeline would train.
    pub(crate) fn takes(&self, kind: RequestKind) -> bool {
        kind == RequestKind::Retrain || matches!(self, Self::CloudEvents | Self::CloudEventsBinary)
    }

    /// The address to post to. The APIs of pipelines do not know their path with a slash at the end.
    #[must_use]
    pub(super) fn target(&self, url: &str) -> String {
        match self {
            Self::Airflow | Self::Kubeflow { .. } | Self::Github { .. } | Self::Argo { .. } => {
                let (path, rest) = path_of(url);
                format!("{}{rest}", path.trim_end_matches('/'))
            }
            Self::CloudEvents
            | Self::CloudEventsBinary
            | Self::Alertmanager
            | Self::Template(_) => url.to_owned(),
        }
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
        names_its_run.then(|| bodies::run_name(request))
    }

    /// The address that describes a run, where an answer may not name the run it conflicts with:
    /// Airflow 3 hides it unless `[api] expose_stacktrace` is set.
    pub(super) fn run_url(&self, url: &str, run: &str) -> Option<String> {
        if *self != Self::Airflow {
            return None;
        }
        let (path, rest) = path_of(url);
        Some(format!("{}/{run}{rest}", path.trim_end_matches('/')))
    }
}
