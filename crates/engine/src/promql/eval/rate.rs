//! `rate`, `increase` and `delta`, and `irate` and `idelta`.

use super::ranges::{Bounds, Samples};
use crate::metric::Timestamp;
use crate::series::{ABSENT, Row};

/// The functions that extrapolate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extrapolation {
    /// Per second, of a counter.
    Rate,
    /// Over the range, of a counter.
    Increase,
    /// Over the range, of a gauge.
    Delta,
}

/// The time that samples cover, and by how much it is extrapolated on either side. The same for
/// every row of a block without gaps.
#[derive(Debug, Clone, Copy)]
struct Reach {
    first: i64,
    last: i64,
    points: usize,
    window: Bounds,
    /// Seconds between the first and the last sample.
    sampled: f64,
    /// Seconds of extrapolation before the first sample.
    before: f64,
    /// Seconds of extrapolation after the last sample.
    after: f64,
}

impl Reach {
    /// As in Prometheus (`extrapolatedRate`): a gap at either end of less than 1.1 times the
    /// average distance between samples is part of the series; after a longer gap the series starts
    /// or ends half a distance from its samples.
    fn new(first: i64, last: i64, points: usize, window: Bounds) -> Self {
        let sampled = seconds(last - first);
        #[expect(clippy::cast_precision_loss, reason = "a count of samples")]
        let distance = sampled / (points - 1) as f64;
        let threshold = distance * 1.1;
        let reach = |gap: f64| {
            if gap >= threshold {
                distance / 2.0
            } else {
                gap
            }
        };
        Self {
            first,
            last,
            points,
            window,
            sampled,
            before: reach(seconds(first - window.after)),
            after: reach(seconds(window.until - last)),
        }
    }
}

/// Extrapolates the increase between samples to the whole range.
#[derive(Debug)]
pub(super) struct Extrapolator {
    kind: Extrapolation,
    known: Option<Reach>,
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a range")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

impl Extrapolator {
    pub(super) fn new(kind: Extrapolation) -> Self {
        Self { kind, known: None }
    }

    /// The result for the common case, without a copy: a counter that was never absent, never NaN
    /// and never reset.
    pub(super) fn steady(&mut self, row: &Row<'_>, window: Bounds) -> Option<f64> {
        let [head, tail] = row.values;
        let first = *head.first()?;
        let last = *tail.last().or(head.last())?;
        let seam = match (head.last(), tail.first()) {
            (Some(before), Some(after)) => after >= before,
            _ => true,
        };
        let points = head.len() + tail.len();
        // The comparison fails for NaN, and so for every sentinel.
        if !(seam && is_rising(head) && is_rising(tail) && points >= 2) {
            return None;
        }
        let first_time = *row.times[0].first()?;
        let last_time = *row.times[1].last().or(row.times[0].last())?;
        let reach = self.reach(first_time, last_time, points, window);
        Some(self.scale(&reach, first, last - first))
    }

    /// The result for any samples; [`ABSENT`] for fewer than two.
    pub(super) fn general(&mut self, samples: &Samples<'_>) -> f64 {
        let Samples {
            times,
            values,
            window,
        } = *samples;
        let ([first_time, .., last_time], [first, .., last]) = (times, values) else {
            return ABSENT;
        };
        let mut growth = last - first;
        if self.kind != Extrapolation::Delta {
            for pair in values.windows(2) {
                if pair[1] < pair[0] {
                    growth += pair[0];
                }
            }
        }
        let reach = self.reach(*first_time, *last_time, values.len(), window);
        self.scale(&reach, *first, growth)
    }

    fn reach(&mut self, first: i64, last: i64, points: usize, window: Bounds) -> Reach {
        match self.known {
            Some(known)
                if known.first == first
                    && known.last == last
                    && known.points == points
                    && known.window == window =>
            {
                known
            }
            _ => *self.known.insert(Reach::new(first, last, points, window)),
        }
    }

    /// The extrapolated increase; a counter is not extrapolated below zero.
    fn scale(&self, reach: &Reach, first: f64, growth: f64) -> f64 {
        let mut before = reach.before;
        if self.kind != Extrapolation::Delta && growth > 0.0 && first >= 0.0 {
            before = before.min(reach.sampled * (first / growth));
        }
        let mut factor = (reach.sampled + before + reach.after) / reach.sampled;
        if self.kind == Extrapolation::Rate {
            factor /= seconds(reach.window.length());
        }
        growth * factor
    }
}

/// Whether no value is NaN or less than the one before it. Compares chunks without an early exit,
/// so that it vectorizes.
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

/// `irate` and `idelta`, from the last two samples.
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
    use super::{Extrapolation, Extrapolator, is_rising};
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
        Extrapolator::new(Extrapolation::Rate).general(&samples)
    }

    #[test]
    fn a_counter_reset_is_not_a_negative_rate() {
        // 30 before the reset and 20 after it: 50 in 45 s, extrapolated to the start of the range.
        let rate = rate(&[15_000, 30_000, 45_000, 60_000], &[10.0, 40.0, 10.0, 20.0]);
        assert!(
            (rate - 50.0 / 45.0 * (45.0 + 15.0_f64.min(45.0 * 10.0 / 50.0)) / 60.0).abs() < 1e-12
        );
    }

    #[test]
    fn a_gap_of_exactly_1_1_distances_is_not_part_of_the_series() {
        // Samples are 10 s apart. Of the 11 s before the first sample 5 s count, of the 9 s after
        // the last one all.
        let samples = Samples {
            times: &[11_000, 21_000, 31_000, 41_000, 51_000],
            values: &[0.0, 10.0, 20.0, 30.0, 40.0],
            window: WINDOW,
        };
        let delta = Extrapolator::new(Extrapolation::Delta).general(&samples);
        assert!((delta - 40.0 * (40.0 + 5.0 + 9.0) / 40.0).abs() < 1e-12);
    }

    #[test]
    fn one_sample_has_no_rate() {
        assert!(is_absent(rate(&[15_000], &[1.0])));
    }

    #[test]
    fn the_steady_path_equals_the_general_one_wherever_the_ring_wraps() {
        let times: Vec<i64> = (1..=40).map(|i| i * 1500).collect();
        let values: Vec<f64> = (1..=40).map(|i| f64::from(i * i)).collect();
        for cut in 1..=40 {
            let (t, v) = (times.split_at(cut), values.split_at(cut));
            let row = Row {
                times: [t.0, t.1],
                values: [v.0, v.1],
            };
            let steady = Extrapolator::new(Extrapolation::Rate)
                .steady(&row, WINDOW)
                .unwrap();
            assert_eq!(steady.to_bits(), rate(&times, &values).to_bits());
        }
    }

    #[test]
    fn the_steady_path_declines_a_reset_where_the_ring_wraps() {
        let row = Row {
            times: [&[15_000, 30_000], &[45_000, 60_000]],
            values: [&[5.0, 10.0], &[7.0, 8.0]],
        };
        let steady = Extrapolator::new(Extrapolation::Rate).steady(&row, WINDOW);
        assert_eq!(steady, None);
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
