//! The runtime configuration.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::http::Http;
use super::receivers::{Alerting, Retraining};
use super::scalars::{Duration, Labels, Size, Text, Url};
use super::source::{Backfill, Source};

/// The runtime configuration; every key has a default but the targets, or the source in their place.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Configuration {
    /// Intervals and labels for the whole process.
    global: Option<Global>,
    /// Which model is watched.
    model: Option<Model>,
    /// What is scraped, and within which limits.
    scrape: Scrape,
    /// History from which strategies and references start warm.
    backfill: Option<Backfill>,
    /// Rule files relative to this one, with * in the last part; names of packs; or auto, for the pack of whatever the target is.
    #[schemars(extend("examples" = [["rules/*.yaml", "vllm"], ["auto"]]))]
    rule_files: Option<Vec<Text>>,
    /// Where alerts go.
    alerting: Option<Alerting>,
    /// Where retraining requests go.
    retraining: Option<Retraining>,
    /// What is kept, and for how long.
    storage: Option<Storage>,
    /// What /probe may scrape, and by which rules it judges; it is off by default.
    probe: Option<Probe>,
}

/// What /probe may scrape, and by which rules it judges.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Probe {
    /// Targets beside those of scrape; no other can be probed.
    targets: Option<Vec<Target>>,
    /// Rules to judge by, under the name that a request gives.
    modules: BTreeMap<String, ProbeModule>,
}

/// A named choice of rules.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ProbeModule {
    /// Rule files relative to this one, with * in the last part, or names of packs.
    #[schemars(length(min = 1))]
    rules: Vec<Text>,
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
    /// How long alerts of a new replica or version stay pending, and how long those of one that is gone stay; 5m by default.
    rollout_grace: Option<Duration>,
    /// What a new version starts from; reset by default.
    baseline: Option<NewVersion>,
}

/// What a new version of the model starts from.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum NewVersion {
    /// It is learnt anew.
    Reset,
    /// What was learnt about the version before is taken as usual.
    Carry,
}

/// What is scraped, and within which limits; the keys of http_config too.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Scrape {
    /// One for a sidecar; several are replicas of one model. Needed without discovery.
    #[schemars(length(min = 1))]
    targets: Option<Vec<Target>>,
    /// Who evaluates the expressions, in the place of targets.
    source: Option<Source>,
    /// Replicas that are found by name; one target per address.
    discovery: Option<TargetDiscovery>,
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

/// Targets by name.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct TargetDiscovery {
    /// A name with the port of the metrics; without one for SRV.
    #[schemars(extend("examples" = ["fraud-headless.ml.svc:8000"]))]
    dns: Text,
    /// Which records; A and AAAA by default.
    r#type: Option<Record>,
    /// Address and port of a DNS server other than those of /etc/resolv.conf.
    server: Option<Text>,
    /// Longest time between look-ups, at least 1s; 30s by default.
    refresh: Option<Duration>,
    /// How the targets are reached; http by default.
    scheme: Option<Scheme>,
    /// Path of the metrics; /metrics by default.
    #[schemars(regex(pattern = "^/"))]
    path: Option<String>,
    /// Labels of every series; not instance, which is each replica's address.
    labels: Option<Labels>,
}

/// Which records a name is looked up by.
#[derive(JsonSchema)]
#[schemars(rename_all = "UPPERCASE")]
pub(super) enum Record {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Services with their ports.
    Srv,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
enum Scheme {
    Http,
    Https,
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
