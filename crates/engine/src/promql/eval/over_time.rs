//! Statistics of the samples of a range.

use super::ranges::Samples;
use super::sum::{Mean, Sum, Variance};
use crate::metric::Timestamp;
use crate::series::ABSENT;

pub(super) fn sum(values: &[f64]) -> f64 {
    let mut sum = Sum::default();
    values.iter().for_each(|v| sum.add(*v));
    sum.value()
}

pub(super) fn mean(values: &[f64]) -> f64 {
    let mut mean = Mean::default();
    values.iter().for_each(|v| mean.add(*v));
    mean.value()
}

pub(super) fn variance(values: &[f64]) -> f64 {
    let mut variance = Variance::default();
    values.iter().for_each(|v| variance.add(*v));
    variance.value()
}

/// The index of the extreme value, as `replaces(new, best)` decides; that of a NaN only if all
/// values are NaN.
pub(super) fn extreme(values: &[f64], replaces: impl Fn(f64, f64) -> bool) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate().skip(1) {
        if replaces(*value, values[best]) || values[best].is_nan() {
            best = index;
        }
    }
    best
}

/// A quantile of values in any order, by linear interpolation; NaN counts as the smallest.
pub(super) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_unstable_by(|a, b| match (a.is_nan(), b.is_nan()) {
        (true, true) => std::cmp::Ordering::Equal,
        (true, false) => std::cmp::Ordering::Less,
        (false, true) => std::cmp::Ordering::Greater,
        (false, false) => a.total_cmp(b),
    });
    #[expect(clippy::cast_precision_loss, reason = "a count of samples")]
    let rank = q * (values.len() - 1) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to the length"
    )]
    let low = rank.floor() as usize;
    let high = (low + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[low] * (1.0 - weight) + values[high] * weight
}

/// The median absolute deviation from the median; overwrites the values.
pub(super) fn median_deviation(values: &mut [f64]) -> f64 {
    if values.iter().any(|v| v.is_nan()) {
        return f64::NAN;
    }
    let median = quantile(0.5, values);
    for value in values.iter_mut() {
        *value = (*value - median).abs();
    }
    quantile(0.5, values)
}

#[expect(clippy::float_cmp, reason = "a change is any change")]
#[expect(clippy::cast_precision_loss, reason = "a count of samples")]
pub(super) fn changes(values: &[f64]) -> f64 {
    let changed = |pair: &&[f64]| pair[1] != pair[0] && !(pair[0].is_nan() && pair[1].is_nan());
    values.windows(2).filter(changed).count() as f64
}

#[expect(clippy::cast_precision_loss, reason = "a count of samples")]
pub(super) fn resets(values: &[f64]) -> f64 {
    values.windows(2).filter(|pair| pair[1] < pair[0]).count() as f64
}

/// The slope per second of the least-squares line, and its value at the time `origin`.
#[expect(
    clippy::float_cmp,
    reason = "a constant series has a slope of exactly 0"
)]
fn line(samples: &Samples<'_>, origin: i64) -> (f64, f64) {
    let first = samples.values[0];
    if samples.values.iter().all(|v| *v == first) {
        return if first.is_infinite() {
            (f64::NAN, f64::NAN)
        } else {
            (0.0, first)
        };
    }
    let (mut x_sum, mut y_sum, mut xy_sum, mut xx_sum) = (
        Sum::default(),
        Sum::default(),
        Sum::default(),
        Sum::default(),
    );
    for (time, y) in samples.times.iter().zip(samples.values) {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a range")]
        let x = (time - origin) as f64 / 1000.0;
        x_sum.add(x);
        y_sum.add(*y);
        xy_sum.add(x * y);
        xx_sum.add(x * x);
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of samples")]
    let n = samples.values.len() as f64;
    let [x, y, xy, xx] = [x_sum, y_sum, xy_sum, xx_sum].map(|sum| sum.value());
    let slope = (xy - x * y / n) / (xx - x * x / n);
    (slope, y / n - slope * x / n)
}

pub(super) fn derivative(samples: &Samples<'_>) -> f64 {
    if samples.values.len() < 2 {
        return ABSENT;
    }
    line(samples, samples.times[0]).0
}

pub(super) fn predict(samples: &Samples<'_>, ahead: f64) -> f64 {
    if samples.values.len() < 2 {
        return ABSENT;
    }
    let (slope, now) = line(samples, samples.window.eval);
    slope * ahead + now
}

/// Holt's linear smoothing (1957): `s = f·x + (1−f)(s+b)`, `b = t(s−s′) + (1−t)b`,
/// initialized from the first two values.
pub(super) fn double_exponential(values: &[f64], smoothing: f64, trend: f64) -> f64 {
    let [first, second, ..] = values else {
        return ABSENT;
    };
    let (mut before, mut level, mut slope) = (*first, *first, second - first);
    for (index, value) in values.iter().enumerate().skip(1) {
        if index > 1 {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        before = level;
        level = smoothing * value + (1.0 - smoothing) * (level + slope);
    }
    level
}

/// The time of a sample, in seconds.
pub(super) fn time_of(samples: &Samples<'_>, index: usize) -> f64 {
    Timestamp::from_millis(samples.times[index]).as_secs_f64()
}
