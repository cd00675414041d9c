//! How expressions are evaluated, and how much they may cost.

use std::time::Duration;

/// How expressions are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How old a sample an instant selector still takes; Prometheus' default is 5 minutes.
    pub lookback: Duration,
    /// The step of a subquery that has none: the evaluation interval.
    pub default_subquery_step: Duration,
    /// Names that functions drop stay visible until the end of the evaluation; off in Prometheus
    /// unless enabled.
    pub delayed_name_removal: bool,
    /// Most series in a result.
    pub max_result_series: usize,
    /// Most points in a result that is a range of samples per series.
    pub max_result_points: usize,
    /// Most samples one evaluation reads.
    pub max_samples: u64,
}

impl Default for Options {
    /// Prometheus' defaults; 100,000 series, any number of points and 50 million samples.
    fn default() -> Self {
        Self {
            lookback: Duration::from_secs(300),
            default_subquery_step: Duration::from_secs(60),
            delayed_name_removal: false,
            max_result_series: 100_000,
            max_result_points: usize::MAX,
            max_samples: 50_000_000,
        }
    }
}
