//! The runtime configuration.

use schemars::JsonSchema;

use super::http::Http;
use super::receivers::{Alerting, Retraining};
use super::scalars::{Duration, Labels, Size, Text, Url};

/// The runtime configuration; every key has a default but the targets.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Configuration {
    /// Intervals and labels for the whole process.
    global: Option<Global>,
    /// Which model is watched.
    model: Option<Model>,
    /// What is scraped, and within which limits.
    scrape: Scrape,
    /// Rule files relative to this one, with * in the last part; names of packs; or auto, for the pack of whatever the target is.
    #[schemars(extend("examples" = [["rules/*.yaml", "vllm"], ["auto"]]))]
    rule_files: Option<Vec<Text>>,
    /// Where alerts go.
    alerting: Option<Alerting>,
    /// Where retraining requests go.
    retraining: Option<Retraining>,
    /// What is kept, and for how long.
    storage: Option<Storage>,
}

/// Intervals and labels for the whole process.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Global {
    /// Time between scrapes, at least 100ms; 15s by default.
    scrape_interval: Option<Duration>,
    /// A scrape that takes longer fails; at most the interval, 5s by default.
    scrape_timeout: Option<Duration>,
    /// Added to alerts that lack them.
    external_labels: Option<Labels>,
    /// Where users reach Sidewatch, for links in alerts.
    external_url: Option<Text>,
}

/// Labels on all that is exported and sent.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Model {
    /// The label model_id; default by default.
    id: Option<Text>,
    /// The label model_version.
    version: Option<Text>,
}

/// What is scraped, and within which limits; the keys of http_config too.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Scrape {
    /// One for a sidecar; several are replicas of one model.
    #[schemars(length(min = 1))]
    targets: Vec<Target>,
    /// Whether labels of the exposition win over those of the target; false by default.
    honor_labels: Option<bool>,
    /// Whether timestamps in the exposition are used; true by default.
    honor_timestamps: Option<bool>,
    /// Largest body after decompression; 64MiB by default.
    body_size_limit: Option<Size>,
    /// Most samples in one scrape; 0 for no limit.
    #[schemars(range(min = 0))]
    sample_limit: Option<u64>,
    /// Most labels on one series; 0 for no limit.
    #[schemars(range(min = 0))]
    label_limit: Option<u64>,
    /// Longest label name in bytes; 0 for no limit.
    #[schemars(range(min = 0))]
    label_name_length_limit: Option<u64>,
    /// Longest label value in bytes; 0 for no limit.
    #[schemars(range(min = 0))]
    label_value_length_limit: Option<u64>,
    /// Most series kept in the window; 100000 by default.
    #[schemars(range(min = 0))]
    series_limit: Option<u64>,
    /// Assumed when the target names no usable content type.
    fallback_scrape_protocol: Option<Protocol>,
    #[schemars(flatten)]
    http: Http,
}

/// A syntax of expositions.
#[derive(JsonSchema)]
enum Protocol {
    #[schemars(rename = "PrometheusText0.0.4")]
    Text004,
    #[schemars(rename = "PrometheusText1.0.0")]
    Text100,
    #[schemars(rename = "OpenMetricsText0.0.1")]
    OpenMetrics001,
    #[schemars(rename = "OpenMetricsText1.0.0")]
    OpenMetrics100,
}

/// One /metrics.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Target {
    url: Url,
    /// Attached to each of its series; job and instance have defaults.
    labels: Option<Labels>,
}

/// What is kept, and for how long.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Storage {
    /// Folder for state that survives a restart; everything is in memory without it.
    path: Option<Text>,
    /// Longest range that a rule may look back over; 1h by default.
    retention: Option<Duration>,
}
