//! Who is told: Alertmanagers and webhooks.

use schemars::JsonSchema;

use super::http::Http;
use super::scalars::{Duration, Text, Url};
use super::settings::Record;

/// Where alerts go.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Alerting {
    /// Who owns the alerts; direct by default.
    mode: Option<Mode>,
    /// Every one gets every alert.
    alertmanagers: Option<Vec<Alertmanager>>,
    /// Before every Alertmanager's own.
    alert_relabel_configs: Option<Vec<Relabel>>,
    /// Most alerts that wait for one Alertmanager; 10000 by default.
    #[schemars(range(min = 1, max = 1_000_000))]
    queue_capacity: Option<u64>,
    /// Time before a firing alert is sent again; 1m by default.
    resend_delay: Option<Duration>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Mode {
    /// Sidewatch posts them to Alertmanager.
    Direct,
    /// Prometheus alerts on the metrics of Sidewatch; nothing is posted.
    Metrics,
}

/// One Alertmanager; the keys of http_config too.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Alertmanager {
    /// Base URL; /api/v2/alerts is appended.
    url: Url,
    /// Limit for one request; 10s by default.
    timeout: Option<Duration>,
    /// Every address of the URL's host name is an Alertmanager.
    discovery: Option<Discovery>,
    /// Its own relabelling.
    alert_relabel_configs: Option<Vec<Relabel>>,
    #[schemars(flatten)]
    http: Http,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Discovery {
    /// Which records; A and AAAA by default. With SRV the URL's host is the name of the service.
    r#type: Option<Record>,
    /// Address and port of a DNS server other than those of /etc/resolv.conf.
    server: Option<Text>,
    /// Time between look-ups, at least 1s.
    refresh: Option<Duration>,
}

/// One step of relabelling, as Prometheus has it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Relabel {
    source_labels: Option<Vec<Text>>,
    separator: Option<Text>,
    target_label: Option<Text>,
    /// Anchored.
    regex: Option<Text>,
    #[schemars(range(min = 0))]
    modulus: Option<u64>,
    replacement: Option<Text>,
    action: Option<Action>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Action {
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

/// Where retraining requests go.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Retraining {
    /// The one switch that stops every request; true by default.
    enabled: Option<bool>,
    /// Decide and record, but send nothing; false by default.
    dry_run: Option<bool>,
    /// How long a request counts as under way when nobody reports it done; the rule's cool-down by default.
    in_flight_timeout: Option<Duration>,
    webhooks: Option<Vec<Webhook>>,
}

/// One receiver of retraining requests; the keys of http_config too.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Webhook {
    url: Url,
    /// Unique; the URL without its password by default.
    name: Option<Text>,
    /// The shape of the body; cloudevents by default.
    format: Option<Format>,
    /// Of format kubeflow.
    pipeline_id: Option<Text>,
    /// Of format kubeflow.
    pipeline_version_id: Option<Text>,
    /// Of format kubeflow.
    experiment_id: Option<Text>,
    /// Of format github; retrain by default.
    event_type: Option<Text>,
    /// Of format argo.
    workflow_template: Option<Text>,
    /// Of format template: the body, relative to this file.
    template_file: Option<Text>,
    /// Of format template; application/json by default.
    content_type: Option<Text>,
    /// Signs the body.
    secret: Option<Text>,
    /// The same in a file, which is read for every request.
    secret_file: Option<Text>,
    /// Only requests whose labels match all of them.
    #[schemars(extend("examples" = [["severity=\"page\""]]))]
    matchers: Option<Vec<Text>>,
    /// How long a request is tried; 3d by default.
    expiry: Option<Duration>,
    /// Limit for one attempt; 10s by default.
    timeout: Option<Duration>,
    #[schemars(flatten)]
    http: Http,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Format {
    /// CloudEvents 1.0, structured: Knative, Argo Events, KafkaSink.
    #[schemars(rename = "cloudevents")]
    CloudEvents,
    /// CloudEvents 1.0, binary.
    #[schemars(rename = "cloudevents_binary")]
    CloudEventsBinary,
    /// A DAG run.
    Airflow,
    /// A run of a pipeline.
    Kubeflow,
    /// A repository_dispatch.
    Github,
    /// An Argo workflow.
    Argo,
    /// Alertmanager's webhook, version 4.
    Alertmanager,
    /// A file of yours.
    Template,
}
