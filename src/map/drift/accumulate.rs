//! Counts per bucket over a window, from cumulative counters.

use std::collections::BTreeMap;

/// Counts that are not cumulative, with the names of their buckets: `le` bounds in order, or categories.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// Names of the buckets as exposed.
    pub names: Vec<String>,
    /// Observations in each.
    pub counts: Vec<f64>,
}

impl Histogram {
    /// Observations in all buckets.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.counts.iter().sum()
    }
}

/// Adds up what counters rose by, resets included, without extrapolation; several series with one bucket name are summed.
#[derive(Debug, Clone, Default)]
pub struct Accumulator {
    rises: BTreeMap<String, f64>,
}

impl Accumulator {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one counter's values over the window, oldest first; values that are not finite are skipped. `bucket` is the value of `le`
    /// or of the category label.
    pub fn add(&mut self, bucket: &str, values: &[f64]) {
        let mut rise = 0.0;
        let mut last: Option<f64> = None;
        for value in values.iter().copied().filter(|value| value.is_finite()) {
            // After a reset the counter itself is what was counted since.
            rise += last.map_or(0.0, |last| if value < last { value } else { value - last });
            last = Some(value);
        }
        match self.rises.get_mut(bucket) {
            Some(sum) => *sum += rise,
            None => {
                self.rises.insert(bucket.to_owned(), rise);
            }
        }
    }

    /// The counts as categories, in order of their names.
    #[must_use]
    pub fn categories(&self) -> Histogram {
        Histogram {
            names: self.rises.keys().cloned().collect(),
            counts: self.rises.values().copied().collect(),
        }
    }

    /// The counts as a histogram: bounds in order, cumulative counts differenced.
    ///
    /// # Errors
    /// A bound that is no number, or no `+Inf` bucket.
    pub fn buckets(&self) -> Result<Histogram, String> {
        let mut bounds = Vec::with_capacity(self.rises.len());
        for (name, rise) in &self.rises {
            let bound = parse_bound(name)
                .ok_or_else(|| format!("bucket bound le={name:?} is not a number"))?;
            bounds.push((bound, name, *rise));
        }
        bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        if bounds.last().is_none_or(|last| last.0 < f64::INFINITY) {
            return Err("the histogram has no bucket le=\"+Inf\"".to_owned());
        }
        let mut below = 0.0_f64;
        let mut histogram = Histogram::default();
        for (_, name, rise) in bounds {
            histogram.names.push(name.clone());
            // Buckets are read one after another while the server counts: never let a torn read become a negative count.
            histogram.counts.push((rise - below).max(0.0));
            below = below.max(rise);
        }
        Ok(histogram)
    }
}

/// A bucket's bound as exposed.
pub(super) fn parse_bound(text: &str) -> Option<f64> {
    let bound = match text {
        "+Inf" | "Inf" | "inf" => f64::INFINITY,
        text => text.parse::<f64>().ok()?,
    };
    (!bound.is_nan()).then_some(bound)
}

#[cfg(test)]
mod tests {
    use super::Accumulator;

    #[test]
    fn a_counter_reset_is_not_a_drop() {
        let mut window = Accumulator::new();
        window.add("0.5", &[10.0, 14.0, 3.0]);
        window.add("+Inf", &[20.0, 30.0, 5.0, f64::NAN, 6.0]);
        let histogram = window.buckets().unwrap();
        assert_eq!(histogram.names, ["0.5", "+Inf"]);
        // 4 before the reset and 3 after; 10 and 6, of which 7 are in the lower bucket.
        assert_eq!(histogram.counts, [7.0, 9.0]);
    }

    #[test]
    fn bounds_are_ordered_as_numbers_and_series_are_summed() {
        let mut window = Accumulator::new();
        for _ in 0..2 {
            window.add("10", &[0.0, 3.0]);
            window.add("2.5", &[0.0, 1.0]);
            window.add("+Inf", &[0.0, 3.0]);
        }
        let histogram = window.buckets().unwrap();
        assert_eq!(histogram.names, ["2.5", "10", "+Inf"]);
        assert_eq!(histogram.counts, [2.0, 4.0, 0.0]);
    }
}
