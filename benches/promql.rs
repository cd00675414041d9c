//! The cost of one evaluation over 10,000 bucket series: 500 routes times 20 bounds, scraped every
//! 15 s.
//!
//! `cargo bench --bench promql` prints the time of one tick for a window of 5 minutes and of 1
//! hour: with the evaluation plan that a query keeps, and without it, as a plain tree walk.

use std::hint::black_box;
use std::io::{self, Write};
use std::time::Duration;

use sidewatch_engine::metric::{Appender, Labels, SeriesRef, Timestamp};
use sidewatch_engine::promql::{Expr, ExprValue, Query};
use sidewatch_engine::series::{ScrapeStats, Window, WindowLimits};

const ROUTES: usize = 500;
const BOUNDS: [&str; 20] = [
    "0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5", "10",
    "20", "50", "100", "200", "500", "1000", "+Inf",
];
const INTERVAL: u64 = 15;

/// The fastest of several calls, in milliseconds.
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark reads the clock"
)]
fn best_of(times: usize, mut call: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..times {
        let start = std::time::Instant::now();
        call();
        best = best.min(start.elapsed().as_secs_f64() * 1000.0);
    }
    best
}

fn window(minutes: u64) -> (Window, Timestamp) {
    let mut window = Window::new(WindowLimits {
        retention: Duration::from_secs(minutes * 60),
        interval: Duration::from_secs(INTERVAL),
        max_series: 20_000,
    });
    let target = window.add_target(Labels::new([("instance", "a:1")]));
    let mut series: Vec<SeriesRef> = Vec::new();
    let scrapes = minutes * 60 / INTERVAL + 2;
    let mut at = Timestamp::default();
    for scrape in 0..scrapes {
        at = Timestamp::default() + Duration::from_secs(1_700_000_000 + scrape * INTERVAL);
        let Some(block) = window.target_mut(target) else {
            break;
        };
        block.begin(at);
        for row in 0..ROUTES * BOUNDS.len() {
            let (route, bound) = (row / BOUNDS.len(), row % BOUNDS.len());
            if scrape == 0 {
                let pairs = [
                    ("route", format!("/r{route}")),
                    ("le", BOUNDS[bound].to_owned()),
                ];
                series.extend(block.resolve(&Labels::named("x", pairs)));
            }
            let value = scrape as f64 * (bound + 1) as f64 + route as f64;
            block.append(series[row], None, value);
        }
        block.commit(&ScrapeStats::default());
    }
    (window, at)
}

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (minutes, range, target) in [(5, "5m", 0.35), (60, "1h", 4.0)] {
        let (window, at) = window(minutes);
        let text = format!("histogram_quantile(0.99, sum by (le) (rate(x[{range}])))");
        let expr = Expr::parse(&text).map_err(io::Error::other)?;
        let mut query = Query::new(expr);
        let check = |query: &mut Query| {
            let result = query.eval(&window, at).map(|evaluation| evaluation.value);
            assert!(
                matches!(&result, Ok(ExprValue::Vector(v)) if v.len() == 1 && v[0].value > 0.0),
                "{result:?}"
            );
            black_box(result).is_ok()
        };
        check(&mut query);
        let planned = best_of(200, || {
            check(&mut query);
        });
        let walked = best_of(10, || {
            query.forget_plan();
            check(&mut query);
        });
        writeln!(
            out,
            "promql {range}: {planned:.3} ms a tick with the plan (target {target}), {walked:.2} ms as a tree walk, ratio {:.1}",
            walked / planned
        )?;
    }
    Ok(())
}
