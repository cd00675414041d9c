use std::path::Path;

use super::{Example, Lint, LintContext, Lints, remarks};
use crate::config::exposed::Exposed;
use crate::config::{Config, RuleReader, Source, read_settings};
use crate::judge::Registry;
use crate::metric::Timestamp;
use crate::scrape::Exposition;

fn config(text: &str) -> Config {
    let registry = Registry::built_in();
    let groups = RuleReader::new(&registry).read("r.yaml", text).unwrap();
    let mut config = Config::assemble(Default::default(), Path::new(""), &registry).unwrap();
    config.rules.groups = groups;
    config.sources = vec![Source {
        file: "r.yaml".to_owned(),
        text: text.to_owned(),
        is_settings: false,
    }];
    config
}

fn said(context: &LintContext<'_>) -> Vec<String> {
    let all = remarks(context, &Lints::default());
    all.iter()
        .map(|remark| {
            let place = &remark.problem;
            format!("{} {} {}", place.line, place.path, remark.lint)
        })
        .collect()
}

fn alone(config: &Config) -> Vec<String> {
    said(&LintContext {
        config,
        has_settings: false,
        exposed: None,
    })
}

/// Remarks on the expression of an alert.
fn on_expr(expr: &str) -> Vec<String> {
    let text = format!(
        "groups:\n- name: g\n  rules:\n  - alert: A\n    annotations: {{summary: s}}\n    expr: |-\n      {expr}\n"
    );
    let prefix = "6 groups[0].rules[0].expr ";
    alone(&config(&text))
        .iter()
        .map(|said| said.strip_prefix(prefix).unwrap().to_owned())
        .collect()
}

/// Remarks on a watch of these keys on `x`.
fn on_watch(keys: &str) -> Vec<String> {
    let text = format!(
        "groups:\n- name: g\n  rules:\n  - {{watch: W, annotations: {{summary: s}}, {keys}}}\n"
    );
    alone(&config(&text))
}

#[test]
fn matchers_that_exclude_each_other_never_match() {
    for expr in [
        r#"x{a="1", a="2"}"#,
        r#"x{a="1", a!="1"}"#,
        r#"x{a=~"b|c", a!~"b.*|c"}"#,
        r#"x{a="", a=~".+"}"#,
    ] {
        assert_eq!(on_expr(expr), ["never-matches"], "{expr}");
    }
    for expr in [
        r#"x{a="1", b="2"}"#,
        r#"x{a=~"1|2", a!="1"}"#,
        r#"x{a=~"1.*", a!~"12"}"#,
        r#"x{a!="1", a!="2"}"#,
    ] {
        assert!(on_expr(expr).is_empty(), "{expr}");
    }
}

#[test]
fn a_rate_needs_a_counter_and_a_counter_a_rate() {
    for expr in [
        "rate(memory_bytes[5m])",
        "increase(up[5m])",
        "irate(requests_in_progress[5m])",
    ] {
        assert_eq!(on_expr(expr), ["rate-of-gauge"], "{expr}");
    }
    for expr in [
        "x_total",
        "sum(x_total) > 5",
        "x_total / y_count",
        "avg_over_time(x_total[5m])",
        "deriv(x_total[5m])",
        "histogram_quantile(0.9, x_bucket)",
    ] {
        assert_eq!(on_expr(expr), ["counter-without-rate"], "{expr}");
    }
    for expr in [
        "rate(x_total[5m])",
        "increase(x[5m])",
        "absent(x_total)",
        "count(x_total)",
        "y and x_total",
        "y or 0 * x_total",
        "max_over_time(rate(x_total[1m])[5m:1m])",
        "resets(x_total[5m])",
        "node_mem_total",
        "rate(nv_inference_request_success[1m])",
    ] {
        assert!(on_expr(expr).is_empty(), "{expr}");
    }
}

#[test]
fn a_rate_needs_two_scrapes() {
    assert_eq!(on_expr("rate(x[15s])"), ["short-range"]);
    assert_eq!(on_expr("delta(x[29s])"), ["short-range"]);
    assert!(on_expr("rate(x[30s])").is_empty());
    assert!(on_expr("avg_over_time(x[15s])").is_empty());
}

#[test]
fn a_quantile_needs_the_bounds() {
    for expr in [
        "histogram_quantile(0.9, sum by (model) (rate(x_bucket[5m])))",
        "histogram_quantile(0.9, sum(rate(x_bucket[5m])))",
        "histogram_quantile(0.9, (sum without (le) (rate(x_bucket[5m]))))",
        "histogram_quantile(0.9, sum by (a) (rate(x_bucket[5m])) or sum by (le) (rate(y_bucket[5m])))",
        "histogram_quantile(0.9, max by (a) (y) * on (a) group_right (b) sum by (a) (rate(x_bucket[5m])))",
    ] {
        assert_eq!(on_expr(expr), ["quantile-without-le"], "{expr}");
    }
    for expr in [
        "histogram_quantile(0.9, rate(x_bucket[5m]))",
        "histogram_quantile(0.9, sum by (le, model) (rate(x_bucket[5m])))",
        "histogram_quantile(0.9, sum without (pod) (rate(x_bucket[5m])))",
        "histogram_quantile(0.9, sum by (a, le) (rate(x_bucket[5m])) * on (a) group_left (b) max by (a, b) (y))",
        "histogram_quantile(0.9, max by (a) (y) * on (a) group_right (b) sum by (a, le) (rate(x_bucket[5m])))",
        "histogram_quantile(0.9, sum by (a, le) (rate(x_bucket[5m])) and on (a) sum by (a) (y))",
    ] {
        assert!(on_expr(expr).is_empty(), "{expr}");
    }
}

#[test]
fn a_bound_is_on_the_bad_side_and_within_reach() {
    let path = "4 groups[0].rules[0]";
    for (keys, said) in [
        (
            "expr: x, metric: accuracy, direction: above, strategy: {type: static, bound: 0.9}",
            "direction wrong-side",
        ),
        (
            "expr: x, metric: accuracy, strategy: {type: any_of, strategies: [{type: static, bound: 0.9, direction: above}]}",
            "strategy.strategies[0].direction wrong-side",
        ),
        (
            "expr: x, metric: inference_latency_ms, direction: below, strategy: {type: ewma}",
            "direction wrong-side",
        ),
        (
            "expr: x, metric: accuracy, strategy: {type: static, bound: 90}",
            "strategy.bound bound-out-of-range",
        ),
        (
            "expr: x, metric: accuracy, strategy: {type: static, bound: 0}",
            "strategy.bound bound-out-of-range",
        ),
        (
            "expr: x, metric: inference_latency_ms, strategy: {type: static, bound: -1}",
            "strategy.bound bound-out-of-range",
        ),
        (
            "expr: x, adapt_after: 1h, strategy: {type: static, bound: 1}",
            "adapt_after needless-adapt-after",
        ),
        (
            "expr: x, strategy: {type: ewma, warm_up: 10000}",
            "strategy.warm_up long-warm-up",
        ),
        ("expr: x > 1, strategy: {type: ewma}", "expr filtered-watch"),
        (
            "expr: x, keep_firing_for: 5s, strategy: {type: ewma}",
            "keep_firing_for short-keep-firing",
        ),
        (
            "expr: errors / requests, strategy: {type: ewma}",
            "expr errors-without-zero",
        ),
        (
            "expr: 'rate(request_seconds_sum[1m]) / rate(request_seconds_count[1m])', metric: inference_latency_ms, strategy: {type: ewma}",
            "expr latency-unit",
        ),
    ] {
        assert_eq!(on_watch(keys), [format!("{path}.{said}")], "{keys}");
    }
}

#[test]
fn what_is_meant_is_left_alone() {
    for keys in [
        "expr: x, metric: accuracy, direction: both, strategy: {type: ewma}",
        "expr: x, metric: accuracy, strategy: {type: static, bound: 0.9}",
        "expr: x, direction: below, strategy: {type: static, bound: 90}",
        "expr: x, for: 10m, strategy: {type: ewma}",
        "expr: x > bool 1, strategy: {type: ewma}",
        "expr: (errors or 0 * requests) / requests, strategy: {type: ewma}",
        "expr: '1000 * rate(request_seconds_sum[1m]) / rate(request_seconds_count[1m])', metric: inference_latency_ms, strategy: {type: ewma}",
        "expr: 'rate(duration_us[1m]) / rate(n[1m]) / 1000', metric: inference_latency_ms, strategy: {type: ewma}",
    ] {
        assert!(on_watch(keys).is_empty(), "{keys}: {:?}", on_watch(keys));
    }
}

#[test]
fn a_template_shows_labels_that_are_there() {
    let rules = |annotation: &str| {
        format!(
            "groups:\n- name: g\n  rules:\n  - {{record: r, expr: 'sum by (model) (x)', labels: {{team: a}}}}\n  - watch: W\n    expr: r * 1000\n    strategy: {{type: ewma}}\n    annotations: {{summary: '{annotation}'}}\n"
        )
    };
    let text = rules("{{ $labels.model_name }} {{ $labels.team }}");
    assert_eq!(
        alone(&config(&text)),
        ["8 groups[0].rules[1].annotations.summary label-not-there"]
    );
    let text = rules("{{ $labels.model }} {{ $labels.team }}");
    assert!(alone(&config(&text)).is_empty());
}

#[test]
fn rules_are_looked_at_together() {
    let text = "groups:\n- name: a\n  rules:\n  - {record: r, expr: x}\n  - {record: r, expr: y, labels: {a: b}}\n  - {record: lat, metric: inference_latency_ms, expr: x}\n- name: b\n  rules:\n  - {record: r, expr: y}\n  - {record: seen, metric: accuracy, expr: x}\n  - {alert: A, expr: seen < 1, annotations: {summary: s}}\n";
    assert_eq!(
        alone(&config(text)),
        [
            "6 groups[0].rules[2].record unwatched-metric",
            "9 groups[1].rules[0].record duplicate-rules",
        ]
    );
}

#[test]
fn places_are_those_of_the_document() {
    let rule = "  groups:\n  - name: NAME\n    rules:\n    - {alert: NAME, expr: up == 0}\n";
    let manifest = |name: &str| {
        format!(
            "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nspec:\n{}",
            rule.replace("NAME", name)
        )
    };
    let text = format!(
        "{}---\nkind: Service\nspec: {{}}\n---\n{}",
        manifest("a"),
        manifest("b")
    );
    assert_eq!(
        alone(&config(&text)),
        [
            "7 spec.groups[0].rules[0].annotations.summary no-summary",
            "18 spec.groups[0].rules[0].annotations.summary no-summary",
        ]
    );
}

/// The remarks on rules for a target with this body.
fn beside(text: &str, body: &str) -> Vec<String> {
    let exposed = Exposed::read(&Exposition::text(
        body.as_bytes().to_vec(),
        Timestamp::default(),
    ))
    .unwrap();
    let config = config(text);
    said(&LintContext {
        config: &config,
        has_settings: false,
        exposed: Some(&exposed),
    })
}

#[test]
fn what_the_target_exposes_decides() {
    let text = "groups:\n- name: g\n  rules:\n  - {alert: A, expr: 'rate(a[1m]) > 1', annotations: {summary: s}}\n  - {alert: B, expr: 'rate(b_bytes[1m]) > 1', annotations: {summary: s}}\n  - {alert: C, expr: 'missing > 1', annotations: {summary: s}}\n  - {alert: D, expr: 'a or missing > 1 or absent(gone)', annotations: {summary: s}}\n  - {alert: E, expr: 'b_bytes > 1', annotations: {summary: s}}\n";
    let body = "# TYPE a gauge\na 1\n# TYPE b_bytes counter\nb_bytes 1\n";
    assert_eq!(
        beside(text, body),
        [
            "4 groups[0].rules[0].expr rate-of-gauge",
            "6 groups[0].rules[2].expr unknown-metric",
            "8 groups[0].rules[4].expr counter-without-rate",
        ]
    );
}

#[test]
fn a_ratio_without_any_of_its_counters_is_named() {
    let text = "groups:\n- name: g\n  rules:\n  - record: r\n    ratio: {bad: [gone_total, 'a_total{code=\"5\"}'], total: a_total, by: []}\n  - record: s\n    ratio: {bad: faled_total, total: a_total, by: []}\n  - record: t\n    ratio: {histogram: gone_bucket, above: 1, by: []}\n";
    let body = "# TYPE a_total counter\na_total 1\n";
    assert_eq!(
        beside(text, body),
        [
            "7 groups[0].rules[1].ratio.bad unknown-metric",
            "9 groups[0].rules[2].ratio.histogram unknown-metric",
        ]
    );
}

#[test]
fn a_whole_configuration_knows_targets_and_receivers() {
    let settings = "global: {scrape_interval: 5m}\nscrape: {targets: [{url: 'http://a:1/metrics', labels: {pod: p}}]}\n";
    let text = "groups:\n- name: g\n  rules:\n  - {alert: A, expr: 'up{job=\"other\"} == 0', annotations: {summary: s}}\n  - {alert: B, expr: 'up{pod=~\"p.*\", nope=\"x\"} == 0', annotations: {summary: s}}\n  - {watch: C, expr: x, strategy: {type: ewma}, annotations: {summary: s}, retrain: {}}\n";
    let mut config = config(text);
    config.settings = read_settings("c.yaml", settings, &|_| None).unwrap();
    let whole = Source {
        file: "c.yaml".to_owned(),
        text: settings.to_owned(),
        is_settings: true,
    };
    config.sources.insert(0, whole);
    let context = LintContext {
        config: &config,
        has_settings: true,
        exposed: None,
    };
    assert_eq!(
        said(&context),
        [
            "1 global.scrape_interval too-long-scrape-interval",
            "1 retraining.webhooks retrain-without-webhook",
            "1 storage.path retrain-without-storage",
            "4 groups[0].rules[0].expr never-matches",
        ]
    );
    config.settings.storage.path = Some("state".into());
    let context = LintContext {
        config: &config,
        has_settings: true,
        exposed: None,
    };
    let stored = said(&context);
    assert!(!stored.iter().any(|remark| remark.contains("storage")));
    config.rules.groups.clear();
    let context = LintContext {
        config: &config,
        has_settings: true,
        exposed: None,
    };
    assert!(said(&context).contains(&"1 rule_files no-rules".to_owned()));
}

/// Remarks on the example of a lint, in the context that it needs.
fn on_example(lint: Lint) -> Vec<Lint> {
    let exposed = Exposed::read(&Exposition::text(
        b"queue_length 1\n".to_vec(),
        Timestamp::default(),
    ))
    .unwrap();
    let in_group = |rules: &str| match rules {
        "" => "groups: []\n".to_owned(),
        rules => format!(
            "groups:\n- name: g\n  rules:\n  {}\n",
            rules.trim_end().replace('\n', "\n  ")
        ),
    };
    let (settings, groups) = match lint.description().example {
        Example::Rules(rules) => (None, in_group(rules)),
        Example::Groups(groups) => (None, groups.to_owned()),
        Example::Configuration(settings, rules) => (Some(settings), in_group(rules)),
        Example::ConfiguredGroups(settings, groups) => (Some(settings), groups.to_owned()),
    };
    let mut config = config(&groups);
    if let Some(settings) = settings {
        config.settings = read_settings("c.yaml", settings, &|_| None).unwrap();
        let source = Source {
            file: "c.yaml".to_owned(),
            text: settings.to_owned(),
            is_settings: true,
        };
        config.sources.insert(0, source);
    }
    let context = LintContext {
        config: &config,
        has_settings: settings.is_some(),
        exposed: Some(&exposed).filter(|_| lint == Lint::UnknownMetric),
    };
    let remarks = remarks(&context, &Lints::default());
    remarks.iter().map(|remark| remark.lint).collect()
}

#[test]
fn every_example_is_reported_by_its_own_lint_only() {
    for lint in Lint::ALL {
        assert_eq!(on_example(*lint), [*lint]);
    }
}

/// What is said about these groups when the scrape interval is 15s.
fn on_groups(groups: &str) -> Vec<String> {
    let config = config(groups);
    let context = LintContext {
        config: &config,
        has_settings: true,
        exposed: None,
    };
    let all = remarks(&context, &"uneven-interval,slow-record".parse().unwrap());
    all.iter()
        .map(|remark| remark.problem.to_string())
        .collect()
}

#[test]
fn an_interval_is_a_multiple_of_the_scrape_interval() {
    let group = |interval: &str| {
        let text = format!("groups:\n- name: g\n  interval: {interval}\n  rules: []\n");
        on_groups(&text)
    };
    for even in ["15s", "30s", "5m"] {
        assert!(group(even).is_empty(), "{even}");
    }
    assert_eq!(
        group("20s"),
        [
            "r.yaml:3: groups[0].interval: 20s is no multiple of the scrape interval of 15s, so the group runs every 30s instead of 20s; write 30s, or change global.scrape_interval"
        ]
    );
    assert_eq!(
        group("5s"),
        [
            "r.yaml:3: groups[0].interval: 5s is shorter than the scrape interval of 15s, so the group runs every 15s instead of 5s; write 15s, or change global.scrape_interval"
        ]
    );
}

#[test]
fn an_alert_does_not_read_a_record_that_disappears_between_evaluations() {
    let groups = |slow: &str, fast: &str, expr: &str| {
        on_groups(&format!(
            "groups:
- name: slow
  interval: {slow}
  rules: [{{record: rare, expr: sum(x)}}]
- name: fast
  interval: {fast}
  rules: [{{alert: Rare, expr: '{expr}', annotations: {{summary: s}}}}]
"
        ))
    };
    assert_eq!(
        groups("10m", "1m", "rare > 1"),
        [
            "r.yaml:7: groups[1].rules[0].expr: rare is recorded every 10m and read every 1m, but a selector looks back 5m only: the alert comes and goes; record it every 2m or less, or read it with last_over_time(rare[20m])"
        ]
    );
    assert!(groups("2m", "1m", "rare > 1").is_empty());
    assert!(groups("10m", "10m", "rare > 1").is_empty());
    assert!(groups("10m", "1m", "last_over_time(rare[20m]) > 1").is_empty());
    assert!(groups("10m", "1m", "other > 1").is_empty());
}
