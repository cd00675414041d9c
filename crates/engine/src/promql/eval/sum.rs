//! Compensated sums, means and variances.

/// A sum with Neumaier's compensation (Neumaier 1974, "Rundungsfehleranalyse einiger Verfahren zur
/// Summation endlicher Summen"). As in Prometheus, the compensation is dropped when the sum
/// overflows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    sum: f64,
    compensation: f64,
}

impl Sum {
    pub(super) fn starting(sum: f64) -> Self {
        Self {
            sum,
            compensation: 0.0,
        }
    }

    pub(super) fn add(&mut self, value: f64) {
        let total = self.sum + value;
        self.compensation = if total.is_infinite() {
            0.0
        } else if self.sum.abs() >= value.abs() {
            self.compensation + ((self.sum - total) + value)
        } else {
            self.compensation + ((value - total) + self.sum)
        };
        self.sum = total;
    }

    pub(super) fn value(&self) -> f64 {
        if self.sum.is_infinite() {
            self.sum
        } else {
            self.sum + self.compensation
        }
    }

    fn scaled(self, factor: f64) -> Self {
        Self {
            sum: self.sum * factor,
            compensation: self.compensation * factor,
        }
    }

    fn divided(self, by: f64) -> Self {
        Self {
            sum: self.sum / by,
            compensation: self.compensation / by,
        }
    }
}

/// A mean: the sum divided by the count, or an incremental mean once the sum overflows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mean {
    state: Sum,
    count: f64,
    incremental: bool,
}

impl Mean {
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count < 2.0 {
            self.state = Sum::starting(value);
            return;
        }
        if !self.incremental {
            let mut sum = self.state;
            sum.add(value);
            if !sum.sum.is_infinite() {
                self.state = sum;
                return;
            }
            self.incremental = true;
            self.state = self.state.divided(self.count - 1.0);
        }
        self.state = self.state.scaled((self.count - 1.0) / self.count);
        self.state.add(value / self.count);
    }

    pub(super) fn value(&self) -> f64 {
        if self.incremental {
            self.state.value()
        } else {
            self.state.divided(self.count).value()
        }
    }
}

/// The population variance, by Welford's method (1962) with compensated sums.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Variance {
    count: f64,
    mean: Sum,
    squares: Sum,
}

impl Variance {
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean.total();
        self.mean.add(delta / self.count);
        self.squares.add(delta * (value - self.mean.total()));
    }

    pub(super) fn value(&self) -> f64 {
        self.squares.total() / self.count
    }
}

impl Sum {
    /// The sum with its compensation, even if it is infinite.
    fn total(&self) -> f64 {
        self.sum + self.compensation
    }
}

#[cfg(test)]
mod tests {
    use super::{Mean, Sum, Variance};

    #[test]
    fn small_terms_survive_large_ones() {
        let mut sum = Sum::default();
        for value in [1.0, 1e100, 1.0, -1e100] {
            sum.add(value);
        }
        assert!((sum.value() - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_mean_does_not_overflow() {
        let big = f64::MAX / 2.0;
        let mut mean = Mean::default();
        for value in [big; 4] {
            mean.add(value);
        }
        assert!((mean.value() / big - 1.0).abs() < 1e-15);
    }

    #[test]
    fn equal_values_have_no_variance() {
        let mut variance = Variance::default();
        for value in [1.599_050_563_727_786_8; 3] {
            variance.add(value);
        }
        assert!(variance.value().abs() < f64::MIN_POSITIVE);
    }
}
