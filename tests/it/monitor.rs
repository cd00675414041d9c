//! Ticks through every stage, without a socket or a clock.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use sidewatch::internals::config::settings::{Settings, Target};
use sidewatch::internals::config::{Config, RuleReader};
use sidewatch::internals::scrape::Error;
use sidewatch_engine::alert::AlertState;
use sidewatch_engine::exposition::Exposition;
use sidewatch_engine::judge::{self, Registry};
use sidewatch_engine::metric::{Labels, Timestamp};
use sidewatch_engine::monitor::{ModelMonitor, Scraped, Tick};

const INTERVAL: Duration = Duration::from_secs(15);

fn monitor(rules: &str) -> ModelMonitor {
    let registry = Registry::built_in();
    let mut settings = Settings::default();
    settings.model.id = "fraud".to_owned();
    settings.scrape.targets = vec![Target {
        url: "http://127.0.0.1:8000/metrics".to_owned(),
        labels: Labels::new([
            ("job", "fraud"),
            ("instance", "127.0.0.1:8000"),
            ("pod", "fraud-0"),
        ]),
    }];
    let reader = RuleReader {
        registry: &registry,
        interval: INTERVAL,
    };
    let groups = reader.read("rules.yaml", rules).unwrap();
    let mut config = Config::assemble(settings, Path::new(""), &registry).unwrap();
    config.rules.groups = groups;
    config.monitor(&registry)
}

fn at(tick: u32) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000) + INTERVAL * tick
}

fn observe(monitor: &mut ModelMonitor, tick: u32, body: &str) -> Tick {
    let result = Ok(Exposition::text(body.as_bytes().to_vec(), at(tick)));
    let duration = Duration::from_millis(5);
    monitor.observe(at(tick), &[Scraped { result, duration }])
}

fn fail(monitor: &mut ModelMonitor, tick: u32) -> Tick {
    let result = Err(Error::Producer("nobody is there".to_owned()).into());
    let duration = Duration::from_millis(5);
    monitor.observe(at(tick), &[Scraped { result, duration }])
}

const LOW: &str = "
groups:
- name: a
  rules:
  - watch: Low
    expr: accuracy
    metric: accuracy
    strategy: {type: static, bound: 0.9}
";

#[test]
fn a_thousand_series_that_fail_together_alert_in_the_same_tick() {
    let mut monitor = monitor(LOW);
    let mut body = String::new();
    for n in 0..1000 {
        writeln!(body, "accuracy{{model_name=\"m{n}\"}} 0.5").unwrap();
    }
    let tick = observe(&mut monitor, 0, &body);
    assert_eq!(tick.alerts.len(), 1000);
    assert!(
        tick.alerts
            .iter()
            .all(|alert| alert.fired_at == Some(at(0)))
    );
}

#[test]
fn an_alert_carries_the_model_and_the_pod() {
    let mut monitor = monitor(&LOW.replace("expr: accuracy", "expr: sum(accuracy)"));
    let tick = observe(&mut monitor, 0, "accuracy{model_name=\"a\"} 0.5\n");
    let labels = tick.alerts[0].labels.to_string();
    assert_eq!(
        labels,
        r#"{alertname="Low", instance="127.0.0.1:8000", model_id="fraud", pod="fraud-0"}"#
    );
}

#[test]
fn a_record_is_seen_by_the_rules_after_it_in_the_same_tick() {
    let mut monitor = monitor(
        "
groups:
- name: a
  rules:
  - record: share
    metric: accuracy
    expr: right / all
  - watch: ShareLow
    expr: share
    strategy: {type: static, bound: 0.9}
",
    );
    let tick = observe(&mut monitor, 0, "right 80\nall 100\n");
    assert_eq!(
        tick.alerts.len(),
        1,
        "accuracy is bad below its bound, and the watch knows it from the record"
    );
    assert!((tick.alerts[0].value - 0.8).abs() < 1e-12);
}

#[test]
fn a_target_that_is_down_neither_resolves_nor_hides_an_alert() {
    let mut monitor = monitor(LOW);
    let mut changes = observe(&mut monitor, 0, "accuracy 0.5\n").changes;
    for tick in 1..50 {
        changes.extend(fail(&mut monitor, tick).changes);
    }
    changes.extend(observe(&mut monitor, 50, "accuracy 0.95\n").changes);
    let states: Vec<_> = changes
        .iter()
        .map(|alert| (alert.state, alert.resolved_at))
        .collect();
    assert_eq!(
        states,
        [
            (AlertState::Firing, None),
            (AlertState::Resolved, Some(at(50)))
        ]
    );
}

#[test]
fn a_window_that_is_still_filling_is_insufficient_and_never_ok() {
    let mut monitor = monitor(&LOW.replace(
        "expr: accuracy",
        "expr: increase(right[5m]) / increase(all[5m])",
    ));
    let mut states = Vec::new();
    for tick in 0..6 {
        let body = format!(
            "# TYPE right counter\nright {}\n# TYPE all counter\nall {}\n",
            95 * tick,
            100 * tick
        );
        observe(&mut monitor, tick, &body);
        states.extend(monitor.judged().map(|(_, _, verdict)| verdict.state));
    }
    let unknown = states
        .iter()
        .take_while(|state| **state == judge::State::InsufficientData)
        .count();
    // 20 % of five minutes is a minute: four intervals between five points.
    assert_eq!((unknown, states.len()), (3, 5), "{states:?}");
    assert_eq!(states[3..], [judge::State::Ok, judge::State::Ok]);
}

#[test]
fn a_watch_keeps_one_state_per_series() {
    let rules = LOW
        .replace(
            "{type: static, bound: 0.9}",
            "{type: ewma, warm_up: 5, k_sigma: 4}",
        )
        .replace("accuracy", "x");
    let mut monitor = monitor(&rules.replace("metric: x", "metric: custom"));
    let body = |a: f64, b: f64| format!("x{{m=\"a\"}} {a}\nx{{m=\"b\"}} {b}\n");
    for tick in 0..20 {
        let wiggle = f64::from(tick % 3) / 100.0;
        assert!(
            observe(&mut monitor, tick, &body(1.0 + wiggle, 100.0 + wiggle))
                .alerts
                .is_empty()
        );
    }
    let tick = observe(&mut monitor, 20, &body(2.0, 100.0));
    let labels: Vec<_> = tick
        .alerts
        .iter()
        .map(|alert| alert.labels.get("m").unwrap().to_owned())
        .collect();
    assert_eq!(labels, ["a"]);
}

#[test]
fn a_rule_may_ask_which_alerts_there_are() {
    let mut monitor = monitor(
        "
groups:
- name: a
  rules:
  - alert: Down
    expr: load == 0
    for: 15s
  - alert: ManyDown
    expr: count(ALERTS{alertname=\"Down\", alertstate=\"firing\"}) > 1
",
    );
    let firing = |tick: Tick, name: &str| {
        let alerts = tick.alerts.iter();
        let firing =
            alerts.filter(|alert| *alert.rule == *name && alert.state == AlertState::Firing);
        firing.count()
    };
    let down = "load{worker=\"1\"} 0\nload{worker=\"2\"} 0\n";
    assert_eq!(firing(observe(&mut monitor, 0, down), "ManyDown"), 0);
    assert_eq!(firing(observe(&mut monitor, 1, down), "ManyDown"), 1);
    let one = "load{worker=\"1\"} 0\nload{worker=\"2\"} 1\n";
    let ended = observe(&mut monitor, 2, one);
    let many = ended.alerts.iter().find(|alert| *alert.rule == *"ManyDown");
    assert_eq!(many.unwrap().state, AlertState::Resolved);
}

#[test]
fn a_template_asks_the_window_and_what_it_asks_for_is_kept_in_it() {
    let rules = "
groups:
- name: a
  rules:
  - alert: Slow
    expr: latency > 1
    annotations:
      summary: '{{ with query \"sum(increase(requests_total[1m]))\" }}{{ . | first | value | humanize }}{{ end }} requests, {{ range printf \"workers{zone=%q}\" $labels.zone | query }}{{ .Value }}{{ end }} workers'
  - watch: Slower
    expr: latency
    strategy: {type: static, bound: 1}
    annotations: {summary: '{{ query \"up\" | first | value }}'}
";
    let mut monitor = monitor(rules);
    let mut summaries = Vec::new();
    for tick in 0..9 {
        let body = format!(
            "latency{{zone=\"a\"}} {}\nrequests_total {}\nworkers{{zone=\"a\"}} 7\nworkers{{zone=\"b\"}} 9\nother 1\n",
            if tick < 8 { 0.5 } else { 2.0 },
            tick * 15,
        );
        let tick = observe(&mut monitor, tick, &body);
        summaries.extend(tick.changes.iter().map(|alert| alert.summary().clone()));
    }
    assert_eq!(summaries, ["60 requests, 7 workers", "1"]);
}

/// `accuracy` of so many users, each a series of its own.
fn of_users(users: std::ops::Range<u32>, accuracy: f64) -> String {
    let mut body = String::new();
    for user in users {
        writeln!(body, "accuracy{{user=\"{user}\"}} {accuracy}").unwrap();
    }
    body
}

#[test]
fn a_tick_gives_every_change_however_many_there_are() {
    let mut monitor = monitor(LOW);
    observe(&mut monitor, 0, &of_users(0..1100, 0.95));
    let fired = observe(&mut monitor, 1, &of_users(0..1100, 0.5)).changes;
    assert_eq!(fired.len(), 1100);
    let ended = observe(&mut monitor, 2, &of_users(0..1100, 0.95)).changes;
    assert_eq!(ended.len(), 1100);
    assert!(
        ended
            .iter()
            .all(|alert| alert.state == AlertState::Resolved)
    );
}

fn anomalous(monitor: &ModelMonitor) -> usize {
    let judged = monitor.judged();
    judged
        .filter(|(_, _, verdict)| verdict.is_anomalous())
        .count()
}

#[test]
fn series_that_are_gone_make_room_for_new_ones_at_the_limit_of_a_watch() {
    let mut monitor = monitor(LOW);
    for batch in 0..14 {
        let body = of_users(batch * 1000..(batch + 1) * 1000, 0.5);
        observe(&mut monitor, batch, &body);
        assert_eq!(anomalous(&monitor), 1000, "batch {batch}");
    }
}

#[test]
fn a_series_that_is_gone_for_long_is_no_longer_stored() {
    let learns = LOW.replace("{type: static, bound: 0.9}", "{type: ewma}");
    let mut stored = Vec::new();
    for (rules, away) in [(LOW, 100), (&*learns, 100), (&*learns, 50_000)] {
        let mut monitor = monitor(rules);
        observe(&mut monitor, 0, &of_users(0..1000, 0.95));
        observe(&mut monitor, away, &of_users(0..1, 0.95));
        let changes = monitor.state_changes(true);
        let learnt = serde_json::to_string(&changes.learnt).unwrap();
        stored.push(learnt.matches("user").count());
    }
    // 100 ticks are 25 minutes, which is longer than the window; 50,000 are longer than a week.
    assert_eq!(stored, [1, 1000, 1]);
}
