//! The result of a plan.

use super::discovery::{Fleet, Model};
use super::replayed::ReplayedModel;
use crate::history::Range;

/// What `sidewatch plan` prints and writes.
pub(super) struct Planned {
    /// The replayed time range.
    pub(super) range: Range,
    /// The URL of the server, without a password.
    pub(super) server: String,
    /// What the server's index contains.
    pub(super) fleet: Fleet,
    /// The replayed models, by namespace and name.
    pub(super) models: Vec<ReplayedModel>,
    /// Models that were found and not replayed.
    pub(super) not_replayed: Vec<NotReplayed>,
}

/// A model without a replay.
pub(super) struct NotReplayed {
    pub(super) model: Model,
    pub(super) reason: String,
}
