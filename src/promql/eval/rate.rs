//! `rate`, `increase`, `delta` and their instant cousins.

use super::ranges::{Bounds, Samples};
use crate::metric::Timestamp;
use crate::series::{ABSENT, Row};

/// What of the three is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extrapolation {
    /// Per second, of a counter.
    Rate,
    /// Over the range, of a counter.
    Increase,
    /// Over the range, of a gauge.
    Delta,
}

/// The first and last sample of a range, and the growth between them.
#[derive(Debug, Clone, Copy)]
struct Growth {
    first: (i64, f64),
    last: (i64, f64),
    points: usize,
    growth: f64,
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a range")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

/// The common case without a copy: a counter that was never absent, never NaN and never reset.
pub(super) fn extrapolate_steady(
    row: &Row<'_>,
    window: Bounds,
    kind: Extrapolation,
) -> Option<f64> {
    let [head, tail] = row.values;
    let first = *head.first()?;
    let last = *tail.last().or(head.last())?;
    let seam = match (head.last(), tail.first()) {
        (Some(before), Some(after)) => after >= before,
        _ => true,
    };
    // The comparison fails for NaN, and so for every sentinel.
    if !(seam && is_rising(head) && is_rising(tail) && head.len() + tail.len() >= 2) {
        return None;
    }
    let growth = Growth {
        first: (*row.times[0].first()?, first),
        last: (*row.times[1].last().or(row.times[0].last())?, last),
        points: head.len() + tail.len(),
        growth: last - first,
    };
    Some(extrapolated(&growth, window, kind))
}

/// Whether no value is below the one before it, and none is NaN. Without an early exit, so that it vectorises.
fn is_rising(values: &[f64]) -> bool {
    let Some((_, later)) = values.split_first() else {
        return true;
    };
    let falls = |before: &f64, after: &f64| 1 - u32::from(after >= before);
    let mut chunks = values.chunks_exact(16).zip(later.chunks_exact(16));
    let whole = chunks.len() * 16;
    let steady = chunks.all(|(before, after)| {
        before
            .iter()
            .zip(after)
            .map(|(b, a)| falls(b, a))
            .sum::<u32>()
            == 0
    });
    let rest = values[whole..].iter().zip(&later[whole..]);
    steady && rest.map(|(b, a)| falls(b, a)).sum::<u32>() == 0
}

/// Any range of samples; [`ABSENT`] with fewer than two.
pub(super) fn extrapolate(samples: &Samples<'_>, kind: Extrapolation) -> f64 {
    let Samples {
        times,
        values,
        window,
    } = *samples;
    if values.len() < 2 {
        return ABSENT;
    }
    let mut growth = values[values.len() - 1] - values[0];
    if kind != Extrapolation::Delta {
        for pair in values.windows(2) {
            if pair[1] < pair[0] {
                growth += pair[0];
            }
        }
    }
    let growth = Growth {
        first: (times[0], values[0]),
        last: (times[times.len() - 1], values[values.len() - 1]),
        points: values.len(),
        growth,
    };
    extrapolated(&growth, window, kind)
}

/// Scales a growth to the whole range.
///
/// A gap at either end that is not much longer than the usual distance of samples is taken to be part of the series;
/// otherwise the series is taken to start or end half a distance outside of its samples. A counter is never
/// extrapolated below zero.
fn extrapolated(growth: &Growth, window: Bounds, kind: Extrapolation) -> f64 {
    let sampled = seconds(growth.last.0 - growth.first.0);
    #[expect(clippy::cast_precision_loss, reason = "a count of samples")]
    let distance = sampled / (growth.points - 1) as f64;
    let threshold = distance * 1.1;
    let reach = |gap: f64| {
        if gap >= threshold {
            distance / 2.0
        } else {
            gap
        }
    };
    let mut before = reach(seconds(growth.first.0 - window.after));
    let after = reach(seconds(window.until - growth.last.0));
    if kind != Extrapolation::Delta && growth.growth > 0.0 && growth.first.1 >= 0.0 {
        before = before.min(sampled * (growth.first.1 / growth.growth));
    }
    let mut factor = (sampled + before + after) / sampled;
    if kind == Extrapolation::Rate {
        factor /= seconds(window.length());
    }
    growth.growth * factor
}

/// `irate` and `idelta`: the last two samples.
pub(super) fn instant(samples: &Samples<'_>, is_rate: bool) -> f64 {
    let ([.., t1, t2], [.., v1, v2]) = (samples.times, samples.values) else {
        return ABSENT;
    };
    let sampled = Timestamp::from_millis(*t2).since(Timestamp::from_millis(*t1));
    if sampled.is_zero() {
        return ABSENT;
    }
    match is_rate {
        true if v2 < v1 => v2 / sampled.as_secs_f64(),
        true => (v2 - v1) / sampled.as_secs_f64(),
        false => v2 - v1,
    }
}

#[cfg(test)]
mod tests {
    use super::{Extrapolation, extrapolate, extrapolate_steady, is_rising};
    use crate::promql::eval::ranges::{Bounds, Samples};
    use crate::series::{ABSENT, Row, is_absent};

    const WINDOW: Bounds = Bounds {
        after: 0,
        until: 60_000,
        eval: 60_000,
    };

    fn rate(times: &[i64], values: &[f64]) -> f64 {
        let samples = Samples {
            times,
            values,
            window: WINDOW,
        };
        extrapolate(&samples, Extrapolation::Rate)
    }

    #[test]
    fn a_counter_reset_is_not_a_negative_rate() {
        // 30 up to the reset, 20 after it: 50 in 45 s, and 15 s more at the end belong to the range.
        let rate = rate(&[15_000, 30_000, 45_000, 60_000], &[10.0, 40.0, 10.0, 20.0]);
        assert!(
            (rate - 50.0 / 45.0 * (45.0 + 15.0_f64.min(45.0 * 10.0 / 50.0)) / 60.0).abs() < 1e-12
        );
    }

    #[test]
    fn one_sample_has_no_rate() {
        assert!(is_absent(rate(&[15_000], &[1.0])));
    }

    #[test]
    fn the_steady_path_equals_the_general_one_wherever_the_ring_is_cut() {
        let times: Vec<i64> = (1..=40).map(|i| i * 1500).collect();
        let values: Vec<f64> = (1..=40).map(|i| f64::from(i * i)).collect();
        for cut in 1..=40 {
            let (t, v) = (times.split_at(cut), values.split_at(cut));
            let row = Row {
                times: [t.0, t.1],
                values: [v.0, v.1],
            };
            let steady = extrapolate_steady(&row, WINDOW, Extrapolation::Rate).unwrap();
            assert_eq!(steady.to_bits(), rate(&times, &values).to_bits());
        }
    }

    #[test]
    fn the_steady_path_declines_resets_and_gaps_anywhere() {
        for length in [2, 16, 17, 33, 50] {
            let values: Vec<f64> = (0..length).map(f64::from).collect();
            assert!(is_rising(&values));
            for at in 0..values.len() {
                for bad in [ABSENT, f64::NAN, -1.0] {
                    let mut values = values.clone();
                    values[at] = bad;
                    let is_start = at == 0 && bad < 0.0;
                    assert_eq!(is_rising(&values), is_start, "{bad} at {at} of {length}");
                }
            }
        }
    }
}
