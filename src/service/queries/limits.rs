//! What a query may cost.

use std::time::Duration;

use crate::promql::Options;

/// Longest evaluation. It also ends when the next tick is due.
pub(super) const EVALUATION: Duration = Duration::from_secs(1);
/// The part of the time between two ticks that all evaluations together may take: 1 / 4. The model
/// server runs on the same machine.
pub(super) const SHARE: u32 = 4;
/// Longest wait for an answer, which includes a tick under way. A client may ask for less.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Queries that are evaluated or rendered at once; others wait.
pub(super) const CONCURRENT: usize = 4;
/// Most steps of a range query, as in Prometheus.
pub(super) const STEPS: i64 = 11_000;
/// Most series in the answer to a query.
const SERIES: usize = 10_000;
/// Most points in the answer to a range query.
const POINTS: usize = 500_000;
/// Most samples one query reads.
const SAMPLES: u64 = 20_000_000;
/// Most label sets that an answer about series lists.
pub(super) const LISTED: usize = 100_000;

/// The options of a query.
pub(super) fn options(lookback: Option<Duration>, subquery_step: Duration) -> Options {
    let usual = Options::default();
    Options {
        lookback: lookback.unwrap_or(usual.lookback),
        default_subquery_step: subquery_step,
        max_result_series: SERIES,
        max_result_points: POINTS,
        max_samples: SAMPLES,
        ..usual
    }
}
