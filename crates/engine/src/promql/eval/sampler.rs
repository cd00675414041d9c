//! Notes how many observations are behind each row while an expression is evaluated.

use std::collections::HashMap;

use super::Table;
use super::histogram::{Bucket, quantile};
use crate::metric::{Labels, Sampling, plausible_ranks};

/// The number of observations behind the values of some series, when a rule says it.
#[derive(Debug, Clone, Default)]
pub struct Counts(HashMap<Labels, f64>);

impl Counts {
    /// These numbers by series, whose names do not count.
    #[must_use]
    pub fn new(counts: impl IntoIterator<Item = (Labels, f64)>) -> Self {
        let counts = counts.into_iter();
        let named = counts.map(|(labels, count)| (labels.without_name(), count));
        Self(named.collect())
    }

    /// The number of a series: that of the entry all of whose labels it has, the one with the most
    /// labels if there are several.
    #[must_use]
    pub fn of(&self, series: &Labels) -> Option<f64> {
        if let Some(count) = self.0.get(&series.without_name()) {
            return Some(*count);
        }
        let has = |labels: &Labels| {
            let mut all = labels.iter();
            all.all(|(name, value)| series.get(name) == Some(value))
        };
        let matching = self.0.iter().filter(|(labels, _)| has(labels));
        let closest = matching.max_by_key(|(labels, _)| labels.iter().count());
        closest.map(|(_, count)| *count)
    }
}

/// What the operators of a plan note about the observations behind their rows. The outermost
/// quantile or quotient is the last to note.
#[derive(Debug)]
pub(crate) struct Sampler<'a> {
    /// Observations per unit of the rate that counts them.
    observations: f64,
    /// Numbers that win over counted ones.
    given: Option<&'a Counts>,
    /// For each row of the result.
    found: Vec<Option<Sampling>>,
}

impl<'a> Sampler<'a> {
    pub(crate) fn new(observations: f64, given: Option<&'a Counts>) -> Self {
        Self {
            observations,
            given,
            found: Vec::new(),
        }
    }

    /// Begins the notes on a vector of this length.
    pub(super) fn begin(&mut self, rows: usize) {
        self.found.clear();
        self.found.resize(rows, None);
    }

    /// Notes the rate at which the observations behind a row came.
    pub(super) fn count(&mut self, table: &Table, row: usize, rate: f64) {
        let counted = self.number(table, row, rate);
        if let Some(found) = self.found.get_mut(row) {
            *found = Some(Sampling::of(counted));
        }
    }

    /// Notes the observations behind a quantile of these buckets, and its interval.
    pub(super) fn quantile(&mut self, table: &Table, row: usize, q: f64, buckets: &[Bucket]) {
        let rate = buckets.last().map_or(f64::NAN, |last| last.count);
        let count = self.number(table, row, rate);
        let (lower, upper) = plausible_ranks(q, count);
        let interval = (quantile(lower, buckets), quantile(upper, buckets));
        if let Some(found) = self.found.get_mut(row)
            && !interval.0.is_nan()
        {
            *found = Some(Sampling {
                count,
                interval: Some(interval),
            });
        }
    }

    fn number(&self, table: &Table, row: usize, rate: f64) -> f64 {
        self.given
            .and_then(|given| given.of(&table.final_labels(row)))
            .unwrap_or(rate * self.observations)
    }

    /// What is known of a row of the result.
    pub(crate) fn of(&self, row: usize) -> Option<Sampling> {
        self.found.get(row).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;
    use crate::metric::Labels;

    #[test]
    fn the_count_with_the_most_shared_labels_belongs_to_a_series() {
        let labels = |pairs: &[(&str, &str)]| Labels::named("x", pairs.iter().copied());
        let counts = Counts::new(vec![
            (Labels::empty(), 1.0),
            (labels(&[("model", "a")]), 2.0),
            (labels(&[("model", "b"), ("pod", "p")]), 3.0),
        ]);
        let of = |pairs: &[(&str, &str)]| counts.of(&labels(pairs));
        assert_eq!(of(&[("model", "a"), ("pod", "q")]), Some(2.0));
        assert_eq!(of(&[("model", "b"), ("pod", "p")]), Some(3.0));
        assert_eq!(of(&[("model", "b")]), Some(1.0));
        assert_eq!(Counts::default().of(&Labels::empty()), None);
    }
}
