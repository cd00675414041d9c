//! Ended alerts that no rule holds any more, because the rule was removed or a longer `for` made
//! them pending again. Their ends are re-sent for a while.

use std::time::Duration;

use super::names::Identity;
use super::records::StoredAlerts;
use crate::alert::{self, Alert, Tracker};
use crate::metric::Timestamp;

/// How long the ends are re-sent.
const REPEAT_FOR: Duration = Duration::from_secs(15 * 60);

/// The ended alerts of one rule.
#[derive(Debug)]
pub(super) struct Retired {
    identity: Identity,
    /// When the alerts left the rule.
    since: Timestamp,
    rule: alert::AlertRule,
    tracker: Tracker,
    until: Timestamp,
}

impl Retired {
    /// Resolves the alerts that a rule had; also returns the changes.
    pub(super) fn new(
        identity: Identity,
        rule: alert::AlertRule,
        mut tracker: Tracker,
        at: Timestamp,
        context: &alert::Context,
    ) -> (Self, Vec<Alert>) {
        let changes = tracker.retire_all(&rule, at, context).alerts;
        let retired = Self {
            identity,
            since: at,
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
    ) -> Vec<Alert> {
        self.tracker.due(&self.rule, at, resend_delay, context)
    }

    /// The record to store, under a key that no rule has.
    pub(super) fn stored(&self) -> (String, StoredAlerts) {
        let key = format!("{} ended {}", self.identity.id, self.since.as_millis());
        let record = StoredAlerts::new(self.identity.clone(), &self.rule, &self.tracker);
        (key, record.ended())
    }

    /// Adjusts the times after the clock went back.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.tracker.set_back(by);
        self.until = self.until - by;
    }
}
