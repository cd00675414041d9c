//! Counts per bucket, not cumulative.

use std::collections::BTreeMap;

use crate::map::sliding::Increases;

/// The increases of counters by bucket; cumulative for `le` bounds.
pub(super) type Rises = BTreeMap<String, f64>;

impl Increases for Rises {
    fn add(&mut self, other: &Self) {
        add_up(self, other);
    }
}

/// Adds increases to a sum, bucket by bucket.
pub(super) fn add_up(sum: &mut Rises, rises: &Rises) {
    for (bucket, rise) in rises {
        match sum.get_mut(bucket) {
            Some(so_far) => *so_far += rise,
            None => {
                sum.insert(bucket.clone(), *rise);
            }
        }
    }
}

/// Counts per bucket, not cumulative; the buckets are `le` bounds in ascending order, or
/// categories.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// The names of the buckets as exposed.
    pub names: Vec<String>,
    /// The observations in each bucket.
    pub counts: Vec<f64>,
}

impl Histogram {
    /// The observations in all buckets.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.counts.iter().sum()
    }

    /// The counts by the names of their buckets.
    pub(super) fn by_name(&self) -> BTreeMap<String, f64> {
        let counts = self.counts.iter().copied();
        self.names.iter().cloned().zip(counts).collect()
    }

    /// The distribution of increases of categories, in order of their names.
    pub(super) fn categories(rises: &Rises) -> Self {
        Self {
            names: rises.keys().cloned().collect(),
            counts: rises.values().copied().collect(),
        }
    }

    /// The distribution of increases of cumulative buckets, in order of their bounds.
    ///
    /// # Errors
    /// A bound that is not a number, or no `+Inf` bucket.
    pub(super) fn buckets(rises: &Rises) -> Result<Self, String> {
        let mut bounds = Vec::with_capacity(rises.len());
        for (name, rise) in rises {
            let bound = parse_bound(name)
                .ok_or_else(|| format!("bucket bound le={name:?} is not a number"))?;
            bounds.push((bound, name, *rise));
        }
        bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        if bounds.last().is_none_or(|last| last.0 < f64::INFINITY) {
            return Err("the histogram has no bucket le=\"+Inf\"".to_owned());
        }
        let mut below = 0.0_f64;
        let mut histogram = Self::default();
        for (_, name, rise) in bounds {
            histogram.names.push(name.clone());
            // A server may go on counting while it exposes its buckets one after another; the
            // result of such a torn read must not be negative.
            histogram.counts.push((rise - below).max(0.0));
            below = below.max(rise);
        }
        Ok(histogram)
    }
}

/// Parses a bucket's bound as exposed; `None` if it is not a number.
pub(in crate::map) fn parse_bound(text: &str) -> Option<f64> {
    let bound = match text {
        "+Inf" | "Inf" | "inf" => f64::INFINITY,
        text => text.parse::<f64>().ok()?,
    };
    (!bound.is_nan()).then_some(bound)
}

#[cfg(test)]
mod tests {
    use super::{Histogram, Rises};

    fn rises(pairs: &[(&str, f64)]) -> Rises {
        pairs
            .iter()
            .map(|(name, rise)| ((*name).to_owned(), *rise))
            .collect()
    }

    #[test]
    fn bounds_are_ordered_as_numbers() {
        let histogram =
            Histogram::buckets(&rises(&[("10", 6.0), ("2.5", 2.0), ("+Inf", 6.0)])).unwrap();
        assert_eq!(histogram.names, ["2.5", "10", "+Inf"]);
        assert_eq!(histogram.counts, [2.0, 4.0, 0.0]);
    }

    #[test]
    fn a_torn_read_gives_no_negative_count() {
        let histogram =
            Histogram::buckets(&rises(&[("1", 5.0), ("2", 4.0), ("+Inf", 6.0)])).unwrap();
        assert_eq!(histogram.counts, [5.0, 0.0, 1.0]);
    }

    #[test]
    fn buckets_that_are_no_histogram_are_an_error() {
        let error = |pairs: &[(&str, f64)]| Histogram::buckets(&rises(pairs)).unwrap_err();
        assert_eq!(
            error(&[("1", 1.0)]),
            "the histogram has no bucket le=\"+Inf\""
        );
        assert_eq!(
            error(&[("small", 1.0), ("+Inf", 1.0)]),
            "bucket bound le=\"small\" is not a number"
        );
    }
}
