//! The share of observations that moved: the effect of a drift, whatever the statistic.

use super::Statistic;

/// The total variation distance of two counted distributions, less what counting alone explains;
/// 0 to 1.
pub(super) fn moved(current: &[f64], reference: &[f64]) -> f64 {
    let distance = Statistic::TotalVariation.distance(current, reference, &[]);
    (distance - by_counting(current, reference)).max(0.0)
}

/// The mean total variation distance of two samples of independent observations of one
/// distribution, by the normal approximation: half the sum of the mean absolute deviations.
pub(super) fn by_counting(current: &[f64], reference: &[f64]) -> f64 {
    let (n, m): (f64, f64) = (current.iter().sum(), reference.iter().sum());
    let deviations = current.iter().zip(reference).map(|(c, r)| {
        let share = (c + r) / (n + m);
        (share * (1.0 - share)).max(0.0).sqrt()
    });
    let deviations: f64 = deviations.sum();
    0.5 * (std::f64::consts::FRAC_2_PI * (1.0 / n + 1.0 / m)).sqrt() * deviations
}

/// How many times greater the differences of two counted distributions are than those of
/// independent observations: Pearson's statistic of homogeneity over its degrees of freedom.
pub(super) fn dispersion(current: &[f64], reference: &[f64]) -> f64 {
    let (n, m): (f64, f64) = (current.iter().sum(), reference.iter().sum());
    let (mut sum, mut buckets) = (0.0, 0.0_f64);
    for (c, r) in current.iter().zip(reference) {
        let share = (c + r) / (n + m);
        if share > 0.0 {
            sum += (c / n - r / m).powi(2) / share;
            buckets += 1.0;
        }
    }
    sum / (1.0 / n + 1.0 / m) / (buckets - 1.0).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::{by_counting, dispersion, moved};

    /// scipy 1.17: `chi2_contingency` without correction.
    #[test]
    fn the_dispersion_is_pearsons_statistic_over_its_degrees_of_freedom() {
        let (a, b) = (
            [10.0, 120.0, 300.0, 40.0, 30.0],
            [60.0, 100.0, 200.0, 100.0, 40.0],
        );
        assert!(
            (dispersion(&a, &b) - 84.675_324_675_324_69 / 4.0).abs() < 1e-9,
            "{}",
            dispersion(&a, &b)
        );
    }

    #[test]
    fn what_moved_is_the_total_variation_for_many_observations() {
        let many = |shares: [f64; 3]| shares.map(|share| share * 1e9);
        let got = moved(&many([0.1, 0.4, 0.5]), &many([0.3, 0.3, 0.4]));
        assert!((got - 0.2).abs() < 1e-4, "{got}");
    }

    /// The mean of 200,000 simulated pairs: numpy's `multinomial` of 500 and 2,000 observations in
    /// ten equal buckets.
    #[test]
    fn what_counting_explains_is_the_mean_distance_of_simulated_samples() {
        let got = by_counting(&[50.0; 10], &[200.0; 10]);
        assert!((got - 0.059_793).abs() < 5e-4, "{got}");
    }
}
