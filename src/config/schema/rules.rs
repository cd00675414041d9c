//! Rule files.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::scalars::{Duration, Expression, Labels, Share, Text, Texts};
use super::strategy::{Direction, Strategy};

/// Groups of rules, alone or as a PrometheusRule manifest.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum RuleFile {
    Groups(Groups),
    Manifest(Box<Manifest>),
}

/// A rule file as Prometheus has it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Groups {
    /// Groups of rules; a group is evaluated in order, so that a rule sees what the rules before it recorded.
    groups: Vec<Group>,
}

/// A PrometheusRule of the Prometheus operator.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Manifest {
    #[schemars(rename = "apiVersion")]
    api_version: ApiVersion,
    kind: ManifestKind,
    /// Name and labels in the cluster; not looked at.
    metadata: Option<serde_json::Value>,
    spec: Groups,
    /// Written by the cluster; not looked at.
    status: Option<serde_json::Value>,
}

#[derive(JsonSchema)]
enum ApiVersion {
    #[schemars(rename = "monitoring.coreos.com/v1")]
    V1,
}

#[derive(JsonSchema)]
enum ManifestKind {
    PrometheusRule,
}

/// Rules that are evaluated together.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Group {
    /// Unique within the file.
    name: Text,
    /// Time between evaluations; the scrape interval by default.
    interval: Option<Duration>,
    /// Only 0s: rules are evaluated on the scrape that just ended.
    query_offset: Option<Duration>,
    /// Most alerts of one rule that are pending or firing at once; 0 is no limit.
    #[schemars(range(min = 0))]
    limit: Option<u64>,
    /// Added to every rule of the group that does not have them.
    labels: Option<Labels>,
    /// Thanos'; not looked at.
    partial_response_strategy: Option<Text>,
    rules: Option<Vec<Rule>>,
}

/// One of record, alert and watch.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Rule {
    Record(Record),
    Alert(Alert),
    Watch(Box<Watch>),
}

/// What a value is about.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Metric {
    /// Time to answer, in milliseconds; above is bad.
    InferenceLatencyMs,
    /// Share of right predictions, 0 to 1; below is bad.
    Accuracy,
    /// Distance from a reference distribution; above is bad.
    PredictionDrift,
    /// Anything else; above is bad.
    Custom,
}

/// Gives a PromQL value, or the drift of a distribution, a name.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("oneOf" = [{"required": ["expr"]}, {"required": ["drift"]}]))]
struct Record {
    /// The name, for later rules and in the metrics of Sidewatch.
    #[schemars(example = &"model:latency:p99", extend("pattern" = "^[^{}]+$"))]
    record: String,
    /// Makes the value a signal, and says its unit and its bad side.
    metric: Option<Metric>,
    /// The bad side, when it is not the metric's own.
    direction: Option<Direction>,
    /// The value.
    expr: Option<Expression>,
    /// In the place of expr: how far a distribution is from a reference.
    drift: Option<Drift>,
    /// Added to every recorded series.
    labels: Option<Labels>,
}

/// How far a distribution is from a reference.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("oneOf" = [{"required": ["histogram"]}, {"required": ["counter", "label"]}]))]
struct Drift {
    /// A selector of cumulative buckets.
    #[schemars(example = &"prediction_score_bucket")]
    histogram: Option<Expression>,
    /// A selector of counters of categories, told apart by label.
    #[schemars(example = &"predictions_total")]
    counter: Option<Expression>,
    /// The label of counter that tells the categories apart.
    #[schemars(example = &"predicted_class")]
    label: Option<Text>,
    /// The labels that stay: one distribution each.
    by: Option<Vec<Text>>,
    /// How much of the past is compared, two evaluations to 31d; 30m by default.
    window: Option<Duration>,
    /// What it is compared with.
    reference: Reference,
    /// The distance; jensen_shannon by default.
    statistic: Option<Statistic>,
    /// Fewest samples in the window for a judgement.
    #[schemars(range(min = 1))]
    min_samples: Option<u64>,
    /// Share of windows without a change that may exceed the critical value; 0.01 by default.
    #[schemars(range(min = 0.001, max = 0.5))]
    alpha: Option<f64>,
}

/// What a distribution is compared with: one of the three.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, extend("minProperties" = 1, "maxProperties" = 1))]
struct Reference {
    /// What sidewatch baseline has recorded, relative to the rule file.
    #[schemars(example = &"baselines/scores.yaml")]
    file: Option<Text>,
    /// Learnt from this much of the first samples.
    learn: Option<Duration>,
    /// Counts by upper bound, not cumulative, or by category.
    buckets: Option<BTreeMap<String, f64>>,
}

/// A distance of two distributions.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Statistic {
    JensenShannon,
    JensenShannonDistance,
    Psi,
    Hellinger,
    KolmogorovSmirnov,
    Wasserstein,
    TotalVariation,
}

/// Fires while its expression returns something, as in Prometheus.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Alert {
    /// The label alertname.
    #[schemars(length(min = 1), example = &"ServerDown")]
    alert: String,
    /// The condition.
    expr: Expression,
    /// How long the condition must hold before the alert fires.
    r#for: Option<Duration>,
    /// How long the alert goes on after the condition ended.
    keep_firing_for: Option<Duration>,
    /// Added to the series' own; templates.
    labels: Option<Labels>,
    /// Texts for people; templates.
    annotations: Option<Texts>,
}

/// What missing data means.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum NoData {
    /// The alert stays as it is.
    Keep,
    /// Missing data is a reason to alert.
    Alert,
    /// Missing data is healthy, as in Prometheus.
    Ok,
}

/// Fires while its strategy finds the value anomalous.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Watch {
    /// The label alertname.
    #[schemars(length(min = 1), example = &"AccuracyDropped")]
    watch: String,
    /// The value that is judged; not a comparison.
    expr: Expression,
    /// What the value is about; that of the record, when expr is the name of one.
    metric: Option<Metric>,
    /// The bad side, when it is not the metric's own.
    direction: Option<Direction>,
    /// What is normal.
    strategy: Strategy,
    /// How long the value must be anomalous before the alert fires.
    r#for: Option<Duration>,
    /// How long the alert goes on after the value is normal.
    keep_firing_for: Option<Duration>,
    /// What missing data means; keep by default.
    no_data: Option<NoData>,
    /// Added to the series' own; templates.
    labels: Option<Labels>,
    /// Texts for people; templates.
    annotations: Option<Texts>,
    /// Asks for a new model when the watch fires.
    retrain: Option<Retrain>,
}

/// When a firing watch asks for a new model.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Retrain {
    /// At most one request in this time; 6h by default.
    cooldown: Option<Duration>,
    /// How many of the last evaluations must be anomalous; 1/1 by default.
    after: Option<Share>,
    /// No request while this returns something.
    unless: Option<Expression>,
}
