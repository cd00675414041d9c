//! How long the series of an alert has been absent.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::metric::Timestamp;

/// How long healthy targets have not exported the series of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Absence {
    counted: Duration,
    /// The evaluation up to which the time is counted; `None` while it does not count.
    last: Option<Timestamp>,
    /// The series had no value in the evaluation at this time.
    #[serde(skip)]
    missing_at: Option<Timestamp>,
}

impl Absence {
    /// Notes whether the series had a value in an evaluation.
    pub(super) fn note(&mut self, is_missing: bool, at: Timestamp) {
        if is_missing {
            self.missing_at = Some(at);
        } else {
            *self = Self::default();
        }
    }

    /// Excludes the time up to the next evaluation.
    pub(super) fn pause(&mut self) {
        self.last = None;
    }

    /// Moves the times back after the clock went back.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.last = self.last.map(|at| at - by);
    }

    /// Whether the series had no value in the evaluation at this time.
    pub(super) fn is_missing(&self, at: Timestamp) -> bool {
        self.missing_at == Some(at)
    }

    /// Counts the time since the last evaluation; returns the time counted so far.
    pub(super) fn count(&mut self, at: Timestamp) -> Duration {
        self.counted += self.last.map_or(Duration::ZERO, |last| at.since(last));
        self.last = Some(at);
        self.counted
    }
}
