//! How many observations are usual behind a value, so that a value of fewer is judged less strictly.

use serde::{Deserialize, Serialize};

use crate::metric::{MetricSample, Sampling, rounded};

/// Weight of a new number once there were enough; the default of the band of `ewma`.
const ALPHA: f64 = 0.005;

/// A value has few observations if it has less than the inverse of this share of the usual number:
/// small fluctuations are no reason to look away.
const ALLOWANCE: f64 = 1.25;

/// The usual number of observations behind the values of a series.
///
/// The variance of a mean is proportional to the inverse of the number of observations. So the mean
/// of the inverses is learned, and the usual number is its inverse, a harmonic mean.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct UsualCount {
    inverse: f64,
    seen: u32,
}

impl UsualCount {
    /// Whether no value with a known number of observations was seen.
    pub(super) fn is_unknown(&self) -> bool {
        self.seen == 0
    }

    /// The value `x` of a sample, with what its observations say.
    pub(super) fn weigh(self, sample: &MetricSample, x: f64) -> Weighed {
        let sampling = sample.sampling();
        let share = match sampling {
            Some(sampling) if sampling.count > 0.0 && self.seen > 0 => {
                (ALLOWANCE * self.inverse * sampling.count).sqrt().min(1.0)
            }
            _ => 1.0,
        };
        Weighed { x, sampling, share }
    }

    /// Learns the number of observations behind a value.
    pub(super) fn learn(&mut self, weighed: &Weighed) {
        let count = weighed.sampling.map_or(0.0, |sampling| sampling.count);
        if count > 0.0 {
            self.seen = self.seen.saturating_add(1);
            // No value stands for less than one observation.
            let inverse = 1.0 / count.max(1.0);
            let alpha = ALPHA.max(1.0 / f64::from(self.seen));
            self.inverse += alpha * (inverse - self.inverse);
        }
    }
}

/// A value, with what its observations say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Weighed {
    /// The value, which is learned.
    pub(super) x: f64,
    sampling: Option<Sampling>,
    /// What the deviation of a value without an interval is multiplied by: below 1 if it has fewer
    /// observations than usual.
    share: f64,
}

impl Weighed {
    /// The value that is judged by its distance from `centre`: the plausible value that is nearest
    /// to it. Without an interval, the band widens instead, by what few observations cost.
    pub(super) fn nearest(&self, centre: f64) -> f64 {
        match self.sampling {
            Some(sampling) if sampling.interval.is_some() => sampling.nearest(self.x, centre),
            Some(_) => centre + (self.x - centre) * self.share,
            None => self.x,
        }
    }

    /// The value as reasons show it: `310`, `310 (of 12 observations)`, or `310 (210 to 480, of 12
    /// observations)`.
    pub(super) fn shown(&self) -> String {
        let x = rounded(self.x);
        let Some(Sampling { count, interval }) = self.sampling else {
            return x;
        };
        match interval {
            Some((lower, upper)) => {
                let (lower, upper) = (rounded(lower), rounded(upper));
                format!("{x} ({lower} to {upper}, of {count:.0} observations)")
            }
            None => format!("{x} (of {count:.0} observations)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::UsualCount;
    use crate::metric::{Evidence, Labels, Metric, MetricSample, Sampling, Timestamp};

    fn sample(value: f64, sampling: Option<Sampling>) -> MetricSample {
        MetricSample {
            evidence: sampling.map(|sampling| Arc::new(Evidence::of_sampling(sampling))),
            ..MetricSample::new(Metric::Custom, Labels::empty(), value, Timestamp::default())
        }
    }

    fn usual(count: f64) -> UsualCount {
        let mut usual = UsualCount::default();
        for _ in 0..1000 {
            let sample = sample(1.0, Some(Sampling::of(count)));
            usual.learn(&usual.weigh(&sample, 1.0));
        }
        usual
    }

    #[test]
    fn a_fifth_of_the_usual_observations_halves_the_deviation() {
        let judged = |count: f64| {
            let sample = sample(30.0, Some(Sampling::of(count)));
            usual(40.0).weigh(&sample, 30.0).nearest(10.0)
        };
        assert!((judged(8.0) - 20.0).abs() < 1e-6, "{}", judged(8.0));
        assert!((judged(32.0) - 30.0).abs() < 1e-6, "{}", judged(32.0));
        assert!((judged(400.0) - 30.0).abs() < 1e-6, "{}", judged(400.0));
    }

    #[test]
    fn a_known_interval_says_all() {
        let sampling = Sampling {
            count: 4.0,
            interval: Some((12.0, 50.0)),
        };
        let weighed = usual(40.0).weigh(&sample(30.0, Some(sampling)), 30.0);
        assert!((weighed.nearest(10.0) - 12.0).abs() < 1e-9);
        assert_eq!(weighed.shown(), "30 (12 to 50, of 4 observations)");
    }

    #[test]
    fn a_value_without_a_known_number_is_judged_as_it_is() {
        let weighed = usual(40.0).weigh(&sample(30.0, None), 30.0);
        assert!((weighed.nearest(10.0) - 30.0).abs() < 1e-9);
        assert_eq!(weighed.shown(), "30");
        assert!(UsualCount::default().is_unknown());
    }
}
