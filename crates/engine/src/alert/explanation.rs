//! The explanation of a judged alert, in numbers and words.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::judge::Band;
use crate::metric::{format_duration, rounded};

/// The numbers behind an anomalous verdict.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Explanation {
    /// The strategy and its parameters, such as `ewma (alpha 0.2, k_sigma 3)`.
    pub strategy: String,
    /// One sentence with the numbers in it.
    pub why: String,
    /// Unit of value and band, empty for a ratio.
    pub unit: String,
    /// Distance from normal; 1 is exactly at the limit.
    pub score: Option<f64>,
    /// The band of normal values.
    pub expected: Band,
    /// The time the value was computed over.
    pub window: Option<Duration>,
    /// Observations behind the value or the baseline.
    pub samples: Option<u64>,
    /// What contributes most, most important first.
    pub contributions: Vec<String>,
}

/// Most contributions that go into an annotation.
const TOP: usize = 5;

impl Explanation {
    /// The annotations that explain a value, without unknown ones.
    #[must_use]
    pub fn annotations(&self, value: f64) -> Vec<(&'static str, String)> {
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let top: Vec<&str> = self
            .contributions
            .iter()
            .take(TOP)
            .map(String::as_str)
            .collect();
        [
            ("why", known(&self.why)),
            (
                "value",
                (!value.is_nan()).then(|| with_unit(value, &self.unit)),
            ),
            ("expected", describe(&self.expected, &self.unit)),
            ("score", self.score.map(score)),
            ("strategy", known(&self.strategy)),
            ("window", self.window.map(format_duration)),
            ("samples", self.samples.map(|samples| samples.to_string())),
            ("top_buckets", known(&top.join("; "))),
        ]
        .into_iter()
        .filter_map(|(name, text)| text.map(|text| (name, text)))
        .collect()
    }
}

/// `0.92 to 0.98`, `at least 0.92`, `at most 250`, or empty if neither bound is known.
fn describe(band: &Band, unit: &str) -> Option<String> {
    let show = |value: f64| with_unit(value, unit);
    match (band.lower, band.upper) {
        (Some(lower), Some(upper)) => Some(format!("{} to {}", rounded(lower), show(upper))),
        (Some(lower), None) => Some(format!("at least {}", show(lower))),
        (None, Some(upper)) => Some(format!("at most {}", show(upper))),
        (None, None) => band.centre.map(|centre| format!("about {}", show(centre))),
    }
}

/// The score of an infinite value is the greatest finite number.
fn score(score: f64) -> String {
    rounded(if score < f64::MAX {
        score
    } else {
        f64::INFINITY
    })
}

/// A value with its unit, which may be empty.
pub(crate) fn with_unit(value: f64, unit: &str) -> String {
    if unit.is_empty() {
        rounded(value)
    } else {
        format!("{} {unit}", rounded(value))
    }
}

#[cfg(test)]
mod tests {
    use super::{Explanation, describe};
    use crate::judge::Band;

    #[test]
    fn a_band_reads_like_a_sentence() {
        let band = |lower, upper| Band {
            lower,
            centre: None,
            upper,
        };
        let text = |band: Band, unit| describe(&band, unit).unwrap_or_default();
        assert_eq!(text(band(Some(0.92), Some(0.98)), ""), "0.92 to 0.98");
        assert_eq!(text(band(None, Some(250.0)), "ms"), "at most 250 ms");
        assert_eq!(text(band(Some(1.0 / 3.0), None), ""), "at least 0.333333");
        assert_eq!(describe(&band(None, None), "ms"), None);
    }

    #[test]
    fn unknown_parts_are_left_out() {
        let annotations = Explanation::default().annotations(f64::NAN);
        assert_eq!(annotations, []);
    }
}
