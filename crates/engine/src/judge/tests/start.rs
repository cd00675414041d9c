//! Strategies that see slow values first: a model that loads, or a cold cache.

use super::null::{Random, stream};
use super::{at, built};

/// `ewma` as the packs configure it.
const PACK: &str = r#"{"type":"ewma","k_sigma":5,"warm_up":10,"clip_sigma":2,"min_deviation":2,"min_relative_deviation":0.12}"#;

/// Judges a latency of about 100 every 15 seconds. It is four times as high for the first `slow`
/// values, and 2.2 times as high after an hour and a half; the result is whether that is seen.
fn sees_an_incident_after_a_slow_start(json: &str, slow: i64, seed: u64) -> bool {
    let mut strategy = built(json);
    let mut random = Random(seed);
    let mut latency = |factor: f64| factor * 100.0 * (0.05 * random.normal()).exp();
    for step in 0..360 {
        let factor = if step < slow { 4.0 } else { 1.0 };
        strategy.judge(&at(latency(factor), step * 15));
    }
    strategy.judge(&at(latency(2.2), 360 * 15)).is_anomalous()
}

#[test]
fn a_slow_start_does_not_hide_an_incident_after_an_hour_and_a_half() {
    for json in [
        PACK,
        r#"{"type":"ewma"}"#,
        r#"{"type":"mad"}"#,
        r#"{"type":"seasonal"}"#,
    ] {
        for slow in [1, 5, 10, 20, 30, 60, 120] {
            for seed in 1..=10 {
                assert!(
                    sees_an_incident_after_a_slow_start(json, slow, seed),
                    "{json}, {slow} slow values, seed {seed}"
                );
            }
        }
    }
}

#[test]
fn the_upper_limit_comes_down_within_half_an_hour_of_a_slow_start() {
    for slow in [1_i64, 5, 10, 20, 30, 60, 120] {
        let mut strategy = built(PACK);
        let mut random = Random(u64::try_from(slow).unwrap() + 1);
        let mut upper = f64::MAX;
        for step in 0..slow + 120 {
            let factor = if step < slow { 4.0 } else { 1.0 };
            let value = factor * 100.0 * (0.05 * random.normal()).exp();
            let verdict = strategy.judge(&at(value, step * 15));
            upper = verdict.expected.upper.unwrap_or(f64::MAX);
        }
        assert!(upper < 220.0, "{slow} slow values: {upper}");
    }
}

#[test]
fn refused_requests_while_a_model_loads_do_not_become_usual() {
    let mut share = built(
        r#"{"type":"ewma","warm_up":10,"clip_sigma":2,"min_deviation":0.01,"direction":"above"}"#,
    );
    for step in 0..200 {
        let value = if step < 15 { 0.85 } else { 0.0 };
        share.judge(&at(value, step * 15));
    }
    let verdict = share.judge(&at(0.3, 200 * 15));
    assert!(verdict.is_anomalous(), "{verdict:?}");
}

/// Anomalous values per 10,000 of the plain recursion, which starts from the first value.
fn plain(values: &[f64], warm_up: usize, clip: f64) -> usize {
    let (alpha, k): (f64, f64) = (0.005, 5.0);
    let (mut mean, mut variance, mut anomalous) = (values[0], 0.0_f64, 0);
    for (at, x) in values.iter().enumerate() {
        let sigma = variance.sqrt().max(1e-9 + 1e-3 * mean.abs());
        let mut d = x - mean;
        if at >= warm_up {
            anomalous += usize::from(d.abs() > k * sigma);
            d = d.clamp(-clip * sigma, clip * sigma);
        }
        let alpha = alpha.max(1.0 / (at + 1) as f64);
        mean += alpha * d;
        variance = (1.0 - alpha) * (variance + alpha * d * d);
    }
    anomalous
}

#[test]
fn the_start_raises_no_more_false_alarms_than_the_plain_recursion() {
    for (warm_up, clip) in [(50, 6.0), (10, 2.0)] {
        let json = format!(r#"{{"type":"ewma","warm_up":{warm_up},"clip_sigma":{clip}}}"#);
        for name in ["normal", "lognormal", "ar9", "t3"] {
            let (mut ours, mut theirs) = (0, 0);
            for seed in 1..=10 {
                // Each thousand values is a start of its own.
                for values in stream(name, seed).chunks(1000) {
                    let mut strategy = built(&json);
                    let judged = (0..).zip(values).map(|(step, x)| at(*x, step * 15));
                    ours += judged
                        .filter(|sample| strategy.judge(sample).is_anomalous())
                        .count();
                    theirs += plain(values, warm_up, clip);
                }
            }
            let most = theirs + theirs / 50 + 5;
            assert!(
                ours <= most,
                "{name}, warm_up {warm_up}: {ours} anomalous values, {theirs} of the recursion"
            );
        }
    }
}

#[test]
fn a_start_without_slow_values_is_that_of_the_recursion() {
    for values in stream("normal", 3).chunks(2000) {
        let mut strategy = built(r#"{"type":"ewma","warm_up":10}"#);
        let (mut mean, mut variance) = (values[0], 0.0);
        for (n, x) in (1_u32..).zip(&values[..50]) {
            let centre = strategy.judge(&at(*x, i64::from(n))).expected.centre;
            assert!(centre.is_none_or(|centre| (centre - mean).abs() < 1e-9));
            let d = x - mean;
            mean += d / f64::from(n);
            variance = (1.0 - 1.0 / f64::from(n)) * (variance + d * d / f64::from(n));
        }
        let band = strategy.judge(&at(0.0, 51)).expected;
        let (lower, upper) = (band.lower.unwrap(), band.upper.unwrap());
        assert!((upper - lower - 10.0 * variance.sqrt()).abs() < 1e-9);
    }
}
