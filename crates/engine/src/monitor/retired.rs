//! Removed rules, whose resolved alerts are re-sent for a while.

use std::collections::HashSet;
use std::time::Duration;

use super::records::StoredAlerts;
use crate::alert::{self, Alert, Tracker};
use crate::metric::{Labels, Timestamp};

/// How long the resolved alerts of a removed rule are re-sent.
const REPEAT_FOR: Duration = Duration::from_secs(15 * 60);

/// The alerts of a removed rule.
#[derive(Debug)]
pub(super) struct Retired {
    pub(super) key: String,
    rule: alert::AlertRule,
    tracker: Tracker,
    until: Timestamp,
}

impl Retired {
    /// Resolves the alerts of a rule; also returns the changes.
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

    /// Whether the resolved alerts are still to be re-sent.
    pub(super) fn is_due(&self, at: Timestamp) -> bool {
        at < self.until
    }

    /// The resolved alerts to send now.
    pub(super) fn due(
        &mut self,
        at: Timestamp,
        resend_delay: Duration,
        context: &alert::Context,
        active: &HashSet<Labels>,
    ) -> Vec<Alert> {
        let mut alerts = self.tracker.due(&self.rule, at, resend_delay, context);
        // Another rule now has the same alert.
        alerts.retain(|alert| !active.contains(&alert.labels));
        alerts
    }

    pub(super) fn stored(&self) -> StoredAlerts {
        StoredAlerts::new(&self.rule, &self.tracker)
    }

    /// Adjusts the times after the clock went back.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.tracker.set_back(by);
        self.until = self.until - by;
    }
}
