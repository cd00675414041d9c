//! The same traffic over 1, 3 or 50 replicas gives the same verdicts, because counts add up.
//!
//! Values are equal unless a counter has just started within the window. Prometheus' `increase`
//! extrapolates a series back to where it would have been zero, which depends on the series. In
//! that case the values agree within the extrapolation.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;
use sidewatch::internals::config::{Config, RuleReader, read_settings};
use sidewatch_engine::exposition::{Exposition, Format};
use sidewatch_engine::judge::{Registry, State};
use sidewatch_engine::metric::Timestamp;
use sidewatch_engine::monitor::{ModelMonitor, Scraped};
use sidewatch_engine::rules::RuleSet;

/// The bounds are no ratio of so few requests: at the bound itself the last bit would decide.
const RULES: &str = "
groups:
- name: fraud
  rules:
  - record: score_drift
    metric: prediction_drift
    drift:
      histogram: score_bucket
      by: [model_name]
      window: 2m
      reference: {buckets: {\"0.25\": 500, \"0.5\": 300, \"0.75\": 150, \"+Inf\": 50}}
      statistic: jensen_shannon
      min_samples: 200
  - watch: Accuracy
    expr: sum by (model_name) (increase(right[2m])) / sum by (model_name) (increase(all[2m]))
    metric: accuracy
    strategy: {type: static, bound: 0.90001}
  - watch: Latency
    expr: histogram_quantile(0.95, sum by (le, model_name) (rate(latency_bucket[2m])))
    strategy: {type: static, bound: 0.20001}
  - watch: Drift
    expr: score_drift
    strategy: {type: drift}
";

const BOUNDS: [&str; 4] = ["0.25", "0.5", "0.75", "+Inf"];
const TICKS: usize = 12;

/// One request: which replica of fifty it goes to, its latency and its score as buckets, and
/// whether it was right.
type Request = (usize, usize, usize, bool);

/// Watch, state and value.
type Said = (String, State, f64);

/// Counters of one replica.
#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    right: u64,
    all: u64,
    latency: [u64; 4],
    score: [u64; 4],
}

impl Counters {
    /// Those of a replica that has served for long.
    fn old() -> Self {
        Self {
            right: 900_000,
            all: 1_000_000,
            latency: [250_000; 4],
            score: [250_000; 4],
        }
    }

    fn count(&mut self, (_, latency, score, right): Request) {
        self.all += 1;
        self.right += u64::from(right);
        self.latency[latency] += 1;
        self.score[score] += 1;
    }

    fn exposition(&self) -> String {
        let mut text = String::new();
        writeln!(text, "right{{model_name=\"m\"}} {}", self.right).unwrap();
        writeln!(text, "all{{model_name=\"m\"}} {}", self.all).unwrap();
        for (name, counts) in [("latency", self.latency), ("score", self.score)] {
            let mut below = 0;
            for (bound, count) in BOUNDS.iter().zip(counts) {
                below += count;
                writeln!(
                    text,
                    "{name}_bucket{{model_name=\"m\",le=\"{bound}\"}} {below}"
                )
                .unwrap();
            }
        }
        text
    }
}

fn monitor() -> ModelMonitor {
    let text = "scrape: {discovery: {dns: \"fraud.ml.svc:8000\"}}";
    let settings = read_settings("c.yaml", text, &|_| None).unwrap();
    let registry = Registry::built_in();
    let reader = RuleReader {
        registry: &registry,
        interval: settings.global.scrape_interval,
    };
    let rules = RuleSet {
        groups: reader.read("r.yaml", RULES).unwrap(),
    };
    let config = Config {
        settings,
        rules,
        ..Config::default()
    };
    config.monitor(&registry)
}

/// What a judge of this many replicas, which begin with these counters, says after each tick:
/// watch, state, value.
fn judge(replicas: usize, begin: Counters, traffic: &[Vec<Request>]) -> Vec<Vec<Said>> {
    let mut monitor = monitor();
    let at = |tick: usize| Timestamp::from_millis(1_700_000_000_000 + 15_000 * tick as i64);
    let addresses: Vec<SocketAddr> = (0..replicas)
        .map(|host| SocketAddr::from(([10, 0, 0, host as u8], 8000)))
        .collect();
    monitor.discovered(&addresses, at(0));
    let mut counters = vec![begin; replicas];
    let mut said = Vec::new();
    // The first scrape comes before any request.
    for (tick, requests) in std::iter::once(&Vec::new()).chain(traffic).enumerate() {
        for request in requests {
            counters[request.0 % replicas].count(*request);
        }
        let scraped = counters.iter().map(|counters| Scraped {
            result: Ok(Exposition::new(
                counters.exposition(),
                Format::Text,
                at(tick),
            )),
            duration: Duration::from_millis(3),
        });
        monitor.observe(at(tick), &scraped.collect::<Vec<_>>());
        let judged = monitor.judged();
        said.push(
            judged
                .map(|(watch, sample, verdict)| (watch.to_owned(), verdict.state, sample.value))
                .collect(),
        );
    }
    said
}

fn requests() -> impl Strategy<Value = Vec<Vec<Request>>> {
    let request = (
        0..50_usize,
        0..4_usize,
        0..4_usize,
        prop::bool::weighted(0.9),
    );
    prop::collection::vec(prop::collection::vec(request, 0..150), TICKS)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_number_of_replicas_changes_no_verdict(traffic in requests()) {
        let one = judge(1, Counters::old(), &traffic);
        for replicas in [3, 50] {
            let many = judge(replicas, Counters::old(), &traffic);
            for (tick, (one, many)) in one.iter().zip(&many).enumerate() {
                prop_assert_eq!(one.len(), many.len(), "tick {} of {} replicas", tick, replicas);
                for ((watch, state, value), (_, of_many, value_of_many)) in one.iter().zip(many) {
                    prop_assert_eq!(state, of_many, "{} at tick {} of {} replicas", watch, tick, replicas);
                    let same = (value - value_of_many).abs() <= 1e-9 || value.is_nan() && value_of_many.is_nan();
                    prop_assert!(same, "{} at tick {} of {} replicas: {} and {}", watch, tick, replicas, value, value_of_many);
                }
            }
        }
    }
}

/// What `increase` may add to 8 scrapes of a window of 2 minutes: one interval of 15 s to the 105 s
/// between them.
const EXTRAPOLATED: f64 = 1.0 + 15.0 / 105.0;

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replicas_that_have_just_begun_differ_by_no_more_than_is_extrapolated(traffic in requests()) {
        let accuracy = |replicas| -> f64 {
            let said = judge(replicas, Counters::default(), &traffic);
            // The window is full and still reaches back to the first scrape.
            let (watch, _, value) = &said[7][0];
            assert_eq!(watch, "Accuracy");
            *value
        };
        let one = accuracy(1);
        for replicas in [3, 50] {
            let ratio = accuracy(replicas) / one;
            let bounds = 1.0 / EXTRAPOLATED..=EXTRAPOLATED;
            prop_assert!(one.is_nan() || bounds.contains(&ratio), "{} replicas: {}", replicas, ratio);
        }
    }
}

#[test]
fn the_verdicts_that_are_compared_are_of_every_kind() {
    let tick = |right: usize, latency: usize, score: usize| -> Vec<Request> {
        (0..100)
            .map(|n| (n, latency.min(n % 4), score.min(n % 4), n % 100 < right))
            .collect()
    };
    let good = judge(3, Counters::old(), &vec![tick(95, 0, 0); TICKS]);
    let bad = judge(3, Counters::old(), &vec![tick(50, 3, 3); TICKS]);
    let states = |said: &[Vec<Said>]| -> Vec<(String, State)> {
        let last = said.last().unwrap();
        last.iter()
            .map(|(watch, state, _)| (watch.clone(), *state))
            .collect()
    };
    let named = |accuracy, latency, drift| {
        vec![
            ("Accuracy".to_owned(), accuracy),
            ("Latency".to_owned(), latency),
            ("Drift".to_owned(), drift),
        ]
    };
    assert_eq!(
        states(&good),
        named(State::Ok, State::Anomalous, State::Anomalous)
    );
    assert_eq!(
        states(&bad),
        named(State::Anomalous, State::Anomalous, State::Anomalous)
    );
}
