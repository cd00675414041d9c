//! Quantiles and fractions of classic histograms.

/// A cumulative bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bucket {
    /// The upper bound, inclusive.
    pub(super) le: f64,
    /// Observations at or below the bound.
    pub(super) count: f64,
}

/// Counts with a smaller relative difference differ only by floating point errors.
const NOISE: f64 = 1e-12;

/// Adds up buckets with equal bounds; the buckets must be sorted by bound.
#[expect(
    clippy::float_cmp,
    reason = "bounds are equal when they are written equal"
)]
pub(super) fn merge(buckets: &mut Vec<Bucket>) {
    buckets.dedup_by(|later, kept| {
        let same = later.le == kept.le;
        if same {
            kept.count += later.count;
        }
        same
    });
}

/// Makes the counts monotonic; returns whether one fell by more than floating point errors.
pub(super) fn flatten(buckets: &mut [Bucket]) -> bool {
    let mut fell = false;
    let mut previous = match buckets.first() {
        Some(first) => first.count,
        None => return false,
    };
    for bucket in &mut buckets[1..] {
        let is_noise = is_close(previous, bucket.count);
        if is_noise || bucket.count < previous {
            fell |= !is_noise;
            bucket.count = previous;
        }
        previous = bucket.count;
    }
    fell
}

fn is_close(a: f64, b: f64) -> bool {
    let (difference, size) = ((a - b).abs(), a.abs() + b.abs());
    let smallest = f64::MIN_POSITIVE;
    if a.abs() < smallest || b.abs() < smallest || size < smallest {
        return difference <= NOISE * smallest;
    }
    difference / size.min(f64::MAX) < NOISE
}

/// The `q`-quantile of sorted, merged and flattened buckets, interpolated linearly within a bucket.
///
/// The first bucket starts at 0 if its bound is positive. A quantile in the last bucket is the
/// bound before it.
pub(super) fn quantile(q: f64, buckets: &[Bucket]) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let [.., before_last, last] = buckets else {
        return f64::NAN;
    };
    if last.le != f64::INFINITY || last.count.is_nan() || last.count <= 0.0 {
        return f64::NAN;
    }
    let rank = q * last.count;
    let finite = &buckets[..buckets.len() - 1];
    let Some(index) = finite.iter().position(|bucket| bucket.count >= rank) else {
        return before_last.le;
    };
    let bucket = finite[index];
    if index == 0 {
        return if bucket.le <= 0.0 {
            bucket.le
        } else {
            bucket.le * (rank / bucket.count)
        };
    }
    let below = finite[index - 1];
    below.le + (bucket.le - below.le) * ((rank - below.count) / (bucket.count - below.count))
}

/// The share of observations between two values, for sorted and merged buckets.
pub(super) fn fraction(lower: f64, upper: f64, buckets: &[Bucket]) -> f64 {
    let total = match buckets.last() {
        Some(last) if last.le == f64::INFINITY => last.count,
        _ => return f64::NAN,
    };
    if total.is_nan() || total == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (observations_below(upper, buckets).min(total) - observations_below(lower, buckets).min(total))
        / total
}

/// The observations below a value, interpolated linearly within a bucket. For a finite value in the
/// last bucket no observation of that bucket counts.
fn observations_below(value: f64, buckets: &[Bucket]) -> f64 {
    if value == f64::NEG_INFINITY {
        return 0.0;
    }
    let mut below = Bucket {
        le: f64::NEG_INFINITY,
        count: 0.0,
    };
    for bucket in buckets {
        if value <= bucket.le {
            let inside = bucket.count - below.count;
            return match (below.le.is_infinite(), bucket.le > 0.0) {
                _ if bucket.le.is_infinite() && value.is_finite() => below.count,
                _ if bucket.le.is_infinite() => bucket.count,
                // A first bucket with a positive bound starts at 0; the start of another is
                // unknown.
                (true, true) => inside * (value.max(0.0) / bucket.le),
                (true, false) => bucket.count,
                (false, _) => below.count + inside * (value - below.le) / (bucket.le - below.le),
            };
        }
        below = *bucket;
    }
    below.count
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "the figures are exact in binary")]
mod tests {
    use super::{Bucket, flatten, fraction, merge, quantile};

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs
            .iter()
            .map(|(le, count)| Bucket {
                le: *le,
                count: *count,
            })
            .collect()
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn a_quantile_in_the_last_bucket_is_the_bound_before() {
        let buckets = buckets(&[(1.0, 5.0), (2.0, 6.0), (INF, 10.0)]);
        assert_eq!(quantile(0.99, &buckets), 2.0);
        assert_eq!(quantile(0.25, &buckets), 0.5);
    }

    #[test]
    fn a_count_that_falls_by_rounding_is_flattened_and_not_reported() {
        let mut noisy = buckets(&[(1.0, 1e6), (2.0, 1e6 - 1e-7), (INF, 2e6)]);
        assert!(!flatten(&mut noisy));
        assert_eq!(noisy[1].count, 1e6);
        let mut broken = buckets(&[(1.0, 1e6), (2.0, 1e6 - 1.0), (INF, 2e6)]);
        assert!(flatten(&mut broken));
        assert_eq!(broken[1].count, 1e6);
    }

    #[test]
    fn without_an_infinite_bucket_or_observations_there_is_no_quantile() {
        assert!(quantile(0.5, &buckets(&[(1.0, 5.0), (2.0, 6.0)])).is_nan());
        assert!(quantile(0.5, &buckets(&[(1.0, 0.0), (INF, 0.0)])).is_nan());
        assert!(quantile(0.5, &buckets(&[(INF, 3.0)])).is_nan());
        assert!(quantile(0.5, &[]).is_nan());
    }

    #[test]
    fn a_real_fall_is_flattened_and_reported() {
        let mut noisy = buckets(&[(1.0, 1.0), (2.0, 1.0 - 1e-14), (INF, 2.0)]);
        assert!(!flatten(&mut noisy));
        assert_eq!(noisy[1].count, 1.0);
        let mut falling = buckets(&[(1.0, 5.0), (2.0, 3.0), (INF, 6.0)]);
        assert!(flatten(&mut falling));
        assert_eq!(falling[1].count, 5.0);
    }

    #[test]
    fn infinite_counts_do_not_fall() {
        let mut endless = buckets(&[(1.0, 1.0), (2.0, INF), (INF, INF)]);
        assert!(!flatten(&mut endless));
        assert_eq!(endless[2].count, INF);
    }

    #[test]
    fn equal_bounds_are_added() {
        let mut twice = buckets(&[(1.0, 1.0), (1.0, 2.0), (INF, 3.0)]);
        merge(&mut twice);
        assert_eq!(twice, buckets(&[(1.0, 3.0), (INF, 3.0)]));
    }

    #[test]
    fn a_fraction_is_interpolated() {
        let buckets = buckets(&[(1.0, 1.0), (2.0, 3.0), (INF, 10.0)]);
        assert_eq!(fraction(0.0, 1.5, &buckets), 0.2);
        assert_eq!(fraction(f64::NEG_INFINITY, INF, &buckets), 1.0);
    }
}
