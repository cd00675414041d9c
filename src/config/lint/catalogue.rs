//! The table of every lint: its name, what it finds, why that matters, an example and the remedy.
//!
//! `docs/reference/lints.md` and the help of `sidewatch check` are generated from the table, and a
//! test checks that each example is reported.

use std::fmt;

use Example::{Configuration, ConfiguredGroups, Groups, Rules};

/// A piece of YAML that a lint reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Example {
    /// The rules of a group.
    Rules(&'static str),
    /// A rule file.
    Groups(&'static str),
    /// A configuration file; its rules, if it needs some.
    Configuration(&'static str, &'static str),
    /// A configuration file and its rule file.
    ConfiguredGroups(&'static str, &'static str),
}

/// Everything that the documentation says about a lint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Description {
    /// Its stable name.
    pub name: &'static str,
    /// One sentence: what it finds.
    pub finds: &'static str,
    /// Why that is probably not intended.
    pub why: &'static str,
    /// What to write instead.
    pub remedy: &'static str,
    /// A piece of YAML that it reports.
    pub example: Example,
}

macro_rules! lints {
    ($($variant:ident $name:literal {
        finds: $finds:literal, why: $why:literal, remedy: $remedy:literal, example: $example:expr,
    })*) => {
        /// A kind of mistake that is valid but probably not intended.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub(crate) enum Lint { $(#[doc = $finds] $variant),* }

        impl Lint {
            /// Every lint, in the order of the documentation.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];

            /// What the documentation says about it.
            #[must_use]
            pub(crate) const fn description(self) -> &'static Description {
                match self {
                    $(Self::$variant => &Description {
                        name: $name, finds: $finds, why: $why, remedy: $remedy, example: $example,
                    },)*
                }
            }
        }
    };
}

impl Lint {
    /// Its stable name.
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        self.description().name
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

lints! {
    NoSummary "no-summary" {
        finds: "An `alert` or `watch` has no annotation `summary`.",
        why: "The notification has a name and labels, but no sentence that says what is wrong.",
        remedy: "Add a `summary` of one sentence.",
        example: Rules("- alert: TargetDown
  expr: up == 0
"),
    }
    ValueInLabel "value-in-label" {
        finds: "A label of an alert contains `$value`.",
        why: "Labels identify an alert. A label that changes with the value makes a new alert at every evaluation.",
        remedy: "Put the value into an annotation.",
        example: Rules("- alert: QueueLong
  expr: queue_length > 100
  labels: {length: '{{ $value }}'}
  annotations: {summary: the queue is long}
"),
    }
    LabelNotThere "label-not-there" {
        finds: "A template shows a label that the expression has aggregated away.",
        why: "The label is empty in every notification.",
        remedy: "Keep the label with `by`, or leave it out of the template.",
        example: Rules("- alert: QueueLong
  expr: sum by (model_name) (queue_length) > 100
  annotations: {summary: 'the queue of {{ $labels.pod }} is long'}
"),
    }
    ShortFor "short-for" {
        finds: "`for` is shorter than the time between two evaluations.",
        why: "The alert fires at the second evaluation, exactly as with one whole interval.",
        remedy: "Write the interval or more, or leave `for` out.",
        example: Rules("- alert: TargetDown
  expr: up == 0
  for: 5s
  annotations: {summary: the target is down}
"),
    }
    ShortKeepFiring "short-keep-firing" {
        finds: "`keep_firing_for` is shorter than the time between two evaluations.",
        why: "It is over before the next evaluation, so it bridges no gap.",
        remedy: "Write the interval or more, or leave it out.",
        example: Rules("- alert: TargetDown
  expr: up == 0
  keep_firing_for: 5s
  annotations: {summary: the target is down}
"),
    }
    NeedlessAdaptAfter "needless-adapt-after" {
        finds: "`adapt_after` of a `watch` whose bounds are fixed.",
        why: "Only a learned level is replaced by a new one. The alert of a fixed bound lasts as long as the bound is exceeded.",
        remedy: "Leave it out, or use a strategy that learns.",
        example: Rules("- watch: AccuracyLow
  expr: accuracy
  strategy: {type: static, bound: 0.9}
  adapt_after: 1h
  annotations: {summary: the accuracy is low}
"),
    }
    LongWarmUp "long-warm-up" {
        finds: "A strategy warms up for more than a day.",
        why: "`warm_up` counts values, one for each evaluation. Until then nothing is judged.",
        remedy: "Write fewer values.",
        example: Rules("- watch: LatencyUnusual
  expr: latency_mean_ms
  strategy: {type: ewma, warm_up: 10000}
  annotations: {summary: the latency is unusual}
"),
    }
    WrongSide "wrong-side" {
        finds: "`direction` is the good side of the metric: above for an accuracy, below for a latency or a drift.",
        why: "The alert fires when the model gets better and is silent when it gets worse.",
        remedy: "Leave `direction` out to watch the bad side, or write `both`.",
        example: Rules("- watch: AccuracyUnusual
  expr: accuracy
  metric: accuracy
  direction: above
  strategy: {type: ewma}
  annotations: {summary: the accuracy is unusual}
"),
    }
    BoundOutOfRange "bound-out-of-range" {
        finds: "A bound of `static` lies where the metric never is, or always is.",
        why: "The alert never fires, or always does. An accuracy is a share from 0 to 1; latencies and drifts are not negative.",
        remedy: "Write the bound in the unit of the metric, such as 0.9 for 90 %.",
        example: Rules("- watch: AccuracyLow
  expr: accuracy
  metric: accuracy
  strategy: {type: static, bound: 90}
  annotations: {summary: the accuracy is low}
"),
    }
    DuplicateRules "duplicate-rules" {
        finds: "Two rules have the same kind, name and labels.",
        why: "Their series and alerts cannot be told apart.",
        remedy: "Rename one of them, or give it a label.",
        example: Rules("- record: queue_length_now
  expr: sum(queue_length)
- record: queue_length_now
  expr: max(queue_length)
"),
    }
    UnwatchedMetric "unwatched-metric" {
        finds: "A latency, an accuracy or a drift is recorded, but no rule uses it.",
        why: "The value is shown and never judged.",
        remedy: "Add a `watch`, or write `metric: custom` if it is only to be shown.",
        example: Rules("- record: latency_mean_ms
  metric: inference_latency_ms
  expr: mean_latency_milliseconds
"),
    }
    FilteredWatch "filtered-watch" {
        finds: "The expression of a `watch` is a comparison that filters.",
        why: "It has a value only while something is wrong, so the strategy never learns what is normal.",
        remedy: "Give the watch the value itself, and put the limit into the strategy.",
        example: Rules("- watch: QueueLong
  expr: queue_length > 100
  strategy: {type: ewma}
  annotations: {summary: the queue is long}
"),
    }
    NeverMatches "never-matches" {
        finds: "A selector cannot match: its matchers exclude each other, or ask for a label value that no target has.",
        why: "The rule never has a value.",
        remedy: "Correct the matchers.",
        example: Rules("- alert: TargetDown
  expr: up{job=\"vllm\", job!=\"vllm\"} == 0
  annotations: {summary: the target is down}
"),
    }
    UnknownMetric "unknown-metric" {
        finds: "No rule records the metric and the target does not expose it. Checked with `--target` or `--snapshots` only.",
        why: "The name is probably misspelt, and the rule never has a value.",
        remedy: "Correct the name. A counter that appears with its first event needs an alternative: `… or vector(0)`. A ratio is remarked on if none of the counters of a side is there.",
        example: Rules("- alert: QueueLong
  expr: queue_lenght > 100
  annotations: {summary: the queue is long}
"),
    }
    RateOfGauge "rate-of-gauge" {
        finds: "`rate`, `increase` or `irate` of a gauge.",
        why: "These functions take every decrease for a restart of the server, so their result is meaningless.",
        remedy: "Use `deriv`, `delta` or `avg_over_time`.",
        example: Rules("- alert: MemoryGrows
  expr: rate(memory_used_bytes[5m]) > 0
  annotations: {summary: the memory grows}
"),
    }
    CounterWithoutRate "counter-without-rate" {
        finds: "The value of a counter is used, not its rate.",
        why: "The value is a total since the server started: it only grows, and it falls to 0 at a restart.",
        remedy: "Use `rate` or `increase`.",
        example: Rules("- alert: ManyTimeouts
  expr: timeouts_total > 5
  annotations: {summary: there are many timeouts}
"),
    }
    ShortRange "short-range" {
        finds: "The range of a function that needs two samples is shorter than two scrape intervals.",
        why: "The range often holds a single sample, so the function has no value.",
        remedy: "Write two scrape intervals or more; four leave room for a failed scrape.",
        example: Rules("- alert: ManyTimeouts
  expr: rate(timeouts_total[15s]) > 5
  annotations: {summary: there are many timeouts}
"),
    }
    QuantileWithoutLe "quantile-without-le" {
        finds: "`histogram_quantile` of buckets that were aggregated over `le`.",
        why: "Without the bounds of the buckets there is no quantile.",
        remedy: "Keep the label: `sum by (le, …)`.",
        example: Rules("- alert: LatencySlow
  expr: histogram_quantile(0.9, sum(rate(latency_seconds_bucket[5m]))) > 1
  annotations: {summary: the latency is slow}
"),
    }
    LatencyUnit "latency-unit" {
        finds: "An expression with `metric: inference_latency_ms` is in seconds, microseconds or nanoseconds.",
        why: "The value is shown and compared as milliseconds.",
        remedy: "Multiply or divide it.",
        example: Rules("- watch: LatencySlow
  expr: rate(latency_seconds_sum[1m]) / rate(latency_seconds_count[1m])
  metric: inference_latency_ms
  strategy: {type: static, bound: 250}
  annotations: {summary: the latency is slow}
"),
    }
    ErrorsWithoutZero "errors-without-zero" {
        finds: "A counter of failures stands in a ratio without an alternative.",
        why: "The counter appears with the first failure. Until then the ratio has no value, where it should be 0.",
        remedy: "Write `(errors or 0 * requests) / requests`.",
        example: Rules("- watch: ErrorsUnusual
  expr: sum(rate(errors_total[5m])) / sum(rate(requests_total[5m]))
  strategy: {type: ewma}
  annotations: {summary: the share of errors is unusual}
"),
    }
    TooLongScrapeInterval "too-long-scrape-interval" {
        finds: "`global.scrape_interval` is 5m or more.",
        why: "A selector looks back 5m, so every value disappears between two scrapes.",
        remedy: "Write 2m or less.",
        example: Configuration("global: {scrape_interval: 10m}
scrape: {targets: [{url: \"http://127.0.0.1:8000/metrics\"}]}
", "- alert: TargetDown
  expr: up == 0
  annotations: {summary: the target is down}
"),
    }
    UnevenInterval "uneven-interval" {
        finds: "The `interval` of a group is shorter than the scrape interval, or no multiple of it. Checked with a configuration file only.",
        why: "Rules are evaluated after a scrape, so the group runs every whole number of scrape intervals: less often than written.",
        remedy: "Write a multiple of `global.scrape_interval`.",
        example: ConfiguredGroups("global: {scrape_interval: 15s}
scrape: {targets: [{url: \"http://127.0.0.1:8000/metrics\"}]}
", "groups:
- name: model
  interval: 20s
  rules:
  - alert: TargetDown
    expr: up == 0
    annotations: {summary: the target is down}
"),
    }
    KeyWithoutEffect "key-without-effect" {
        finds: "A group has a key of Prometheus, Mimir or vmalert that means nothing here, such as `query_offset`.",
        why: "The rules are evaluated as if it were not there.",
        remedy: "Leave the key out, unless the file is also for another program.",
        example: Groups("groups:
- name: model
  query_offset: 1m
  rules:
  - alert: TargetDown
    expr: up == 0
    annotations: {summary: the target is down}
"),
    }
    BeyondRetention "beyond-retention" {
        finds: "A rule looks back over more than `storage.retention`.",
        why: "The window does not keep samples that long, so the rule is loaded but not evaluated: its state is `unsupported`.",
        remedy: "Raise `storage.retention`, shorten the range, or evaluate the rule at a server with `scrape.source`.",
        example: Rules("- alert: ErrorsOfTheDay
  expr: increase(errors_total[1d]) > 100
  annotations: {summary: more than 100 errors in a day}
"),
    }
    SlowRecord "slow-record" {
        finds: "A rule reads a record of a group that runs every 5m or less often, and itself runs more often.",
        why: "A selector looks back 5m. The record disappears between two evaluations of its group: an alert resolves and fires again, a watch has no value.",
        remedy: "Shorten the interval of the record's group to 2m or less, or read the record with `last_over_time(…[10m])`.",
        example: Groups("groups:
- name: slow
  interval: 10m
  rules:
  - record: requests_of_the_hour
    expr: sum(increase(requests_total[1h]))
- name: fast
  rules:
  - alert: FewRequests
    expr: requests_of_the_hour < 10
    annotations: {summary: there are few requests}
"),
    }
    NoRules "no-rules" {
        finds: "The configuration names no rule file, or its files have no rules.",
        why: "Nothing is watched.",
        remedy: "Name a rule file or a pack under `rule_files`.",
        example: Configuration("scrape: {targets: [{url: \"http://127.0.0.1:8000/metrics\"}]}
rule_files: []
", ""),
    }
    RetrainWithoutWebhook "retrain-without-webhook" {
        finds: "A `watch` has `retrain`, but the configuration has no webhook.",
        why: "No retraining is ever requested.",
        remedy: "Add an entry to `retraining.webhooks`.",
        example: Configuration("scrape: {targets: [{url: \"http://127.0.0.1:8000/metrics\"}]}
storage: {path: /var/lib/sidewatch}
", "- watch: AccuracyUnusual
  expr: accuracy
  strategy: {type: ewma}
  annotations: {summary: the accuracy is unusual}
  retrain: {}
"),
    }
    RetrainWithoutStorage "retrain-without-storage" {
        finds: "A `watch` has `retrain`, but the configuration has no `storage.path`.",
        why: "Cool-downs and undelivered requests are lost at a restart, and each start may request retraining again.",
        remedy: "Set `storage.path`, or start with `--storage.path`.",
        example: Configuration("scrape: {targets: [{url: \"http://127.0.0.1:8000/metrics\"}]}
retraining: {webhooks: [{url: \"http://127.0.0.1:12000/retrain\"}]}
", "- watch: AccuracyUnusual
  expr: accuracy
  strategy: {type: ewma}
  annotations: {summary: the accuracy is unusual}
  retrain: {}
"),
    }
    WebhookWithoutRetrain "webhook-without-retrain" {
        finds: "The configuration has a webhook for retraining, but no `watch` has `retrain`.",
        why: "No retraining is ever requested. The packs have their `retrain` blocks as comments.",
        remedy: "Add `retrain` to a watch about accuracy or drift.",
        example: Configuration("scrape: {targets: [{url: \"http://127.0.0.1:8000/metrics\"}]}
storage: {path: /var/lib/sidewatch}
retraining: {webhooks: [{url: \"http://127.0.0.1:12000/retrain\"}]}
", "- watch: AccuracyUnusual
  expr: accuracy
  strategy: {type: ewma}
  annotations: {summary: the accuracy is unusual}
"),
    }
    RetrainOnLatency "retrain-on-latency" {
        finds: "A `watch` with `retrain` judges a latency, a queue or a share of failed requests.",
        why: "These say something about the server. A new model does not mend them.",
        remedy: "Request retraining for accuracy, estimated accuracy or drift.",
        example: Rules("- watch: LatencyUnusual
  expr: 1000 * rate(latency_seconds_sum[1m]) / rate(latency_seconds_count[1m])
  metric: inference_latency_ms
  strategy: {type: ewma}
  annotations: {summary: the latency is unusual}
  retrain: {}
"),
    }
    RetrainWithoutVerify "retrain-without-verify" {
        finds: "A `watch` with `retrain` compares no new version with the one before: `verify` is off, or, checked with a configuration file, neither the watched series nor `model.version` names a version.",
        why: "Requests go on when retraining does not help, and nobody is told.",
        remedy: "Keep the label `model_version` with `by`, set `model.version`, and leave `verify` on.",
        example: Rules("- watch: AccuracyUnusual
  expr: accuracy
  strategy: {type: ewma}
  annotations: {summary: the accuracy is unusual}
  retrain: {verify: {at_most: 0}}
"),
    }
    UnexpandedVariable "unexpanded-variable" {
        finds: "A value of the configuration is `$NAME` or contains `$(NAME)`.",
        why: "Only `${NAME}` is replaced by the environment variable. Every pod would have the same text as its label.",
        remedy: "Write `${NAME}`, or `$$` for a dollar sign.",
        example: Configuration("global: {external_labels: {replica: $POD_NAME}}
scrape: {targets: [{url: \"http://127.0.0.1:8000/metrics\"}]}
", "- alert: TargetDown
  expr: up == 0
  annotations: {summary: the target is down}
"),
    }
}
