//! The output of a tick, to be written and delivered.

use std::collections::HashSet;
use std::fmt;

use tracing::error;

use crate::alert::Alert;
use crate::metric::{Labels, Timestamp};
use crate::monitor::StateChanges;
use crate::notify::retrain::Entry;
use crate::state::{Store, StoreOutbox};

/// Signalled when the output is written, or the writer gave up on the disk. It may wait for the
/// disk.
pub(super) type After = Box<dyn FnOnce(&Store) + Send>;

/// The results of a tick, to be written to disk and then delivered.
#[derive(Default)]
pub(super) struct TickOutput {
    pub(super) at: Option<Timestamp>,
    pub(super) state: StateChanges,
    /// Retraining requests, delivered after they are stored.
    pub(super) entries: Vec<Entry>,
    /// Changes and repetitions of alerts.
    pub(super) alerts: Vec<Alert>,
    pub(super) after: Vec<After>,
}

impl fmt::Debug for TickOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TickOutput")
            .field("at", &self.at)
            .field("entries", &self.entries.len())
            .field("alerts", &self.alerts.len())
            .finish_non_exhaustive()
    }
}

impl TickOutput {
    /// Merges an output that arrived while the disk was busy. Keeps the newest state of each record
    /// and alert, so that memory stays bounded however long the disk takes.
    pub(super) fn overlay(&mut self, later: Self) {
        self.at = self.at.max(later.at);
        self.state.overlay(later.state);
        if !later.alerts.is_empty() {
            let newer: HashSet<&Labels> = later.alerts.iter().map(|alert| &alert.labels).collect();
            self.alerts.retain(|alert| !newer.contains(&alert.labels));
        }
        self.alerts.extend(later.alerts);
        let room = StoreOutbox::CAPACITY.saturating_sub(self.entries.len());
        for entry in later.entries.iter().skip(room) {
            let id = &entry.request.id;
            error!(
                id,
                "the outbox is full; the request for retraining is dropped"
            );
        }
        self.entries.extend(later.entries.into_iter().take(room));
        self.after.extend(later.after);
    }
}
