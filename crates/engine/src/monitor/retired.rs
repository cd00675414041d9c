//! Rules that are gone, whose alerts' end is repeated for a while.

use std::collections::HashSet;
use std::time::Duration;

use super::records::StoredAlerts;
use crate::alert::{self, Alert, Tracker};
use crate::metric::{Labels, Timestamp};

/// How long the end of a removed rule's alerts is repeated.
const REPEAT_FOR: Duration = Duration::from_secs(15 * 60);

/// The alerts of a rule that is no longer there.
#[derive(Debug)]
pub(super) struct Retired {
    pub(super) key: String,
    rule: alert::AlertRule,
    tracker: Tracker,
    until: Timestamp,
}

impl Retired {
    /// Ends the alerts of a rule; also gives the changes.
    pub(super) fn new(
        key: String,
        rule: alert::AlertRule,
        mut tracker: Tracker,
        at: Timestamp,
        context: &alert::Context,
    ) -> (Self, Vec<Alert>) {
        let changes = tracker.retire_all(&rule, at, context).alerts;
        let retired = Self {
            key,
            rule,
            tracker,
            until: at + REPEAT_FOR,
        };
        (retired, changes)
    }

    /// Whether the end is still to be repeated.
    pub(super) fn is_due(&self, at: Timestamp) -> bool {
        at < self.until
    }

    /// The ends that receivers should get now.
    pub(super) fn due(
        &mut self,
        at: Timestamp,
        resend_delay: Duration,
        context: &alert::Context,
        active: &HashSet<Labels>,
    ) -> Vec<Alert> {
        let mut alerts = self.tracker.due(&self.rule, at, resend_delay, context);
        // Another rule has the same alert by now.
        alerts.retain(|alert| !active.contains(&alert.labels));
        alerts
    }

    pub(super) fn stored(&self) -> StoredAlerts {
        StoredAlerts::new(&self.rule, &self.tracker)
    }

    /// The clock went back.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.tracker.set_back(by);
        self.until = self.until - by;
    }
}
