//! What a model metric is about, and which side of normal is bad.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of a model metric.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Time to answer one inference, in milliseconds.
    InferenceLatencyMs,
    /// Share of predictions that were right, 0 to 1.
    Accuracy,
    /// Distance of the current predictions from a reference distribution, 0 to 1 for bounded
    /// statistics.
    PredictionDrift,
    /// Anything else, named after its rule.
    #[default]
    Custom,
}

impl Metric {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 4] = [
        Self::InferenceLatencyMs,
        Self::Accuracy,
        Self::PredictionDrift,
        Self::Custom,
    ];

    /// The word for this kind in rule files and labels.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::InferenceLatencyMs => "inference_latency_ms",
            Self::Accuracy => "accuracy",
            Self::PredictionDrift => "prediction_drift",
            Self::Custom => "custom",
        }
    }

    /// The kind of this word; `None` for an unknown word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Which side is bad when the rule does not say: below for accuracy, above otherwise.
    #[must_use]
    pub fn direction(&self) -> Direction {
        match self {
            Self::Accuracy => Direction::Below,
            Self::InferenceLatencyMs | Self::PredictionDrift | Self::Custom => Direction::Above,
        }
    }

    /// The unit to show after a value, empty for a ratio or an unknown unit.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        match self {
            Self::InferenceLatencyMs => "ms",
            Self::Accuracy | Self::PredictionDrift | Self::Custom => "",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The side of normal on which a value is anomalous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Too high is bad.
    #[default]
    Above,
    /// Too low is bad.
    Below,
    /// Either side is bad.
    Both,
}

impl Direction {
    /// The word for this direction in rule files and labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::Below => "below",
            Self::Both => "both",
        }
    }

    /// Whether values above normal are anomalous.
    #[must_use]
    pub(crate) fn watches_above(self) -> bool {
        self != Self::Below
    }

    /// Whether values below normal are anomalous.
    #[must_use]
    pub(crate) fn watches_below(self) -> bool {
        self != Self::Above
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
