//! What every rule of a tick needs.

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

/// What every rule of a tick needs.
pub(super) struct Pass<'a> {
    pub(super) window: &'a mut Window,
    pub(super) context: &'a alert::Context,
    pub(super) rollout: &'a Rollout,
    pub(super) at: Timestamp,
    pub(super) evidence: &'a mut EvidenceBook,
    /// What a server said about the expressions; empty where none was asked.
    pub(super) results: &'a Results,
    /// What the rules record.
    pub(super) recorded: &'a Recorded,
    /// Whether `ALERTS` and `ALERTS_FOR_STATE` are recorded.
    pub(super) alert_series: bool,
    pub(super) stopwatch: Stopwatch,
    /// Alerts whose state changed in this tick.
    pub(super) changes: Vec<Alert>,
}
