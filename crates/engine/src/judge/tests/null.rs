//! False alarms on streams without a change.

use std::time::Duration;

use crate::judge::{Registry, StrategyConfig, StrategyContext};
use crate::metric::{Direction, Labels, Metric, MetricSample, Timestamp};

const ROWS: u32 = 20_000;
const ROW_SECONDS: u64 = 300;

/// xorshift64 (Marsaglia 2003).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (f64::from(u32::try_from(self.0 >> 32).unwrap()) + 0.5) / 4_294_967_296.0
    }

    pub(super) fn normal(&mut self) -> f64 {
        let (u, v) = (self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

pub(super) fn stream(name: &str, seed: u64) -> Vec<f64> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..20 {
        random.uniform();
    }
    let mut last = 0.0;
    (0..ROWS)
        .map(|i| match name {
            "normal" => random.normal(),
            "lognormal" => random.normal().exp(),
            "t3" => {
                let chi: f64 = (0..3).map(|_| random.normal().powi(2)).sum();
                random.normal() / (chi / 3.0).sqrt()
            }
            "uniform" => random.uniform(),
            "ar6" | "ar9" | "walk" => {
                let phi = match name {
                    "ar6" => 0.6,
                    "ar9" => 0.9,
                    _ => 1.0,
                };
                last = phi * last + random.normal();
                last
            }
            "sine" => (f64::from(i) / 288.0 * std::f64::consts::TAU).sin() * 3.0 + random.normal(),
            "binomial" => {
                f64::from((0..200).filter(|_| random.uniform() < 0.9).count() as u32) / 200.0
            }
            other => panic!("no stream {other}"),
        })
        .collect()
}

/// Events per 10,000 rows over several seeds, with the strategy's cooldown; rows are five minutes
/// apart.
fn events(json: &str, name: &str, seeds: u64) -> f64 {
    let config: StrategyConfig = serde_json::from_str(json).unwrap();
    let context = StrategyContext {
        direction: Direction::Both,
        interval: Duration::ZERO,
    };
    let mut events = 0;
    for seed in 1..=seeds {
        let mut strategy = Registry::built_in().build(&config, &context).unwrap();
        let cooldown = usize::try_from(strategy.cooldown().as_secs() / ROW_SECONDS).unwrap();
        let mut scores: Vec<f64> = Vec::new();
        for (i, value) in stream(name, seed).into_iter().enumerate() {
            let at = Timestamp::from_millis(
                i64::try_from(u64::try_from(i).unwrap() * ROW_SECONDS * 1000).unwrap(),
            );
            let verdict = strategy.judge(&MetricSample::new(
                Metric::Custom,
                Labels::empty(),
                value,
                at,
            ));
            let score = verdict.score.unwrap_or(0.0);
            let recent = &scores[scores.len().saturating_sub(cooldown)..];
            events += u32::from(score > 1.0 && recent.iter().all(|before| score > *before));
            scores.push(score);
        }
    }
    f64::from(events) / (f64::from(u32::try_from(seeds).unwrap()) * f64::from(ROWS) / 10_000.0)
}

const STREAMS: [&str; 9] = [
    "normal",
    "lognormal",
    "t3",
    "uniform",
    "ar6",
    "ar9",
    "sine",
    "binomial",
    "walk",
];

#[test]
fn novelty_raises_at_most_12_events_per_10000_rows_without_a_change() {
    for name in STREAMS {
        let rate = events(r#"{"type":"novelty"}"#, name, 2);
        assert!(rate <= 12.0, "{name}: {rate}");
    }
}

/// Rows in a day.
const A_DAY: f64 = 288.0;

/// Series without a past cannot be ranked, so the first weeks are not within the budget of streams
/// with heavy tails; the whole 69 days are.
#[test]
fn auto_keeps_its_budget_without_a_change() {
    for (budget, days) in [("1/d", 1.0), ("1/7d", 7.0)] {
        for name in STREAMS {
            let rate = events(
                &format!(r#"{{"type":"auto","budget":"{budget}"}}"#),
                name,
                2,
            );
            let most = 10_000.0 / A_DAY / days;
            assert!(rate <= most, "{budget} {name}: {rate}, more than {most}");
        }
    }
}

#[test]
fn shift_keeps_its_budget_on_exchangeable_and_whitened_ar_streams() {
    for name in ["normal", "lognormal", "t3", "uniform", "binomial", "ar6"] {
        let rate = events(r#"{"type":"shift","budget":2000}"#, name, 3);
        // A budget of 2000 rows is 5 events per 10,000.
        assert!(rate <= 5.0, "{name}: {rate}");
    }
}

/// Prints the whole table: `cargo test --release -p sidewatch-engine judge::tests::null --
/// --ignored --nocapture`.
#[test]
#[ignore = "a minute, prints the table of docs/DETECTION.md"]
fn the_null_suite_with_ten_seeds() {
    for json in [
        r#"{"type":"novelty"}"#,
        r#"{"type":"ewma"}"#,
        r#"{"type":"shift","budget":2000}"#,
        r#"{"type":"auto"}"#,
        r#"{"type":"auto","budget":"1/7d"}"#,
        r#"{"type":"auto","budget":"1/30d"}"#,
    ] {
        for name in STREAMS {
            println!("{json} {name} {:.2}", events(json, name, 10));
        }
    }
}
