//! `no_data_resolve`: the end of alerts whose series a healthy target no longer exports.

use std::path::Path;
use std::time::Duration;

use sidewatch::internals::config::settings::{Settings, Target};
use sidewatch::internals::config::{Config, RuleReader};
use sidewatch::internals::scrape::Error;
use sidewatch_engine::alert::{Alert, AlertState};
use sidewatch_engine::exposition::Exposition;
use sidewatch_engine::judge::Registry;
use sidewatch_engine::metric::{Labels, Timestamp};
use sidewatch_engine::monitor::{ModelMonitor, Results, Scraped, StoredState};

use super::unit_tests::{report, test};

const INTERVAL: Duration = Duration::from_secs(60);

fn at(minute: u32) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000) + INTERVAL * minute
}

fn config(rules: &str, instances: &[&str]) -> Config {
    let registry = Registry::built_in();
    let mut settings = Settings::default();
    settings.global.scrape_interval = INTERVAL;
    let target = |instance: &&str| Target {
        url: format!("http://{instance}/metrics"),
        labels: Labels::new([("job", "vllm"), ("instance", instance)]),
    };
    settings.scrape.targets = instances.iter().map(target).collect();
    let reader = RuleReader {
        registry: &registry,
        interval: INTERVAL,
    };
    let groups = reader.read("rules.yaml", rules).unwrap();
    let mut config = Config::assemble(settings, Path::new(""), &registry).unwrap();
    config.rules.groups = groups;
    config
}

fn watch(expr: &str, keys: &str) -> String {
    format!(
        "groups:
- name: g
  rules:
  - watch: QueueDeep
    expr: {expr}
    strategy: {{type: static, bound: 5}}
    annotations: {{summary: 'deep {{{{ $labels.model }}}}'}}
{keys}"
    )
}

/// What a target answers.
#[derive(Clone, Copy)]
enum Answer {
    /// A deep queue of the model `old`.
    Deep,
    /// Another series.
    Other,
    Down,
}
use Answer::{Deep, Down, Other};

struct Lab {
    monitor: ModelMonitor,
    rules: String,
    instances: Vec<&'static str>,
    minute: u32,
}

impl Lab {
    fn new(rules: String, instances: &[&'static str]) -> Self {
        Self {
            monitor: config(&rules, instances).monitor(&Registry::built_in()),
            rules,
            instances: instances.to_vec(),
            minute: 0,
        }
    }

    /// Ticks for some minutes; returns the alerts that resolved, with the minute.
    fn run(&mut self, minutes: u32, answers: &[Answer]) -> Vec<(u32, Alert)> {
        let mut resolved = Vec::new();
        for _ in 0..minutes {
            let now = at(self.minute);
            let scraped: Vec<Scraped> = answers
                .iter()
                .map(|answer| Scraped {
                    result: match answer {
                        Deep => Ok("queue{model=\"old\"} 9\n"),
                        Other => Ok("queue{model=\"new\"} 1\n"),
                        Down => Err(Error::Producer("connection refused".to_owned()).into()),
                    }
                    .map(|body| Exposition::text(body.as_bytes().to_vec(), now)),
                    duration: Duration::from_millis(5),
                })
                .collect();
            self.monitor.follow_clock(now);
            let changes = self.monitor.observe(now, &scraped).changes.into_iter();
            let ended = changes.filter(|alert| alert.state == AlertState::Resolved);
            resolved.extend(ended.map(|alert| (self.minute, alert)));
            self.minute += 1;
        }
        resolved
    }

    /// Stops the process for some minutes.
    fn restart(&mut self, minutes: u32) {
        let changes = self.monitor.state_changes(true);
        let mut next = config(&self.rules, &self.instances).monitor(&Registry::built_in());
        let known = |(key, value): (String, Option<_>)| Some((key, value?));
        let stored = StoredState {
            alerts: changes.alerts.into_iter().filter_map(known).collect(),
            learnt: changes.learnt,
            counted: changes.counted,
            gates: changes.gates,
        };
        self.minute += minutes;
        next.restore(stored, at(self.minute));
        self.monitor = next;
    }

    fn firing(&self) -> usize {
        let alerts = self.monitor.alerts();
        let firing = alerts.iter().filter(|one| one.state == AlertState::Firing);
        firing.count()
    }
}

fn minutes(resolved: &[(u32, Alert)]) -> Vec<u32> {
    resolved.iter().map(|(minute, _)| *minute).collect()
}

#[test]
fn a_test_file_sees_the_end_an_hour_after_the_series_was_withdrawn() {
    let rules = "groups:
  - name: g
    rules:
      - watch: QueueDeep
        expr: queue_depth
        strategy: {type: static, bound: 5}
        annotations: {summary: 'deep {{ $labels.model }}'}
      - watch: QueueDeepForEver
        expr: queue_depth
        strategy: {type: static, bound: 5}
        no_data_resolve: 0
        annotations: {summary: 'deep {{ $labels.model }}'}
      - watch: QueueDeepShortly
        expr: sum by (model) (queue_depth)
        strategy: {type: static, bound: 5}
        no_data_resolve: 10m
        annotations: {summary: 'deep {{ $labels.model }}'}
      - alert: QueueDeepPlain
        expr: queue_depth > 5
        annotations: {summary: 'deep {{ $labels.model }}'}
";
    let file = r#"rule_files: [r.yaml]
evaluation_interval: 1m
tests:
  - name: the model is unloaded after 10m while its server and another model go on
    interval: 1m
    input_series:
      - {series: 'queue_depth{model="old"}', values: '9x10 stale'}
      - {series: 'queue_depth{model="new"}', values: '1x1500'}
    alert_rule_test:
      - {eval_time: 11m, alertname: QueueDeepPlain, exp_alerts: []}
      - {eval_time: 20m, alertname: QueueDeepShortly, exp_alerts: [{exp_labels: {model: old}, exp_annotations: {summary: deep old}}]}
      - {eval_time: 21m, alertname: QueueDeepShortly, exp_alerts: []}
      - {eval_time: 70m, alertname: QueueDeep, exp_alerts: [{exp_labels: {model: old}, exp_annotations: {summary: deep old}}]}
      - {eval_time: 71m, alertname: QueueDeep, exp_alerts: []}
      - {eval_time: 24h, alertname: QueueDeep, exp_alerts: []}
      - {eval_time: 24h, alertname: QueueDeepForEver, exp_alerts: [{exp_labels: {model: old}, exp_annotations: {summary: deep old}}]}
"#;
    let (_, text) = report(&[("r.yaml", rules), ("r.test.yaml", file)], &test());
    assert_eq!(text, "r.test.yaml: SUCCESS (1 test)");
}

#[test]
fn the_end_says_why() {
    let mut lab = Lab::new(watch("queue", ""), &["a"]);
    assert!(lab.run(5, &[Deep]).is_empty());
    let resolved = lab.run(120, &[Other]);
    assert_eq!(minutes(&resolved), [65]);
    let alert = &resolved[0].1;
    assert_eq!(alert.annotations.get("summary"), Some("deep old"));
    assert_eq!(
        alert.annotations.get("no_data"),
        Some("no data for 1h: the target no longer exports the series")
    );
    // The series comes back: a new alert, and a new hour.
    assert!(lab.run(1, &[Deep]).is_empty());
    assert_eq!(lab.firing(), 1);
    assert_eq!(lab.run(62, &[Other]).len(), 1);
}

#[test]
fn the_time_does_not_count_while_the_target_is_down() {
    let mut lab = Lab::new(watch("queue", ""), &["a"]);
    lab.run(5, &[Deep]);
    assert!(lab.run(30, &[Other]).is_empty());
    assert!(lab.run(600, &[Down]).is_empty());
    assert_eq!(lab.firing(), 1);
    let resumed = lab.minute;
    // Half an hour counted before; the minute before the first answer does not count.
    assert_eq!(minutes(&lab.run(120, &[Other])), [resumed + 31]);
}

#[test]
fn a_value_in_between_starts_the_time_anew() {
    let mut lab = Lab::new(watch("queue", ""), &["a"]);
    lab.run(5, &[Deep]);
    for _ in 0..5 {
        assert!(lab.run(50, &[Other]).is_empty());
        assert!(lab.run(1, &[Deep]).is_empty());
    }
    assert_eq!(lab.firing(), 1);
}

#[test]
fn the_target_of_a_series_is_that_of_its_instance_and_an_aggregate_has_all_of_them() {
    let mut own = Lab::new(watch("queue", ""), &["a", "b"]);
    own.run(5, &[Deep, Down]);
    assert_eq!(minutes(&own.run(120, &[Other, Down])), [65]);
    let mut other = Lab::new(watch("queue", ""), &["a", "b"]);
    other.run(5, &[Deep, Other]);
    assert!(other.run(120, &[Down, Other]).is_empty());
    let mut sum = Lab::new(watch("sum by (model) (queue)", ""), &["a", "b"]);
    sum.run(5, &[Deep, Other]);
    assert!(sum.run(120, &[Other, Down]).is_empty());
    assert_eq!(sum.run(120, &[Other, Other]).len(), 1);
}

#[test]
fn the_time_counts_over_restarts_but_not_while_the_process_is_down() {
    let mut lab = Lab::new(watch("queue", ""), &["a"]);
    lab.run(5, &[Deep]);
    assert!(lab.run(31, &[Other]).is_empty());
    lab.restart(600);
    let resumed = lab.minute;
    // Half an hour counted before; the window settles for two minutes.
    assert_eq!(minutes(&lab.run(120, &[Other])), [resumed + 32]);
}

#[test]
fn a_record_that_fails_is_no_sign_that_the_series_of_its_readers_are_gone() {
    let rules = "groups:
- name: g
  rules:
  - record: deep
    expr: queue / on (model) group_left () weight
  - record: deepest
    expr: max(deep)
  - watch: Kept
    expr: deepest
    strategy: {type: static, bound: 5}
  - watch: Ended
    expr: queue{model='old'}
    strategy: {type: static, bound: 5}
";
    let mut monitor = config(rules, &["a"]).monitor(&Registry::built_in());
    let mut changes = Vec::new();
    for minute in 0..200 {
        let weights = if minute < 5 { 1 } else { 2 };
        let model = if minute < 5 { "old" } else { "new" };
        let mut body = format!("queue{{model=\"{model}\"}} 9\n");
        for n in 0..weights {
            body.push_str(&format!("weight{{model=\"{model}\", n=\"{n}\"}} 1\n"));
        }
        let scraped = Scraped {
            result: Ok(Exposition::text(body.into_bytes(), at(minute))),
            duration: Duration::from_millis(5),
        };
        changes.extend(monitor.observe(at(minute), &[scraped]).changes);
    }
    let resolved = changes
        .iter()
        .filter(|alert| alert.state == AlertState::Resolved);
    let resolved: Vec<_> = resolved.map(|alert| &*alert.rule).collect();
    assert_eq!(resolved, ["Ended"]);
    assert_eq!(changes.len(), 3, "two fired");
}

#[test]
fn an_empty_result_of_a_server_counts_and_an_error_does_not() {
    let rules = watch("queue", "");
    let mut monitor = config(&rules, &[]).monitor(&Registry::built_in());
    let mut ended = Vec::new();
    for minute in 0..300 {
        let series = Labels::named("queue", [("model", "old"), ("instance", "far")]);
        let answer = match minute {
            0..5 => Ok(vec![(series, 9.0)]),
            5..35 => Ok(Vec::new()),
            35..200 => Err("503".to_owned()),
            _ => Ok(Vec::new()),
        };
        let mut results = Results::default();
        results.put("queue", at(minute), answer);
        let tick = monitor.observe_results(at(minute), &mut results);
        let resolved = |alert: &&Alert| alert.state == AlertState::Resolved;
        ended.extend(tick.changes.iter().filter(resolved).map(|_| minute));
    }
    assert_eq!(ended, [231]);
}

#[test]
fn the_setting_stands_with_no_data_keep_only() {
    let registry = Registry::built_in();
    let rules = watch("queue", "    no_data: alert\n    no_data_resolve: 2h\n");
    let problems = RuleReader::new(&registry)
        .read("r.yaml", &rules)
        .unwrap_err();
    assert_eq!(
        problems.to_string(),
        "r.yaml:9: groups[0].rules[0].no_data_resolve: has an effect with no_data: keep only"
    );
}
