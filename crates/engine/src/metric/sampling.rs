//! How many observations a value was computed from, and what that says about the true value.

/// How many standard errors the interval of a quantile reaches to each side: it misses the true
/// value once in 370 windows.
const Z_QUANTILE: f64 = 3.0;
/// The same for a proportion. The spread that a band learns from proportions holds their sampling
/// error already.
const Z_PROPORTION: f64 = 1.0;

/// The observations behind a value that was computed from a sample, such as a quantile of the
/// requests of a minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// The number of observations; not whole when it was extrapolated.
    pub count: f64,
    /// The lower and the upper end of the interval in which the true value plausibly lies; `None`
    /// if only the number is known.
    pub interval: Option<(f64, f64)>,
}

impl Sampling {
    /// A number of observations without an interval.
    #[must_use]
    pub fn of(count: f64) -> Self {
        Self {
            count,
            interval: None,
        }
    }

    /// The point of the interval that is nearest to `centre`; the value if there is no interval.
    #[must_use]
    pub fn nearest(&self, value: f64, centre: f64) -> f64 {
        match self.interval {
            Some((lower, upper)) => centre.max(lower.min(value)).min(upper.max(value)),
            None => value,
        }
    }
}

/// The ranks, as shares of all observations, between which the true `q`-quantile of a population
/// plausibly lies, given a sample of `count`.
///
/// The number of observations below the true quantile is binomial. Its bounds are those of the
/// normal distribution, corrected for the skewness of the binomial (Cornish and Fisher), which
/// matters for high quantiles of few observations.
pub(crate) fn plausible_ranks(q: f64, count: f64) -> (f64, f64) {
    if count.is_nan() || count <= 0.0 {
        return (0.0, 1.0);
    }
    let deviation = Z_QUANTILE * (q * (1.0 - q) / count).sqrt();
    let skewness = (Z_QUANTILE * Z_QUANTILE - 1.0) * (1.0 - 2.0 * q) / (6.0 * count);
    let rank = |rank: f64| rank.clamp(0.0, 1.0);
    (
        rank(q - deviation + skewness).min(q),
        rank(q + deviation + skewness).max(q),
    )
}

/// The interval in which the true proportion plausibly lies, given the proportion of a sample of
/// `count` (Wilson 1927). `None` if `share` is no proportion.
pub(crate) fn plausible_proportion(share: f64, count: f64) -> Option<(f64, f64)> {
    if !(0.0..=1.0).contains(&share) {
        return None;
    }
    if count.is_nan() || count <= 0.0 {
        return Some((0.0, 1.0));
    }
    let z = Z_PROPORTION * Z_PROPORTION / count;
    let centre = (share + z / 2.0) / (1.0 + z);
    let variance = share * (1.0 - share) / count + z / (4.0 * count);
    let width = Z_PROPORTION / (1.0 + z) * variance.sqrt();
    Some(((centre - width).max(0.0), (centre + width).min(1.0)))
}

#[cfg(test)]
mod tests {
    use super::{Sampling, plausible_proportion, plausible_ranks};

    /// The share of binomial samples in which at most `most` of `n` succeed.
    fn at_most(most: usize, n: usize, p: f64) -> f64 {
        let mut term = (1.0 - p).powi(i32::try_from(n).unwrap());
        let mut sum = term;
        for k in 1..=most {
            let [k, n] = [k, n].map(|x| f64::from(u32::try_from(x).unwrap()));
            term *= (n - k + 1.0) / k * p / (1.0 - p);
            sum += term;
        }
        sum
    }

    #[test]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank"
    )]
    fn the_true_quantile_is_rarely_below_the_plausible_ranks() {
        for n in [8_u32, 12, 20, 60, 240, 1000] {
            let (lower, _) = plausible_ranks(0.95, f64::from(n));
            let rank = (lower * f64::from(n)).floor() as usize;
            let missed = at_most(rank.saturating_sub(1), n as usize, 0.95);
            assert!(missed < 0.003, "{n} observations: {missed}");
        }
    }

    #[test]
    fn more_observations_narrow_the_ranks_around_the_quantile() {
        let (lower, upper) = plausible_ranks(0.95, 1e6);
        assert!(lower > 0.949 && upper < 0.951, "{lower} to {upper}");
        assert_eq!(plausible_ranks(0.95, 0.0), (0.0, 1.0));
        let (lower, upper) = plausible_ranks(0.95, 1.0);
        assert!(lower <= 0.0 && upper >= 0.95, "{lower} to {upper}");
    }

    #[test]
    fn one_failure_of_six_says_little() {
        let (lower, upper) = plausible_proportion(1.0 / 6.0, 6.0).unwrap();
        assert!(lower < 0.07, "{lower}");
        assert!(upper > 0.36, "{upper}");
        let (lower, upper) = plausible_proportion(1.0 / 6.0, 6000.0).unwrap();
        assert!(lower > 0.15 && upper < 0.19, "{lower} to {upper}");
        assert_eq!(plausible_proportion(1.5, 6.0), None);
    }

    #[test]
    fn the_nearest_point_lies_between_the_value_and_the_centre() {
        let sampling = Sampling {
            count: 12.0,
            interval: Some((100.0, 300.0)),
        };
        let nearest = |centre: f64| sampling.nearest(200.0, centre).to_bits();
        assert_eq!(nearest(50.0), 100_f64.to_bits());
        assert_eq!(nearest(150.0), 150_f64.to_bits());
        assert_eq!(nearest(400.0), 300_f64.to_bits());
        let bare = Sampling::of(12.0).nearest(200.0, 50.0);
        assert_eq!(bare.to_bits(), 200_f64.to_bits());
    }
}
