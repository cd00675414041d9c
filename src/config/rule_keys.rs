//! The sections of a rule file: every key, with its default.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::estimate_keys::EstimateKeys;
use super::rule_shapes::{
    Anything, CounterSelector, CounterSelectors, DriftWindow, Expression, LabelTemplates, ListKind,
    ManifestKind, ManifestVersion, NoTexts, NoTime, RecordName, RuleLabels, RuleName, Share,
    Templates, VmalertType,
};
use crate::alert::{NoData, Template};
use crate::describe::{Choice, Keys, Kind, Limits, Node, Shape, section};
use crate::judge::StrategyConfig;
use crate::map::drift::{DriftParams, Season, Statistic};
use crate::metric::{Direction, Metric, nearest};
use crate::notify::retrain::{Policy, Verify};
use crate::promql::Expr;
use crate::rules::DEFAULT_ADAPT_AFTER;

/// A rule file: groups, alone or in a manifest.
pub(crate) const RULE_FILE: Kind = Kind::Choice(Choice {
    name: "RuleFile",
    doc: "Groups of rules, as Prometheus writes them, or a PrometheusRule manifest with the same groups below `spec`, or a list of manifests.",
    tag: "",
    sections: || {
        vec![
            ("groups", GroupsKeys::description()),
            ("manifest", ManifestKeys::description()),
            ("list", ListKeys::description()),
        ]
    },
});

section! {
    /// A rule file as Prometheus has it.
    #[derive(Debug, Clone)]
    pub(super) struct GroupsKeys {
        /// Groups of rules.
        pub(super) groups: Vec<Option<GroupKeys>> = Vec::new();
    }
}

section! {
    /// A PrometheusRule manifest of the Prometheus operator.
    #[derive(Debug, Clone)]
    pub(super) struct ManifestKeys {
        required {
            /// The version of the manifest.
            _version @ "apiVersion": () as ManifestVersion;
            /// The kind of the manifest.
            _kind @ "kind": () as ManifestKind;
        }
        /// Name and labels in the cluster; not looked at.
        _metadata @ "metadata": () as Anything = ();
        /// The schema for an editor; not looked at.
        _schema @ "$schema": () as Anything = ();
        /// The groups.
        pub(super) spec: GroupsKeys = GroupsKeys::default(), must_be_set();
        /// Written by the cluster; not looked at.
        _status @ "status": () as Anything = ();
    }
}

section! {
    /// A list of manifests, as `kubectl get prometheusrules -o yaml` prints it.
    #[derive(Debug, Clone)]
    pub(super) struct ListKeys {
        required {
            /// The kind of the list.
            _kind @ "kind": () as ListKind;
        }
        /// The version of the list; not looked at.
        _version @ "apiVersion": () as Anything = ();
        /// Written by the cluster; not looked at.
        _metadata @ "metadata": () as Anything = ();
        /// Manifests. Those of another kind are skipped.
        _items @ "items": () as Anything = ();
    }
}

/// Keys of a group that other evaluators of rules know and that have no effect here, each with the
/// reason.
pub(in crate::config) const WITHOUT_EFFECT: [(&str, &str); 11] = [
    ("query_offset", ON_SCRAPE),
    ("evaluation_delay", ON_SCRAPE),
    ("eval_delay", ON_SCRAPE),
    ("eval_offset", EVERY_INTERVAL),
    ("eval_alignment", EVERY_INTERVAL),
    ("align_evaluation_time_on_interval", EVERY_INTERVAL),
    ("concurrency", "rules are evaluated one after the other"),
    ("source_tenants", ONE_WINDOW),
    ("tenant", ONE_WINDOW),
    ("params", "no request is made for an evaluation"),
    ("debug", "every evaluation is on the status page"),
];
const ON_SCRAPE: &str =
    "rules are evaluated on the scrape that just ended, so no sample arrives late";
const EVERY_INTERVAL: &str = "a group runs every interval from the first scrape on";
const ONE_WINDOW: &str = "rules read the targets of this process, which has no tenants";

section! {
    /// Rules that are evaluated together, in order, so that a rule sees what the rules before it
    /// recorded.
    #[derive(Debug, Clone)]
    pub(super) struct GroupKeys {
        /// Unique within the file.
        pub(super) name: String as RuleName = String::new(), must_be_set();
        /// Time between evaluations.
        pub(super) interval: Option<Duration> = None, default_text("the scrape interval");
        /// Has no effect: rules are evaluated on the scrape that just ended.
        _query_offset @ "query_offset": Duration = Duration::ZERO;
        /// Most alerts of one rule that are pending or firing at once; 0 for no limit.
        pub(super) limit: usize = 0;
        /// Added to every rule of the group that does not have them. An empty value removes the label.
        pub(super) labels: Vec<(String, String)> as RuleLabels = Vec::new();
        /// For Thanos; not looked at.
        _partial_response_strategy @ "partial_response_strategy": () as Anything = ();
        /// For Mimir; has no effect.
        _source_tenants @ "source_tenants": () as Anything = ();
        /// For Mimir; has no effect.
        _evaluation_delay @ "evaluation_delay": () as Anything = ();
        /// For Mimir; has no effect.
        _aligned @ "align_evaluation_time_on_interval": () as Anything = ();
        /// For vmalert: the only kind of group that is read.
        _type @ "type": () as VmalertType = ();
        /// For vmalert; has no effect.
        _concurrency @ "concurrency": () as Anything = ();
        /// For vmalert; has no effect.
        _eval_offset @ "eval_offset": () as Anything = ();
        /// For vmalert; has no effect.
        _eval_delay @ "eval_delay": () as Anything = ();
        /// For vmalert; has no effect.
        _eval_alignment @ "eval_alignment": () as Anything = ();
        /// For vmalert; has no effect.
        _params @ "params": () as Anything = ();
        /// For vmalert; has no effect.
        _tenant @ "tenant": () as Anything = ();
        /// For vmalert; has no effect.
        _debug @ "debug": () as Anything = ();
        /// The rules.
        pub(super) rules: Vec<Option<RuleKeys>> = Vec::new();
    }
}

/// A rule as written: the first key says which kind it is.
#[derive(Debug, Clone)]
pub(super) enum RuleKeys {
    Record(Box<RecordKeys>),
    Alert(AlertKeys),
    Watch(Box<WatchKeys>),
}

impl Shape for RuleKeys {
    type Value = Self;

    fn kind() -> Kind {
        Kind::Choice(Choice {
            name: "Rule",
            doc: "A rule is one of `record`, `alert` and `watch`.",
            tag: "",
            sections: || {
                vec![
                    ("record", RecordKeys::description()),
                    ("alert", AlertKeys::description()),
                    ("watch", WatchKeys::description()),
                ]
            },
        })
    }

    fn read(node: &Node<'_>, limits: &Limits) -> Option<Self> {
        node.entries()?;
        let kinds = ["record", "alert", "watch"];
        let kinds = kinds.into_iter().filter(|kind| node.peek(kind).is_some());
        match kinds.collect::<Vec<_>>().as_slice() {
            ["record"] => {
                RecordKeys::read(node, limits).map(|record| Self::Record(Box::new(record)))
            }
            ["alert"] if node.peek("strategy").is_some() => {
                let remedy = "belongs to a watch; write watch: in the place of alert:";
                node.problem_below("strategy", remedy);
                None
            }
            ["alert"] => AlertKeys::read(node, limits).map(Self::Alert),
            ["watch"] => WatchKeys::read(node, limits).map(|watch| Self::Watch(Box::new(watch))),
            [] => {
                let entries = node.entries()?;
                let meant = entries.iter().find_map(|(key, _)| {
                    Some((*key, nearest(key, ["record", "alert", "watch"], 2)?))
                });
                node.problem(match meant {
                    Some((key, kind)) => {
                        format!("one of record, alert or watch is missing; did you mean {kind} by {key}?")
                    }
                    None => "one of record, alert or watch is missing".to_owned(),
                });
                None
            }
            several => {
                node.problem(format!(
                    "must be one of record, alert or watch, not {}",
                    several.join(" and ")
                ));
                None
            }
        }
    }
}

section! {
    /// Gives a PromQL value, the drift of a distribution, or a counted ratio a name.
    #[check(check_source)]
    #[schema(json!({"oneOf": [{"required": ["expr"]}, {"required": ["drift"]}, {"required": ["ratio"]}, {"required": ["estimate"]}]}))]
    #[derive(Debug, Clone)]
    pub(super) struct RecordKeys {
        required {
            /// The name, for later rules and in the metrics of Sidewatch.
            pub(super) record: String as RecordName, example("model:latency:p99");
        }
        /// What the value is about; makes it a signal, and says its unit and its bad side.
        pub(super) metric: Option<Metric> = None;
        /// Which side is bad.
        pub(super) direction: Option<Direction> = None, default_text("that of `metric`");
        /// The value. One of `expr`, `drift`, `ratio` and `estimate` must be there.
        pub(super) expr: Option<Expr> as Option<Expression> = None,
            example("sum by (model_name) (rate(request_errors_total[1m]))");
        /// How far a distribution is from a reference, in the place of `expr`.
        pub(super) drift: Option<DriftKeys> = None;
        /// The number of observations behind each value of `expr`, found by its labels.
        pub(super) samples: Option<Expr> as Option<Expression> = None,
            default_text("derived from `expr`, where its form shows it"),
            example("sum by (model_name) (increase(requests_total[1m]))");
        /// The share of observations that is good or bad, counted, in the place of `expr`.
        pub(super) ratio: Option<RatioKeys> = None;
        /// How right a model is expected to be, from its scores, in the place of `expr`. The series have
        /// the label `estimated="true"`.
        pub(super) estimate: Option<EstimateKeys> = None;
        /// A healthy target may lack the series: `sidewatch_mapping_missing` stays 0 for this record and
        /// for the rules that read no other series.
        pub(super) optional: bool = false;
        /// Set on every recorded series; an empty value removes the label.
        pub(super) labels: Vec<(String, String)> as RuleLabels = Vec::new();
        /// For alerts; programs that copy rules write it as 0.
        _hold @ "for": () as NoTime = ();
        /// For alerts; programs that copy rules write it as 0.
        _keep_firing_for @ "keep_firing_for": () as NoTime = ();
        /// For alerts; programs that copy rules write it empty.
        _annotations @ "annotations": () as NoTexts = ();
    }
}

/// Checks that a record has exactly one source.
fn check_source(_record: &mut RecordKeys, node: &Node<'_>) {
    if node.has("samples") && !node.has("expr") {
        node.problem_below("samples", "has an effect with expr only");
    }
    let sources = ["expr", "drift", "ratio", "estimate"];
    let written: Vec<&str> = sources.into_iter().filter(|key| node.has(key)).collect();
    match written.as_slice() {
        [] => node.problem("expr is missing"),
        [_] => {}
        [first, others @ ..] => {
            for other in others {
                let message = format!("stands in the place of {first}; keep one of them");
                node.problem_below(other, message);
            }
        }
    }
}

section! {
    /// Fires while its expression returns something, as in Prometheus.
    #[derive(Debug, Clone)]
    pub(super) struct AlertKeys {
        required {
            /// The label `alertname`.
            pub(super) alert: String as RuleName, example("ServerDown");
            /// The condition.
            pub(super) expr: Expr as Expression, example("up == 0");
        }
        /// How long the condition must hold before the alert fires.
        pub(super) hold @ "for": Duration = Duration::ZERO;
        /// How long the alert goes on after the condition ended.
        pub(super) keep_firing_for: Duration = Duration::ZERO;
        /// Set on the labels of the series; values are templates. An empty value removes the label.
        pub(super) labels: Vec<(String, Template)> as LabelTemplates = Vec::new();
        /// Texts for people; values are templates.
        pub(super) annotations: Vec<(String, Template)> as Templates = Vec::new();
    }
}

section! {
    /// Fires while its strategy finds the value anomalous.
    #[check(check_no_data)]
    #[derive(Debug, Clone)]
    pub(super) struct WatchKeys {
        required {
            /// The label `alertname`.
            pub(super) watch: String as RuleName, example("AccuracyDropped");
            /// The value that is judged; not a comparison.
            pub(super) expr: Expr as Expression, example("accuracy");
            /// What is normal.
            pub(super) strategy: StrategyConfig, example("{type: static, bound: 0.9}");
        }
        /// The number of observations behind each value, found by its labels.
        pub(super) samples: Option<Expr> as Option<Expression> = None,
            default_text("that of the record, or derived from `expr`, where its form shows it"),
            example("sum by (model_name) (increase(requests_total[1m]))");
        /// What the value is about.
        pub(super) metric: Option<Metric> = None,
            default_text("that of the record when `expr` is the name of one, else `custom`");
        /// Which side is bad.
        pub(super) direction: Option<Direction> = None, default_text("that of `metric`");
        /// How long the value must be anomalous before the alert fires.
        pub(super) hold @ "for": Duration = Duration::ZERO;
        /// How long the alert goes on after the value is normal.
        pub(super) keep_firing_for: Duration = Duration::ZERO;
        /// How long an alert lasts until a steady new level is accepted as normal and the alert ends
        /// with that reason; 0 for never. It concerns strategies that learn what is normal.
        pub(super) adapt_after: Duration = DEFAULT_ADAPT_AFTER;
        /// What missing data means.
        pub(super) no_data: NoData = NoData::Keep;
        /// With `no_data: keep`: how long a target that answers must have stopped exporting the
        /// series until the alert resolves; 0 for never.
        pub(super) no_data_resolve: Duration = Duration::from_secs(3600);
        /// Which observations must come; the alert `SidewatchObservationsMissing` says when they do not.
        pub(super) expect: Option<ExpectKeys> = None;
        /// Set on the labels of the series; values are templates. An empty value removes the label.
        pub(super) labels: Vec<(String, Template)> as LabelTemplates = Vec::new();
        /// Texts for people; values are templates.
        pub(super) annotations: Vec<(String, Template)> as Templates = Vec::new();
        /// Asks for a new model when the watch fires.
        pub(super) retrain: Option<RetrainKeys> = None;
    }
}

/// Refuses `no_data_resolve` where it has no effect.
fn check_no_data(watch: &mut WatchKeys, node: &Node<'_>) {
    if node.has("no_data_resolve") && watch.no_data != NoData::Keep {
        node.problem_below("no_data_resolve", "has an effect with no_data: keep only");
    }
}

section! {
    /// Which observations of a watch's series must come.
    #[derive(Debug, Clone)]
    pub(super) struct ExpectKeys {
        required {
            /// Longest time between two new observations of a series: until a counter behind its value
            /// increases, or the value changes if there is none.
            pub(super) every: Duration, above(0.0), example("26h");
        }
    }
}

section! {
    /// When a firing watch asks for a new model.
    #[derive(Debug, Clone)]
    pub(super) struct RetrainKeys {
        /// At most one request in this time.
        pub(super) cooldown: Duration = Policy::default().cooldown;
        /// How many of the last evaluations must be anomalous.
        pub(super) after: (u32, u32) as Share = (1, 1), example("3/5");
        /// No request while this returns something, nor on values that cover such a time.
        pub(super) unless: Option<Expr> as Option<Expression> = None, example("up == 0");
        /// How the next version of the model is compared with the one before.
        pub(super) verify: VerifyKeys = VerifyKeys::default();
        /// Sends the CloudEvent `dev.sidewatch.rollback.requested` when the next version is worse than
        /// the one before.
        pub(super) rollback: bool = false;
    }
}

section! {
    /// How the next version of a model is compared with the one before, where the watched series or
    /// `model.version` name versions.
    #[derive(Debug, Clone)]
    pub(super) struct VerifyKeys {
        /// After so many versions in a row that are no better, retraining is requested no more; 0 for
        /// no comparison.
        pub(super) at_most: u32 = Verify::default().at_most;
        /// How long a request waits for a new version before it may be repeated.
        pub(super) within: Duration = Verify::default().within;
        /// Longest time that a new version is compared.
        pub(super) compared_for @ "for": Duration = Verify::default().compared_for;
    }
}

section! {
    /// How far a distribution is from a reference: either of the buckets of a `histogram`, or of a
    /// `counter` whose categories are told apart by a `label`.
    #[schema(json!({"oneOf": [{"required": ["histogram"]}, {"required": ["counter", "label"]}]}))]
    #[derive(Debug, Clone)]
    pub(super) struct DriftKeys {
        required {
            /// What the distribution is compared with.
            pub(super) reference: ReferenceKeys, example("{learn: 24h}");
        }
        /// A selector of cumulative buckets.
        pub(super) histogram: Option<Expr> as Option<CounterSelector> = None,
            example("prediction_score_bucket");
        /// A selector of counters, one for each category.
        pub(super) counter: Option<Expr> as Option<CounterSelector> = None,
            example("predictions_total");
        /// The label of `counter` that tells the categories apart.
        pub(super) label: Option<String> = None, example("predicted_class");
        /// The labels that stay: there is one distribution for each of their values.
        pub(super) by: Vec<String> = Vec::new(), example("[model_name]");
        /// How much of the past is compared: at least two evaluations, at most 31d. With
        /// `{at_least: 500, at_most: 1d}`, the newest part of that time, a sixtieth or more, that holds
        /// so many observations.
        pub(super) window: DriftWindow =
            DriftWindow { time: Duration::from_secs(30 * 60), at_least: None };
        /// The distance.
        pub(super) statistic: Statistic = DriftParams::default().statistic;
        /// Fewest samples in the window for a judgement.
        pub(super) min_samples: u64 = DriftParams::default().min_samples, at_least(1.0);
        /// The share of windows without a change that may exceed the critical value; with several
        /// distributions, the share of false ones among those that exceed it.
        pub(super) alpha: f64 = DriftParams::default().alpha,
            within(0.001, 0.5), hint("the share of windows without a change that may exceed the critical value");
        /// The least share of observations that must have moved, whatever the statistic.
        pub(super) min_effect: f64 = DriftParams::default().min_effect, within(0.0, 1.0);
    }
}

section! {
    /// The share of observations that is good or bad: of two counts, or of the observations of a
    /// `histogram` above a bound.
    #[schema(json!({"oneOf": [
        {"required": ["good", "total"]},
        {"required": ["bad", "total"]},
        {"required": ["histogram", "above"]},
        {"required": ["histogram", "usual"]},
    ]}))]
    #[derive(Debug, Clone)]
    pub(super) struct RatioKeys {
        /// Counters of good observations. One that is not there yet counts as 0.
        pub(super) good: Option<Vec<Expr>> as Option<CounterSelectors> = None,
            example("predictions_correct_total");
        /// Counters of bad observations, in the place of `good`.
        pub(super) bad: Option<Vec<Expr>> as Option<CounterSelectors> = None,
            example("requests_failed_total");
        /// Counters of all observations.
        pub(super) total: Option<Vec<Expr>> as Option<CounterSelectors> = None,
            example("requests_total");
        /// A selector of cumulative buckets, in the place of two counts: the ratio is the share of
        /// observations above a bucket bound.
        pub(super) histogram: Option<Expr> as Option<CounterSelector> = None,
            example("request_duration_seconds_bucket");
        /// The bound, in the unit of the histogram, moved up to the next bucket bound.
        pub(super) above: Option<f64> = None, example("5");
        /// In the place of `above`: the bucket bound nearest this quantile of the first hour.
        pub(super) usual: Option<f64> = None, between(0.0, 1.0), example("0.9");
        /// The labels that stay: there is one ratio for each of their values.
        pub(super) by: Vec<String> = Vec::new(), example("[model_name]");
        /// How much of the past the recorded value covers, two evaluations at least and 31d at most.
        /// The strategy `ratio` does not depend on it.
        pub(super) window: Duration = Duration::from_secs(10 * 60);
        /// Series that show that the target counts what is good or bad. Until one of them is there, the
        /// ratio is unknown instead of 0.
        pub(super) requires: Option<Vec<Expr>> as Option<CounterSelectors> = None,
            example("requests_failed_total");
        /// How late the observations are counted; for the texts of alerts.
        pub(super) label_delay: Option<Duration> = None, above(0.0), example("24h");
    }
}

section! {
    /// What a distribution is compared with: one of `file`, `learn` and `buckets`.
    #[schema(json!({"oneOf": [{"required": ["file"]}, {"required": ["learn"]}, {"required": ["buckets"]}]}))]
    pub(super) struct ReferenceKeys {
        /// A file that `sidewatch baseline` has recorded, relative to the rule file.
        pub(super) file: Option<String> = None, example("baselines/scores.yaml");
        /// Learned from the first samples, over this duration.
        pub(super) learn: Option<Duration> = None, above(0.0), example("24h");
        /// With `learn`: whether a window is compared with the same time of other days, which takes two
        /// days to learn, or of other weeks, which takes two weeks. Times are in UTC.
        pub(super) season: Season = Season::None;
        /// With `learn`: the reference moves on, and holds the windows of this time that were not
        /// beyond the limit; `learn` at least.
        pub(super) rolling: Option<Duration> = None, above(0.0), example("28d");
        /// Counts by upper bound, not cumulative, or by category.
        pub(super) buckets: Option<BTreeMap<String, f64>> = None, example("{\"0.5\": 120, \"+Inf\": 4}");
    }
}
