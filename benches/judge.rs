//! `cargo bench --bench judge` prints the nanoseconds per sample and the memory of each strategy.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark reads the clock"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use sidewatch_engine::judge::{Registry, StrategyConfig, StrategyContext};
use sidewatch_engine::metric::{Direction, Labels, Metric, MetricSample, Timestamp};

const SAMPLES: u32 = 20_000;
const ROUNDS: usize = 5;

fn main() {
    let context = StrategyContext {
        direction: Direction::Both,
        interval: Duration::from_secs(15),
    };
    let samples: Vec<MetricSample> = (0..SAMPLES)
        .map(|i| {
            let noise = f64::from((i.wrapping_mul(2_654_435_761) >> 16) & 0xff) / 128.0;
            let at = Timestamp::from_millis(i64::from(i) * 15_000);
            MetricSample::new(Metric::Custom, Labels::empty(), 100.0 + noise, at)
        })
        .collect();
    let registry = Registry::built_in();
    println!("{:<14} {:>10}", "strategy", "ns/sample");
    for kind in registry
        .kinds()
        .filter(|kind| !["any_of", "all_of", "drift", "ratio"].contains(kind))
    {
        let mut config = StrategyConfig::new(kind);
        if kind == "static" {
            config = config.with("lower", 0.0);
        }
        let mut best = f64::INFINITY;
        for _ in 0..ROUNDS {
            let Ok(mut strategy) = registry.build(&config, &context) else {
                continue;
            };
            let start = Instant::now();
            for sample in &samples {
                black_box(strategy.judge(black_box(sample)));
            }
            best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(SAMPLES));
        }
        println!("{kind:<14} {best:>10.1}");
    }
}
