//! Any text is an expression or an error with a place in the text; whatever is accepted is evaluated without panic and
//! within its limits.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sidewatch::metric::{Labels, Timestamp};
use sidewatch::promql::{Batch, Expr, Options, Query, Value};
use sidewatch::series::{ABSENT, STALE};

static BATCH: LazyLock<Batch> = LazyLock::new(|| {
    let samples = |values: [f64; 8]| {
        let timed = |(i, v): (usize, f64)| (Timestamp::from_millis(i as i64 * 15_000), v);
        values.into_iter().enumerate().map(timed).collect()
    };
    let odd = [
        0.0,
        -1.0,
        f64::NAN,
        f64::INFINITY,
        STALE,
        f64::MAX,
        ABSENT,
        f64::MIN_POSITIVE,
    ];
    let rising = [1.0, 2.0, 4.0, 8.0, 1.0, 2.0, 4.0, 8.0];
    let mut series = vec![
        (Labels::named("a", [("l", "1")]), samples(odd)),
        (Labels::named("a", [("l", "2")]), samples(rising)),
        (
            Labels::named("b", [("l", "1"), ("m", "x")]),
            samples(rising),
        ),
    ];
    for le in ["0.1", "1", "+Inf", "nonsense"] {
        series.push((Labels::named("h", [("le", le)]), samples(rising)));
    }
    Batch::new(series)
});

const OPTIONS: Options = Options {
    lookback: Duration::from_secs(60),
    default_subquery_step: Duration::from_secs(15),
    delayed_name_removal: false,
    max_result_series: 100,
    max_samples: 20_000,
};

fuzz_target!(|text: &str| {
    let expr = match Expr::parse(text) {
        Ok(expr) => expr,
        Err(error) => {
            let shown = error.to_string();
            assert!(!shown.is_empty());
            if let Some(span) = error.span() {
                assert!(
                    span.start <= span.end && span.start <= text.len(),
                    "{shown}"
                );
            }
            return;
        }
    };
    let _reach = expr.reach();
    for delayed in [false, true] {
        let options = Options {
            delayed_name_removal: delayed,
            ..OPTIONS
        };
        let mut query = Query::with_options(expr.clone(), options);
        let at = Timestamp::from_millis(100_000);
        let first = query.eval(&*BATCH, at);
        let again = query.eval(&*BATCH, at);
        // The plan that is kept changes nothing.
        assert_eq!(format!("{first:?}"), format!("{again:?}"));
        if let Ok(evaluation) = first
            && let Value::Vector(samples) = evaluation.value
        {
            assert!(samples.len() <= OPTIONS.max_result_series);
        }
        let bounds = (Timestamp::from_millis(0), at);
        drop(query.eval_range(&*BATCH, bounds, Duration::from_secs(25)));
    }
});
