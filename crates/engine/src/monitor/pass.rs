//! The inputs and outputs that all rules of a tick share.

use std::time::Duration;

use super::evidence::EvidenceBook;
use super::results::Results;
use super::rollout::Rollout;
use crate::alert::{self, Alert};
use crate::metric::Timestamp;
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
