//! The gate of retraining over replicas and over watches of one name, in a whole monitor.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use sidewatch::internals::config::settings::{Settings, Target};
use sidewatch::internals::config::{Config, RuleReader};
use sidewatch_engine::alert::AlertState;
use sidewatch_engine::exposition::Exposition;
use sidewatch_engine::judge::Registry;
use sidewatch_engine::metric::{Labels, Timestamp};
use sidewatch_engine::monitor::{ModelMonitor, Scraped, StoredState, Tick};
use sidewatch_engine::retrain::RetrainRequest;

const INTERVAL: Duration = Duration::from_secs(15);

fn at(tick: u32) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000) + INTERVAL * tick
}

fn config(rules: &str, pods: &[&str]) -> Config {
    let registry = Registry::built_in();
    let mut settings = Settings::default();
    settings.model.id = "fraud".to_owned();
    let target = |pod: &&str| Target {
        url: format!("http://{pod}/metrics"),
        labels: Labels::new([("job", "fraud"), ("instance", pod), ("pod", pod)]),
    };
    settings.scrape.targets = pods.iter().map(target).collect();
    let reader = RuleReader {
        registry: &registry,
        interval: INTERVAL,
    };
    let groups = reader.read("rules.yaml", rules).unwrap();
    let mut config = Config::assemble(settings, Path::new(""), &registry).unwrap();
    config.rules.groups = groups;
    config
}

fn monitor(rules: &str, pods: &[&str]) -> ModelMonitor {
    config(rules, pods).monitor(&Registry::built_in())
}

/// One tick in which each target exports about these values of `queue`: a gauge that nobody sets is
/// no new evidence.
fn tick(monitor: &mut ModelMonitor, tick: u32, values: &[Option<f64>]) -> Vec<RetrainRequest> {
    let scraped: Vec<Scraped> = values
        .iter()
        .map(|value| {
            let moved = |value: f64| value + f64::from(tick) / 1e6;
            let body = value.map_or_else(String::new, |value| format!("queue {}\n", moved(value)));
            Scraped {
                result: Ok(Exposition::text(body.into_bytes(), at(tick))),
                duration: Duration::from_millis(5),
            }
        })
        .collect();
    monitor.observe(at(tick), &scraped).requests
}

fn watch(retrain: &str) -> String {
    format!(
        "groups:
- name: g
  rules:
  - watch: QueueDeep
    expr: queue
    strategy: {{type: static, bound: 5}}
    no_data_resolve: 0
    retrain: {retrain}
"
    )
}

#[test]
fn a_replica_asks_by_its_own_verdicts_whatever_the_others_are() {
    for after in ["1/1", "2/2", "3/5", "4/5"] {
        for values in [[9.0, 1.0], [1.0, 9.0], [9.0, 9.0]] {
            let rules = watch(&format!("{{cooldown: 1h, after: {after}}}"));
            let mut monitor = monitor(&rules, &["a", "b"]);
            let requests: Vec<RetrainRequest> = (0..10)
                .flat_map(|n| tick(&mut monitor, n, &values.map(Some)))
                .collect();
            let pods: Vec<_> = requests.iter().map(|one| one.labels.get("pod")).collect();
            let bad = if values[0] > 5.0 { "a" } else { "b" };
            assert_eq!(pods, [Some(bad)], "after {after}, values {values:?}");
        }
    }
}

#[test]
fn watches_of_one_name_have_gates_of_their_own() {
    let rules = "groups:
- name: g
  rules:
  - watch: QueueDeep
    expr: queue
    strategy: {type: static, bound: 5}
    labels: {severity: warning}
    retrain: {cooldown: 1h, after: 4/5}
  - watch: QueueDeep
    expr: queue
    strategy: {type: static, bound: 50}
    labels: {severity: critical}
    retrain: {cooldown: 1h, after: 4/5}
";
    let mut monitor = monitor(rules, &["a"]);
    let mut requests = Vec::new();
    for n in 0..20 {
        let value = if n < 10 { 9.0 } else { 90.0 };
        requests.extend(
            tick(&mut monitor, n, &[Some(value)])
                .into_iter()
                .map(|one| (n, one)),
        );
    }
    let severities: Vec<_> = requests
        .iter()
        .map(|(n, one)| (*n, one.labels.get("severity").unwrap()))
        .collect();
    assert_eq!(severities, [(3, "warning"), (13, "critical")]);
    assert!(requests.iter().all(|(_, one)| one.rule == "QueueDeep"));
    assert_ne!(requests[0].1.id, requests[1].1.id);
}

/// A monitor of the same rules that continues from the state of another.
fn restarted(monitor: &mut ModelMonitor, rules: &str, pods: &[&str], tick: u32) -> ModelMonitor {
    let changes = monitor.state_changes(true);
    let known = |(key, value): (String, Option<_>)| Some((key, value?));
    let mut next = self::monitor(rules, pods);
    let stored = StoredState {
        alerts: changes.alerts.into_iter().filter_map(known).collect(),
        learnt: changes.learnt,
        counted: changes.counted,
        gates: changes.gates,
    };
    next.restore(stored, at(tick));
    next
}

#[test]
fn an_alert_without_data_asks_for_nothing_over_reload_and_restart() {
    let rules = watch("{cooldown: 30s}");
    let mut monitor = monitor(&rules, &["a"]);
    assert_eq!(tick(&mut monitor, 0, &[Some(9.0)]).len(), 1);
    assert_eq!(
        tick(&mut monitor, 2, &[Some(9.0)]).len(),
        1,
        "it asks again while there are data"
    );
    let mut asked = 0;
    for n in 3..10 {
        asked += tick(&mut monitor, n, &[None]).len();
    }
    let reloaded = config(&rules, &["a"]);
    asked += monitor
        .reload(reloaded.monitor_settings(), reloaded.rules.into(), at(10))
        .requests
        .len();
    for n in 11..20 {
        asked += tick(&mut monitor, n, &[None]).len();
    }
    let mut monitor = restarted(&mut monitor, &rules, &["a"], 20);
    for n in 20..30 {
        asked += tick(&mut monitor, n, &[None]).len();
    }
    assert_eq!(monitor.alerts().len(), 1, "it fires all the time");
    assert_eq!(asked, 0);
    assert_eq!(tick(&mut monitor, 30, &[Some(9.0)]).len(), 1);
}

#[test]
fn a_watch_that_moves_to_another_group_keeps_its_cooldown() {
    let rules = watch("{cooldown: 1h}");
    let mut monitor = monitor(&rules, &["a"]);
    assert_eq!(tick(&mut monitor, 0, &[Some(9.0)]).len(), 1);
    let moved = rules.replace("name: g", "name: other");
    let reloaded = config(&moved, &["a"]);
    monitor.reload(reloaded.monitor_settings(), reloaded.rules.into(), at(1));
    assert!(tick(&mut monitor, 2, &[Some(9.0)]).is_empty());
    let again = rules.replace("name: g", "name: third");
    let mut monitor = restarted(&mut monitor, &again, &["a"], 3);
    assert!(tick(&mut monitor, 3, &[Some(9.0)]).is_empty());
    assert_eq!(tick(&mut monitor, 240, &[Some(9.0)]).len(), 1);
}

const PODS: [&str; 3] = ["a", "b", "c"];

/// What one replica does in one tick.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Seen {
    Bad,
    Good,
    NoNumber,
    Missing,
}

/// A plain model of the gate: each firing replica that has data asks if its own verdicts suffice,
/// unless one of them asked less than a cool-down ago.
#[derive(Default)]
struct Model {
    firing: [bool; 3],
    verdicts: [VecDeque<bool>; 3],
    last: Option<u32>,
}

impl Model {
    fn tick(
        &mut self,
        (now, is_settled): (u32, bool),
        seen: &[Seen],
        (n, m): (usize, usize),
        cooldown: u32,
    ) -> Vec<usize> {
        let mut asking = Vec::new();
        for (replica, seen) in seen.iter().enumerate() {
            let bad = match seen {
                Seen::Bad => true,
                Seen::Good => false,
                Seen::NoNumber | Seen::Missing => continue,
            };
            // After a restart a good value ends no alert at once.
            self.firing[replica] = bad || (self.firing[replica] && !is_settled);
            let verdicts = &mut self.verdicts[replica];
            verdicts.push_back(bad);
            if verdicts.len() > m {
                verdicts.pop_front();
            }
            if self.firing[replica] && verdicts.iter().filter(|bad| **bad).count() >= n {
                asking.push(replica);
            }
        }
        let free = self.last.is_none_or(|last| now - last >= cooldown);
        asking.truncate(usize::from(free));
        if !asking.is_empty() {
            self.last = Some(now);
            // What a request rests on is no evidence for another one.
            self.verdicts = Default::default();
        }
        asking
    }
}

fn seen() -> impl Strategy<Value = Seen> {
    prop_oneof![
        4 => Just(Seen::Bad),
        3 => Just(Seen::Good),
        1 => Just(Seen::NoNumber),
        2 => Just(Seen::Missing),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_requests_are_those_of_a_plain_model(
        ticks in proptest::collection::vec([seen(), seen(), seen()], 1..60),
        (n, m) in (1..5_usize).prop_flat_map(|n| (Just(n), n..6)),
        cooldown in 1..20_u32,
        restart in 0..60_u32,
    ) {
        let seconds = cooldown * 15;
        let rules = watch(&format!("{{cooldown: {seconds}s, after: {n}/{m}}}"));
        let mut monitor = monitor(&rules, &PODS);
        let mut model = Model::default();
        for (now, seen) in (0..).zip(&ticks) {
            if now == restart {
                monitor = restarted(&mut monitor, &rules, &PODS, now);
            }
            let values = seen.map(|seen| match seen {
                Seen::Bad => Some(9.0),
                Seen::Good => Some(1.0),
                Seen::NoNumber => Some(f64::NAN),
                Seen::Missing => None,
            });
            let requests = tick(&mut monitor, now, &values);
            let pods: Vec<&str> = requests.iter().map(|one| one.labels.get("pod").unwrap()).collect();
            let is_settled = now < restart || now >= restart + 2;
            let expected: Vec<&str> = model
                .tick((now, is_settled), seen, (n, m), cooldown)
                .into_iter()
                .map(|replica| PODS[replica])
                .collect();
            prop_assert_eq!(pods, expected, "at {}", now);
        }
    }
}

/// One tick in which the target exports this many users with too deep a queue.
fn storm(monitor: &mut ModelMonitor, tick: u32, users: u32) -> Tick {
    let lines = (0..users).map(|user| format!("queue{{user=\"{user}\"}} 9\n"));
    let body = lines.collect::<String>() + "queue{user=\"good\"} 1\n";
    let scraped = Scraped {
        result: Ok(Exposition::text(body.into_bytes(), at(tick))),
        duration: Duration::from_millis(5),
    };
    monitor.observe(at(tick), &[scraped])
}

#[test]
fn a_storm_of_series_requests_twenty_an_hour_and_one_alert_says_that_others_wait() {
    let mut monitor = monitor(&watch("{cooldown: 6h}"), &["a"]);
    let hour = 240;
    let mut requests = Vec::new();
    let mut notices = Vec::new();
    for n in 0..=3 * hour {
        // The storm ends before the third hour.
        let users = if n < 2 * hour + 10 { 50 } else { 0 };
        let ticked = storm(&mut monitor, n, users);
        requests.extend(ticked.requests.iter().map(|_| n));
        let of_limit = ticked
            .changes
            .iter()
            .filter(|alert| alert.labels.get("alertname") == Some("SidewatchRetrainingLimited"));
        for alert in of_limit {
            assert_eq!(alert.labels.get("rule"), Some("QueueDeep"));
            assert!(ticked.alerts.iter().any(|sent| sent.labels == alert.labels));
            notices.push((n, alert.state, alert.value, alert.summary()));
        }
    }
    let expected = [0; 20].into_iter().chain([hour; 20]).chain([2 * hour; 10]);
    assert_eq!(requests, expected.collect::<Vec<_>>());
    let text = "30 series of QueueDeep wait to request retraining: 20 requested it within the last \
                hour, the limit";
    assert_eq!(notices[0], (0, AlertState::Firing, 30.0, text.to_owned()));
    let (end, state, ..) = &notices[1];
    assert_eq!((*end, *state), (2 * hour, AlertState::Resolved));
    assert_eq!(notices.len(), 2);
}
