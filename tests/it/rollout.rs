//! Replicas and versions that appear and disappear: a judge of many replicas, tick by tick,
//! without a socket or a clock.

use std::net::SocketAddr;
use std::time::Duration;

use sidewatch::internals::config::{Config, RuleReader, read_settings};
use sidewatch::internals::scrape;
use sidewatch_engine::alert::{Alert, AlertState};
use sidewatch_engine::exposition::{Exposition, Format};
use sidewatch_engine::judge::{self, Registry};
use sidewatch_engine::metric::Timestamp;
use sidewatch_engine::monitor::{ModelMonitor, Scraped, Tick};
use sidewatch_engine::rules::RuleSet;

const INTERVAL: u32 = 15;
const PORT: u16 = 8000;

/// A judge, its replicas and the time.
struct Bench {
    monitor: ModelMonitor,
    tick: u32,
    replicas: Vec<Replica>,
}

/// A replica with its counters.
#[derive(Debug, Clone)]
struct Replica {
    host: u16,
    version: &'static str,
    right: f64,
    all: f64,
    down: bool,
}

impl Replica {
    fn new(host: u16) -> Self {
        Self {
            host,
            version: "1",
            right: 0.0,
            all: 0.0,
            down: false,
        }
    }

    fn with_history(host: u16, right: f64, all: f64) -> Self {
        Self {
            right,
            all,
            ..Self::new(host)
        }
    }

    fn serves(&mut self, right: f64, all: f64) {
        self.right += right;
        self.all += all;
    }

    fn scraped(&self, at: Timestamp) -> Scraped {
        let url = format!("http://{}/metrics", address(self.host));
        let (right, all, version) = (self.right, self.all, self.version);
        let body = format!(
            "right{{model_version=\"{version}\"}} {right}\nall{{model_version=\"{version}\"}} {all}\n"
        );
        let timeout = Duration::from_secs(5);
        Scraped {
            result: if self.down {
                Err(scrape::Error::Timeout { url, timeout }.into())
            } else {
                Ok(Exposition::new(body, Format::Text, at))
            },
            duration: Duration::from_millis(5),
        }
    }
}

fn address(host: u16) -> SocketAddr {
    let [high, low] = host.to_be_bytes();
    SocketAddr::from(([10, 0, high, low], PORT))
}

impl Bench {
    fn new(model: &str, rules: &str) -> Self {
        let text = format!(
            "model: {{id: fraud{model}}}\nscrape: {{discovery: {{dns: \"fraud.ml.svc:{PORT}\"}}}}\n"
        );
        let settings = read_settings("c.yaml", &text, &|_| None).unwrap();
        let registry = Registry::built_in();
        let reader = RuleReader {
            registry: &registry,
            interval: settings.global.scrape_interval,
        };
        let groups = reader.read("r.yaml", rules).unwrap();
        let config = Config {
            settings,
            rules: RuleSet { groups },
            ..Config::default()
        };
        Self {
            monitor: config.monitor(&registry),
            tick: 0,
            replicas: Vec::new(),
        }
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + i64::from(self.tick * INTERVAL) * 1000)
    }

    /// Discovery finds the replicas that are there now, in order of their addresses.
    fn discover(&mut self) {
        self.replicas.sort_by_key(|replica| replica.host);
        let addresses: Vec<SocketAddr> = self.replicas.iter().map(|r| address(r.host)).collect();
        self.monitor.discovered(&addresses, self.at());
    }

    /// Time passes, every replica serves the same, and all are scraped.
    fn serve(&mut self, right: f64, all: f64) -> Tick {
        for replica in &mut self.replicas {
            replica.serves(right, all);
        }
        self.tick += 1;
        let scraped: Vec<Scraped> = self
            .replicas
            .iter()
            .map(|replica| replica.scraped(self.at()))
            .collect();
        self.monitor.observe(self.at(), &scraped)
    }

    fn serve_ticks(&mut self, ticks: u32, right: f64, all: f64) -> Vec<Alert> {
        let ticks = (0..ticks).map(|_| self.serve(right, all));
        ticks
            .collect::<Vec<_>>()
            .into_iter()
            .flat_map(|tick| tick.alerts)
            .collect()
    }

    /// State and value of the judged series, with its labels.
    fn judged(&self) -> Vec<(String, judge::State, f64)> {
        let judged = self.monitor.judged();
        let mut all: Vec<_> = judged
            .map(|(_, sample, verdict)| {
                (
                    sample.labels.without_name().to_string(),
                    verdict.state,
                    sample.value,
                )
            })
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    fn only(&self) -> (judge::State, f64) {
        let judged = self.judged();
        assert_eq!(judged.len(), 1, "{judged:?}");
        (judged[0].1, judged[0].2)
    }
}

const ACCURACY: &str = "
groups:
- name: fraud
  rules:
  - watch: AccuracyDropped
    expr: sum(increase(right[5m])) / sum(increase(all[5m]))
    metric: accuracy
    strategy: {type: static, bound: 0.9}
    for: 30s
    no_data: alert
";

const PER_REPLICA: &str = "
groups:
- name: fraud
  rules:
  - watch: ReplicaInaccurate
    expr: sum by (instance) (increase(right[2m])) / sum by (instance) (increase(all[2m]))
    metric: accuracy
    strategy: {type: static, bound: 0.9}
";

const PER_VERSION: &str = "
groups:
- name: fraud
  rules:
  - watch: VersionInaccurate
    expr: sum by (model_version) (increase(right[2m])) / sum by (model_version) (increase(all[2m]))
    metric: accuracy
    strategy: {type: static, bound: 0.9}
";

fn states(alerts: &[Alert]) -> Vec<(String, AlertState)> {
    let named = alerts.iter().map(|alert| {
        let who = alert
            .labels
            .get("instance")
            .or(alert.labels.get("model_version"));
        (who.unwrap_or("").to_owned(), alert.state)
    });
    named.collect()
}

#[test]
fn a_new_replica_brings_its_counts_and_not_its_history() {
    let mut bench = Bench::new("", ACCURACY);
    bench.replicas = vec![Replica::new(1), Replica::new(2)];
    bench.discover();
    let alerts = bench.serve_ticks(30, 95.0, 100.0);
    assert!(alerts.is_empty(), "{alerts:?}");
    assert_eq!(bench.only(), (judge::State::Ok, 0.95));
    // A pod that has been serving badly for a year, and serves well now, says nothing about now.
    bench.replicas.push(Replica::with_history(3, 1e6, 1e7));
    bench.discover();
    for _ in 0..30 {
        let tick = bench.serve(95.0, 100.0);
        assert!(tick.alerts.is_empty());
        let (state, value) = bench.only();
        assert_eq!(state, judge::State::Ok);
        assert!((value - 0.95).abs() < 1e-9, "{value}");
    }
}

#[test]
fn a_replica_that_is_killed_neither_alerts_nor_resolves() {
    let mut bench = Bench::new("", ACCURACY);
    bench.replicas = (1..=3).map(Replica::new).collect();
    bench.discover();
    bench.serve_ticks(20, 95.0, 100.0);
    let fired = bench.serve_ticks(20, 50.0, 100.0);
    assert_eq!(states(&fired)[0].1, AlertState::Firing);
    // It hangs first, then DNS forgets it; the others are as bad as before.
    bench.replicas[2].down = true;
    let hanging = bench.serve_ticks(4, 50.0, 100.0);
    bench.replicas.pop();
    bench.discover();
    let gone = bench.serve_ticks(40, 50.0, 100.0);
    for alert in hanging.iter().chain(&gone) {
        assert_eq!(alert.state, AlertState::Firing, "{alert:?}");
    }
    let (state, value) = bench.only();
    assert_eq!(state, judge::State::Anomalous);
    assert!((value - 0.5).abs() < 1e-9, "{value}");
}

#[test]
fn scaled_to_zero_is_idle_and_not_missing_and_comes_back_as_it_was() {
    let mut bench = Bench::new("", ACCURACY);
    bench.replicas = vec![Replica::new(1)];
    bench.discover();
    bench.serve_ticks(20, 95.0, 100.0);
    bench.replicas.clear();
    bench.discover();
    // no_data is `alert`, and an hour passes: nothing runs, so nothing is missing.
    for _ in 0..240 {
        let tick = bench.serve(0.0, 0.0);
        assert!(tick.alerts.is_empty(), "{:?}", tick.alerts);
        let (state, value) = bench.only();
        assert_eq!(state, judge::State::Idle);
        assert!(value.is_nan());
    }
    bench.replicas = vec![Replica::new(7)];
    bench.discover();
    let alerts = bench.serve_ticks(20, 95.0, 100.0);
    assert!(alerts.is_empty(), "{alerts:?}");
    assert_eq!(bench.only(), (judge::State::Ok, 0.95));
}

#[test]
fn an_alert_that_fires_is_kept_while_nothing_runs() {
    let mut bench = Bench::new("", ACCURACY);
    bench.replicas = vec![Replica::new(1)];
    bench.discover();
    let fired = bench.serve_ticks(30, 50.0, 100.0);
    assert!(fired.iter().any(|alert| alert.state == AlertState::Firing));
    bench.replicas.clear();
    bench.discover();
    let kept = bench.serve_ticks(60, 0.0, 0.0);
    assert!(!kept.is_empty(), "the lease is renewed");
    assert!(
        kept.iter().all(|alert| alert.state == AlertState::Firing),
        "{kept:?}"
    );
    bench.replicas = vec![Replica::new(7)];
    bench.discover();
    let back = bench.serve_ticks(30, 95.0, 100.0);
    let ends = back
        .iter()
        .filter(|alert| alert.state == AlertState::Resolved);
    assert!(ends.count() >= 1, "good again, and only now it has ended");
}

#[test]
fn a_replica_without_traffic_is_idle_and_a_model_without_any_too() {
    let mut bench = Bench::new("", PER_REPLICA);
    bench.replicas = vec![Replica::new(1), Replica::new(2)];
    bench.discover();
    bench.serve_ticks(20, 95.0, 100.0);
    for _ in 0..12 {
        bench.replicas[0].serves(95.0, 100.0);
        let tick = bench.serve(0.0, 0.0);
        assert!(tick.alerts.is_empty());
    }
    let judged = bench.judged();
    let of = |index: usize| (judged[index].0.as_str(), judged[index].1);
    assert_eq!(of(0), ("{instance=\"10.0.0.1:8000\"}", judge::State::Ok));
    assert_eq!(of(1), ("{instance=\"10.0.0.2:8000\"}", judge::State::Idle));
}

#[test]
fn a_value_that_is_no_number_in_spite_of_traffic_is_not_idle() {
    let rules = ACCURACY.replace("sum(increase(right[5m]))", "sum(increase(right[5m])) * NaN");
    let mut bench = Bench::new("", &rules);
    bench.replicas = vec![Replica::new(1)];
    bench.discover();
    bench.serve_ticks(20, 95.0, 100.0);
    assert_eq!(bench.only().0, judge::State::InsufficientData);
}

#[test]
fn the_alerts_of_a_new_replica_wait_for_the_grace() {
    let mut bench = Bench::new("", PER_REPLICA);
    bench.replicas = vec![Replica::new(1)];
    bench.discover();
    bench.serve_ticks(20, 95.0, 100.0);
    bench.replicas.push(Replica::new(2));
    bench.discover();
    let mut fired = Vec::new();
    for tick in 0..40_u32 {
        bench.replicas[0].serves(95.0, 100.0);
        bench.replicas[1].serves(50.0, 100.0);
        let alerts = bench.serve(0.0, 0.0).alerts;
        fired.extend(alerts.iter().map(|_| tick * INTERVAL));
        for (who, state) in states(&alerts) {
            assert_eq!((who.as_str(), state), ("10.0.0.2:8000", AlertState::Firing));
        }
    }
    // Five minutes after it was found, and no sooner.
    assert_eq!(fired[0], 285);
}

#[test]
fn a_new_replica_that_is_fine_after_its_start_never_alerts() {
    let mut bench = Bench::new("", PER_REPLICA);
    bench.replicas = vec![Replica::new(1)];
    bench.discover();
    bench.serve_ticks(20, 95.0, 100.0);
    bench.replicas.push(Replica::new(2));
    bench.discover();
    for tick in 0..60 {
        bench.replicas[0].serves(95.0, 100.0);
        let right = if tick < 8 { 20.0 } else { 95.0 };
        bench.replicas[1].serves(right, 100.0);
        let alerts = bench.serve(0.0, 0.0).alerts;
        assert!(alerts.is_empty(), "{alerts:?}");
    }
}

#[test]
fn an_alert_of_a_replica_ends_when_it_stays_away_and_not_when_it_restarts() {
    let mut bench = Bench::new("", PER_REPLICA);
    bench.replicas = vec![Replica::new(1), Replica::new(2)];
    bench.discover();
    bench.serve_ticks(10, 95.0, 100.0);
    let bad = |bench: &mut Bench, ticks: u32| -> Vec<(String, AlertState)> {
        let mut all = Vec::new();
        for _ in 0..ticks {
            for replica in &mut bench.replicas {
                let right = if replica.host == 2 { 50.0 } else { 95.0 };
                replica.serves(right, 100.0);
            }
            all.extend(states(&bench.serve(0.0, 0.0).alerts));
        }
        all
    };
    let second = "10.0.0.2:8000".to_owned();
    let firing = (second.clone(), AlertState::Firing);
    assert_eq!(bad(&mut bench, 20)[0], firing);
    // Away for four minutes, back for a while.
    let away = bench.replicas.pop().unwrap();
    bench.discover();
    assert!(bad(&mut bench, 16).iter().all(|alert| *alert == firing));
    bench.replicas.push(away);
    bench.discover();
    assert!(bad(&mut bench, 16).iter().all(|alert| *alert == firing));
    // Away for good: the alert ends after five minutes.
    bench.replicas.pop();
    bench.discover();
    assert!(bad(&mut bench, 19).iter().all(|alert| *alert == firing));
    assert_eq!(bad(&mut bench, 1), [(second, AlertState::Resolved)]);
}

#[test]
fn a_new_version_waits_as_a_new_replica_does() {
    let mut bench = Bench::new("", PER_VERSION);
    bench.replicas = vec![Replica::new(1), Replica::new(2)];
    bench.discover();
    bench.serve_ticks(20, 95.0, 100.0);
    // The second replica is replaced by one with another version; the first rule of the first
    // version is not disturbed.
    bench.replicas[1] = Replica {
        version: "2",
        ..Replica::new(3)
    };
    bench.discover();
    let mut first = None;
    for tick in 0..40_u32 {
        bench.replicas[0].serves(95.0, 100.0);
        bench.replicas[1].serves(50.0, 100.0);
        for (version, state) in states(&bench.serve(0.0, 0.0).alerts) {
            assert_eq!((version.as_str(), state), ("2", AlertState::Firing));
            first.get_or_insert(tick * INTERVAL);
        }
    }
    // The version is first seen with its second scrape.
    assert_eq!(first, Some(315));
}

/// A learning watch that has seen version 1 for long and then meets version 2, which is worse.
fn learnt(model: &str) -> Bench {
    let rules = PER_VERSION.replace(
        "{type: static, bound: 0.9}",
        "{type: ewma, warm_up: 20, k_sigma: 4, min_deviation: 0.01}",
    );
    let mut bench = Bench::new(model, &rules);
    bench.replicas = vec![Replica::new(1)];
    bench.discover();
    for tick in 0..60 {
        let wiggle = f64::from(tick % 3);
        bench.serve(94.0 + wiggle, 100.0);
    }
    bench.replicas = vec![Replica {
        version: "2",
        ..Replica::new(2)
    }];
    bench.discover();
    bench.serve_ticks(8, 60.0, 100.0);
    bench
}

#[test]
fn a_new_version_is_judged_by_the_one_before_unless_the_baseline_is_reset() {
    let state = |bench: &Bench| {
        let judged = bench.judged();
        let of_version = judged.iter().find(|(labels, ..)| labels.contains("\"2\""));
        of_version.unwrap().1
    };
    assert_eq!(state(&learnt("")), judge::State::Anomalous);
    assert_eq!(state(&learnt(", baseline: reset")), judge::State::WarmingUp);
    assert_eq!(state(&learnt(", baseline: carry")), judge::State::Anomalous);
}

#[test]
fn the_alert_of_a_version_that_is_rolled_back_ends_after_the_grace() {
    let mut bench = Bench::new("", PER_VERSION);
    bench.replicas = vec![Replica::new(1)];
    bench.discover();
    bench.serve_ticks(20, 95.0, 100.0);
    bench.replicas.push(Replica {
        version: "2",
        ..Replica::new(2)
    });
    bench.discover();
    for _ in 0..40 {
        bench.replicas[0].serves(95.0, 100.0);
        bench.replicas[1].serves(50.0, 100.0);
        bench.serve(0.0, 0.0);
    }
    bench.replicas.pop();
    bench.discover();
    // Its last samples leave the range of two minutes first.
    let mut ended = None;
    for tick in 1..=60_u32 {
        for (version, state) in states(&bench.serve(95.0, 100.0).alerts) {
            assert_eq!(version, "2");
            if state == AlertState::Resolved {
                ended.get_or_insert(tick * INTERVAL);
            }
        }
    }
    let ended = ended.unwrap();
    assert!((300..=420).contains(&ended), "{ended}");
}

#[test]
fn the_alert_of_a_version_whose_replica_hangs_is_kept() {
    let mut bench = Bench::new("", PER_VERSION);
    bench.replicas = vec![
        Replica::new(1),
        Replica {
            version: "2",
            ..Replica::new(2)
        },
    ];
    bench.discover();
    for _ in 0..20 {
        bench.replicas[0].serves(95.0, 100.0);
        bench.replicas[1].serves(50.0, 100.0);
        bench.serve(0.0, 0.0);
    }
    bench.replicas[1].down = true;
    let alerts = bench.serve_ticks(80, 95.0, 100.0);
    assert!(!alerts.is_empty());
    for (version, state) in states(&alerts) {
        assert_eq!((version.as_str(), state), ("2", AlertState::Firing));
    }
}

#[test]
fn a_fleet_whose_pods_come_and_go_for_ever_is_judged_for_ever() {
    let mut bench = Bench::new(", rollout_grace: 1m", PER_REPLICA);
    // More pods in all than the strategies of one rule may be.
    for round in 0..52 {
        bench.replicas = (0..200)
            .map(|host| Replica::new(round * 200 + host))
            .collect();
        bench.discover();
        bench.serve_ticks(3, 95.0, 100.0);
    }
    let judged = bench.judged();
    // Those of now, and those that left less than a minute ago.
    assert_eq!(judged.len(), 400);
    for (labels, state, value) in judged {
        assert_eq!(state, judge::State::Ok, "{labels} {value}");
    }
}

#[test]
fn what_a_range_still_holds_of_a_replica_that_is_gone_raises_no_alert_again() {
    let mut bench = Bench::new(", rollout_grace: 30s", PER_REPLICA);
    bench.replicas = vec![Replica::new(1), Replica::new(2)];
    bench.discover();
    for _ in 0..20 {
        bench.replicas[0].serves(95.0, 100.0);
        bench.replicas[1].serves(50.0, 100.0);
        bench.serve(0.0, 0.0);
    }
    bench.replicas.pop();
    bench.discover();
    // The range of two minutes is longer than the grace.
    let told = states(&bench.serve_ticks(40, 95.0, 100.0));
    let ended = told
        .iter()
        .position(|(_, state)| *state == AlertState::Resolved);
    let after = told[ended.unwrap()..].iter();
    assert!(
        after
            .clone()
            .all(|(_, state)| *state == AlertState::Resolved),
        "{told:?}"
    );
}
