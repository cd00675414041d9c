//! The inputs and outputs that all rules of a tick share.

use std::time::Duration;

use super::evidence::EvidenceBook;
use super::results::Results;
use super::rollout::Rollout;
use crate::alert::{self, Alert};
use crate::metric::Timestamp;
use crate::promql::{InstantSample, Query};
use crate::rules::Recorded;
use crate::series::Window;

/// Time that passed since some fixed moment; the caller's clock, which the engine does not read.
pub(super) type Stopwatch = fn() -> Duration;

/// The inputs and outputs that all rules of a tick share.
pub(super) struct Pass<'a> {
    pub(super) window: &'a mut Window,
    pub(super) context: &'a alert::Context,
    pub(super) rollout: &'a Rollout,
    pub(super) at: Timestamp,
    pub(super) evidence: &'a mut EvidenceBook,
    /// A server's results for the expressions; empty without a server.
    pub(super) results: &'a Results,
    /// The window that the rules record into.
    pub(super) recorded: &'a Recorded,
    /// Whether `ALERTS` and `ALERTS_FOR_STATE` are recorded.
    pub(super) alert_series: bool,
    pub(super) stopwatch: Stopwatch,
    /// Alerts whose state changed in this tick.
    pub(super) changes: Vec<Alert>,
}

impl Pass<'_> {
    /// The values of an expression, and whether the windows behind them are filled. A server's
    /// answer wins over the window.
    pub(super) fn values(&self, query: &mut Query) -> Result<(Vec<InstantSample>, bool), String> {
        if let Some(answer) = self.results.get(query.expr()) {
            return answer.clone().map(|values| (values, true));
        }
        let evaluation = query
            .eval(&*self.window, self.at)
            .map_err(|error| error.to_string())?;
        let complete = evaluation.coverage.is_sufficient();
        let values = evaluation.value.into_vector(self.at);
        Ok((values.map_err(|error| error.to_string())?, complete))
    }
}
