//! Distances between two histograms over the same buckets.

use serde::{Deserialize, Serialize};

use crate::describe::worded;

/// A distance between two distributions, 0 when they are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Statistic {
    /// Jensen–Shannon divergence (Lin 1991) with logarithms to base 2, 0 to 1.
    #[default]
    JensenShannon,
    /// Jensen–Shannon distance, the square root of the divergence in base 2, 0 to 1.
    JensenShannonDistance,
    /// Population stability index in nats, with half a count added to every bucket; unbounded.
    Psi,
    /// Hellinger distance, 0 to 1.
    Hellinger,
    /// Kolmogorov–Smirnov: the greatest difference of the cumulative shares, 0 to 1; needs
    /// ordered buckets.
    KolmogorovSmirnov,
    /// Wasserstein-1 distance in the unit of the bucket bounds. Needs ordered buckets; values
    /// beyond the last finite bound are treated as equal to it.
    Wasserstein,
    /// Total variation distance: half the sum of the absolute differences of the shares, 0 to 1.
    TotalVariation,
}

worded! {
    Statistic {
        "jensen_shannon" => Self::JensenShannon, "Jensen-Shannon divergence in base 2, from 0 to 1.";
        "jensen_shannon_distance" => Self::JensenShannonDistance, "Its square root, from 0 to 1.";
        "psi" => Self::Psi, "Population stability index in nats, with half a count added to every bucket.";
        "hellinger" => Self::Hellinger, "Hellinger distance, from 0 to 1.";
        "kolmogorov_smirnov" => Self::KolmogorovSmirnov, "Greatest difference of the cumulative shares, from 0 to 1; needs ordered buckets.";
        "wasserstein" => Self::Wasserstein, "Wasserstein-1 distance in the unit of the bucket bounds; needs ordered buckets.";
        "total_variation" => Self::TotalVariation, "Half the sum of the differences of shares, from 0 to 1.";
    }
}

impl Statistic {
    /// Every statistic, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::JensenShannon,
        Self::JensenShannonDistance,
        Self::Psi,
        Self::Hellinger,
        Self::KolmogorovSmirnov,
        Self::Wasserstein,
        Self::TotalVariation,
    ];

    /// The word in rule files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JensenShannon => "jensen_shannon",
            Self::JensenShannonDistance => "jensen_shannon_distance",
            Self::Psi => "psi",
            Self::Hellinger => "hellinger",
            Self::KolmogorovSmirnov => "kolmogorov_smirnov",
            Self::Wasserstein => "wasserstein",
            Self::TotalVariation => "total_variation",
        }
    }

    /// The statistic and its convention for people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::JensenShannon => "jensen_shannon divergence, log base 2",
            Self::JensenShannonDistance => {
                "jensen_shannon distance, square root of the divergence in log base 2"
            }
            Self::Psi => "psi, natural logarithm, half a count added to every bucket",
            Self::Hellinger => "hellinger distance",
            Self::KolmogorovSmirnov => {
                "kolmogorov_smirnov, greatest difference of cumulative shares at the bucket bounds"
            }
            Self::Wasserstein => "wasserstein-1 distance in the unit of the buckets",
            Self::TotalVariation => "total_variation distance",
        }
    }

    /// Whether the order of the buckets matters.
    #[must_use]
    pub fn needs_order(self) -> bool {
        matches!(self, Self::KolmogorovSmirnov | Self::Wasserstein)
    }

    /// The distance of two non-empty histograms with the same number of buckets. `gaps[i]` is the
    /// width between the bounds of the buckets `i` and `i + 1`; only Wasserstein uses it.
    pub(super) fn distance(self, current: &[f64], reference: &[f64], gaps: &[f64]) -> f64 {
        let (n, m): (f64, f64) = (current.iter().sum(), reference.iter().sum());
        let pairs = || current.iter().zip(reference).map(|(c, r)| (c / n, r / m));
        match self {
            Self::JensenShannon => pairs()
                .map(|(p, q)| shannon(p, q))
                .sum::<f64>()
                .clamp(0.0, 1.0),
            Self::JensenShannonDistance => Self::JensenShannon
                .distance(current, reference, gaps)
                .sqrt(),
            Self::Psi => psi(current, reference),
            Self::Hellinger => {
                let squares: f64 = pairs().map(|(p, q)| (p.sqrt() - q.sqrt()).powi(2)).sum();
                (squares / 2.0).sqrt()
            }
            Self::KolmogorovSmirnov => cumulative(pairs()).map(f64::abs).fold(0.0, f64::max),
            Self::Wasserstein => cumulative(pairs())
                .zip(gaps)
                .map(|(d, gap)| d.abs() * gap)
                .sum(),
            Self::TotalVariation => pairs().map(|(p, q)| (p - q).abs()).sum::<f64>() / 2.0,
        }
    }
}

/// One bucket's contribution to the Jensen–Shannon divergence, in bits.
pub(super) fn shannon(p: f64, q: f64) -> f64 {
    let middle = f64::midpoint(p, q);
    let part = |x: f64| {
        if x > 0.0 {
            x * (x / middle).log2()
        } else {
            0.0
        }
    };
    f64::midpoint(part(p), part(q))
}

/// The population stability index with half a count added to every bucket.
fn psi(current: &[f64], reference: &[f64]) -> f64 {
    let (n, m): (f64, f64) = (
        current.iter().map(|c| c + 0.5).sum(),
        reference.iter().map(|r| r + 0.5).sum(),
    );
    current
        .iter()
        .zip(reference)
        .map(|(c, r)| ((c + 0.5) / n, (r + 0.5) / m))
        .map(|(p, q)| (p - q) * (p / q).ln())
        .sum()
}

/// The differences of the cumulative shares.
fn cumulative(pairs: impl Iterator<Item = (f64, f64)>) -> impl Iterator<Item = f64> {
    pairs.scan(0.0, |sum, (p, q)| {
        *sum += p - q;
        Some(*sum)
    })
}

#[cfg(test)]
mod tests {
    use super::Statistic;

    const P: [f64; 3] = [100.0, 400.0, 500.0];
    const Q: [f64; 3] = [300.0, 300.0, 400.0];

    #[test]
    fn the_divergence_equals_that_of_scipy_in_base_2() {
        let near = |statistic: Statistic, expected: f64| {
            let got = statistic.distance(&P, &Q, &[1.0, 1.0]);
            assert!(
                (got - expected).abs() < 1e-12,
                "{}: {got}",
                statistic.as_str()
            );
        };
        near(Statistic::JensenShannon, 0.046_930_300_568_985_47);
        near(Statistic::JensenShannonDistance, 0.216_634_024_495_196_67);
        near(Statistic::TotalVariation, 0.2);
        near(Statistic::KolmogorovSmirnov, 0.2);
        near(Statistic::Wasserstein, 0.3);
        let disjoint = Statistic::JensenShannon.distance(&[1.0, 0.0], &[0.0, 1.0], &[1.0]);
        assert!((disjoint - 1.0).abs() < 1e-12);
    }

    /// scipy 1.17: jensenshannon, entropy, ks_2samp, wasserstein_distance; Hellinger as the norm of
    /// the difference of the square roots.
    #[test]
    fn every_statistic_equals_scipy_on_five_buckets() {
        let (p, q) = (
            [10.0, 120.0, 300.0, 40.0, 30.0],
            [60.0, 100.0, 200.0, 100.0, 40.0],
        );
        // Bounds 0.1, 0.25, 0.5, 1 and +Inf, which is treated as 1.
        let gaps = [0.15, 0.25, 0.5, 0.0];
        for (statistic, expected) in [
            (Statistic::JensenShannon, 0.064_618_112_625_246_43),
            (Statistic::JensenShannonDistance, 0.254_200_929_630_965_6),
            (Statistic::Psi, 0.376_166_556_683_285_3),
            (Statistic::Hellinger, 0.215_058_352_258_507_06),
            (Statistic::KolmogorovSmirnov, 0.14),
            (Statistic::Wasserstein, 0.1),
            (Statistic::TotalVariation, 0.24),
        ] {
            let got = statistic.distance(&p, &q, &gaps);
            assert!(
                (got - expected).abs() < 1e-12,
                "{}: {got}",
                statistic.as_str()
            );
        }
    }

    #[test]
    fn psi_is_the_symmetric_divergence_in_nats() {
        let many = |shares: [f64; 3]| shares.map(|share| share * 1e9);
        let psi = Statistic::Psi.distance(&many(P), &many(Q), &[]);
        assert!((psi - 0.270_805_020_110_221).abs() < 1e-9, "{psi}");
    }
}
