//! The null distribution of a statistic: its values when nothing has changed.

use super::Statistic;
use crate::metric::SplitMix64;

/// Simulated pairs of histograms; the critical value is an order statistic of their distances.
const DRAWS: usize = 999;

/// The distribution of a statistic when `n` current and `m` reference observations come from one
/// distribution.
#[derive(Debug, Clone)]
pub(super) struct Null {
    /// Simulated values in order.
    sorted: Vec<f64>,
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
        let mut sorted = Vec::with_capacity(DRAWS);
        let (mut a, mut b) = (vec![0.0; pooled.len()], vec![0.0; pooled.len()]);
        for _ in 0..DRAWS {
            random.multinomial(n, pooled, &mut a);
            random.multinomial(m, pooled, &mut b);
            sorted.push(statistic.distance(&a, &b, gaps));
        }
        sorted.sort_by(f64::total_cmp);
        Self { sorted }
    }

    /// The mean, which is the bias of the statistic.
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    pub(super) fn mean(&self) -> f64 {
        self.sorted.iter().sum::<f64>() / self.sorted.len() as f64
    }

    /// The value that is exceeded with probability `alpha`.
    #[expect(clippy::cast_possible_truncation, reason = "an index")]
    #[expect(clippy::cast_sign_loss, reason = "alpha is between 0 and 1")]
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    pub(super) fn critical(&self, alpha: f64) -> f64 {
        let rank = ((1.0 - alpha) * (self.sorted.len() + 1) as f64).ceil() as usize;
        self.sorted[rank.clamp(1, self.sorted.len()) - 1]
    }

    /// The probability of at least `value`, never 0 (Davison and Hinkley 1997, "Bootstrap methods
    /// and their application", section 4.2).
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    pub(super) fn p_value(&self, value: f64) -> f64 {
        let below = self.sorted.partition_point(|draw| *draw < value);
        (self.sorted.len() - below + 1) as f64 / (self.sorted.len() + 1) as f64
    }
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
