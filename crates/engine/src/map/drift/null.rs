//! The null distribution of a statistic: its values when nothing has changed.

use super::Statistic;
use crate::metric::SplitMix64;

/// Simulated pairs of histograms; the critical value is an order statistic of their distances.
const DRAWS: usize = 999;

/// The rank from the top from which on the tail is extrapolated, and its probability.
const TAIL: (usize, f64) = (10, 0.01);
/// `z` with the probability [`TAIL`] of more.
const TAIL_Z: f64 = 2.326_347_874_040_841;

/// What chance gives when `n` current and `m` reference observations come from one distribution.
#[derive(Debug, Clone)]
pub(super) struct Null {
    /// The statistic.
    pub(super) statistic: Draws,
    /// The total variation distance: the share of observations that moved.
    pub(super) moved: Draws,
}

impl Null {
    /// Draws pairs of histograms of the sizes `n` and `m` from the pooled shares and computes their
    /// distances. The same input gives the same draws.
    pub(super) fn simulate(
        statistic: Statistic,
        pooled: &[f64],
        (n, m): (u64, u64),
        gaps: &[f64],
    ) -> Self {
        let seed = 0x5eed_0f5d_e71f_7a11 ^ n.rotate_left(32) ^ m;
        let mut random = Random(SplitMix64::new(seed));
        let mut distances = Vec::with_capacity(DRAWS);
        let mut moved = Vec::with_capacity(DRAWS);
        let (mut a, mut b) = (vec![0.0; pooled.len()], vec![0.0; pooled.len()]);
        for _ in 0..DRAWS {
            random.multinomial(n, pooled, &mut a);
            random.multinomial(m, pooled, &mut b);
            distances.push(statistic.distance(&a, &b, gaps));
            moved.push(Statistic::TotalVariation.distance(&a, &b, gaps));
        }
        Self {
            statistic: Draws::of(distances),
            moved: Draws::of(moved),
        }
    }
}

/// Simulated values of a distance.
#[derive(Debug, Clone)]
pub(super) struct Draws {
    sorted: Vec<f64>,
    mean: f64,
    /// The shape of the gamma distribution with the same mean and variance.
    shape: f64,
}

impl Draws {
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    fn of(mut draws: Vec<f64>) -> Self {
        draws.sort_by(f64::total_cmp);
        let n = draws.len() as f64;
        let mean = draws.iter().sum::<f64>() / n;
        let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / n;
        Self {
            shape: mean * mean / variance.max(f64::MIN_POSITIVE),
            sorted: draws,
            mean,
        }
    }

    /// The mean, which is the bias of the statistic.
    pub(super) fn mean(&self) -> f64 {
        self.mean
    }

    /// The value that is exceeded with probability `alpha`. Below 1 % it is that of a gamma
    /// distribution with the same mean and variance, scaled to agree at 1 %.
    #[expect(clippy::cast_possible_truncation, reason = "an index")]
    #[expect(clippy::cast_sign_loss, reason = "alpha is between 0 and 1")]
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    pub(super) fn critical(&self, alpha: f64) -> f64 {
        if alpha < TAIL.1 {
            let (mut low, mut high) = (TAIL_Z, 40.0);
            for _ in 0..60 {
                let middle = f64::midpoint(low, high);
                if upper_tail(middle) > alpha {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            return self.anchor() * (self.root(low) / self.root(TAIL_Z)).powi(3);
        }
        let rank = ((1.0 - alpha) * (self.sorted.len() + 1) as f64).ceil() as usize;
        self.sorted[rank.clamp(1, self.sorted.len()) - 1]
    }

    /// The probability of at least `value`, never 0 (Davison and Hinkley 1997, "Bootstrap methods
    /// and their application", section 4.2); beyond the tenth largest draw, that of the gamma
    /// distribution of [`critical`](Self::critical).
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    pub(super) fn p_value(&self, value: f64) -> f64 {
        let anchor = self.anchor();
        if value > anchor && anchor > 0.0 {
            let root = (value / anchor).cbrt() * self.root(TAIL_Z);
            let z = (root - self.root(0.0)) * 3.0 * self.shape.sqrt();
            return upper_tail(z).clamp(f64::MIN_POSITIVE, TAIL.1);
        }
        let below = self.sorted.partition_point(|draw| *draw < value);
        (self.sorted.len() - below + 1) as f64 / (self.sorted.len() + 1) as f64
    }

    fn anchor(&self) -> f64 {
        self.sorted[self.sorted.len() - TAIL.0]
    }

    /// The cube root of a gamma variate over its mean is nearly normal (Wilson and Hilferty 1931).
    fn root(&self, z: f64) -> f64 {
        1.0 - 1.0 / (9.0 * self.shape) + z / (3.0 * self.shape.sqrt())
    }
}

/// The probability that a standard normal variate exceeds `z`, for `z` from 0 on; the relative
/// error is below 1.2e-7 (Press et al. 1992, "Numerical recipes", section 6.2).
fn upper_tail(z: f64) -> f64 {
    const COEFFICIENTS: [f64; 10] = [
        0.170_872_77,
        -0.822_152_23,
        1.488_515_87,
        -1.135_203_98,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_68,
        -1.265_512_23,
    ];
    let x = z.max(0.0) / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * x);
    let polynomial = COEFFICIENTS.iter().fold(0.0, |sum, c| sum * t + c);
    0.5 * t * (polynomial - x * x).exp()
}

/// Draws from the distributions that the simulation needs.
struct Random(SplitMix64);

impl Random {
    fn normal(&mut self) -> f64 {
        let (u, v) = (self.0.next_open_unit(), self.0.next_open_unit());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// A binomial draw: by inversion for a mean up to 30, else by the rounded normal approximation.
    fn binomial(&mut self, n: u64, p: f64) -> f64 {
        if n == 0 || p <= 0.0 {
            return 0.0;
        }
        if p > 0.5 {
            return n as f64 - self.binomial(n, 1.0 - p);
        }
        let trials = n as f64;
        let mean = trials * p;
        if mean > 30.0 {
            let draw = mean + (mean * (1.0 - p)).sqrt() * self.normal();
            return draw.round().clamp(0.0, trials);
        }
        let odds = p / (1.0 - p);
        let mut mass = (trials * (-p).ln_1p()).exp();
        let (mut k, mut left) = (0.0, self.0.next_open_unit());
        while left > mass && k < trials {
            left -= mass;
            k += 1.0;
            mass *= odds * (trials - k + 1.0) / k;
        }
        k
    }

    #[expect(clippy::cast_possible_truncation, reason = "a whole number below n")]
    #[expect(clippy::cast_sign_loss, reason = "a count")]
    fn multinomial(&mut self, n: u64, shares: &[f64], out: &mut [f64]) {
        let (mut left, mut mass) = (n, shares.iter().sum::<f64>());
        for (count, share) in out.iter_mut().zip(shares) {
            let p = if mass > 0.0 {
                (share / mass).min(1.0)
            } else {
                0.0
            };
            *count = self.binomial(left, p);
            left -= (*count as u64).min(left);
            mass -= share;
        }
        // Rounding errors can leave a few observations over; they belong to the last bucket.
        if let Some(last) = out.last_mut() {
            *last += left as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Draws, Null, upper_tail};
    use crate::map::drift::Statistic;

    #[test]
    fn the_tail_of_the_normal_distribution_equals_that_of_scipy() {
        for (z, p) in [
            (0.0, 0.5),
            (1.959_963_984_540_054, 0.025),
            (4.753_424_308_817_087, 1e-6),
            (8.0, 6.220_960_574_271_785e-16),
        ] {
            let got = upper_tail(z);
            assert!((got / p - 1.0).abs() < 1e-6, "{z}: {got}");
        }
    }

    /// Draws of a chi-squared distribution with nine degrees of freedom, at the quantiles of its
    /// ranks; scipy 1.17, `chi2.ppf` and `chi2.sf`.
    #[test]
    fn beyond_the_draws_the_tail_is_that_of_their_distribution() {
        let null = Null::simulate(Statistic::JensenShannon, &[1.0; 10], (2000, 20_000), &[]);
        // The divergence of two samples is a chi-squared variate over 8 ln 2 / (1/n + 1/m).
        let scale = 8.0 * std::f64::consts::LN_2 / (1.0 / 2000.0 + 1.0 / 20_000.0);
        let critical = null.statistic.critical(1e-5) * scale;
        assert!((critical / 39.340_7 - 1.0).abs() < 0.1, "{critical}");
        let p = null.statistic.p_value(39.340_7 / scale);
        assert!((1e-6..1e-4).contains(&p), "{p}");
    }

    #[test]
    fn the_critical_value_of_a_p_value_is_the_value() {
        let draws = Draws::of((1..1000).map(|i| f64::from(i).sqrt()).collect());
        for value in [32.0, 34.0, 40.0] {
            let critical = draws.critical(draws.p_value(value));
            assert!((critical / value - 1.0).abs() < 1e-5, "{value}: {critical}");
        }
        assert!(draws.p_value(31.0) >= 0.01);
    }
}
