//! Of two alerts with equal labels, the one that fires counts.

use std::collections::HashSet;

use super::model_monitor::ModelMonitor;
use super::rule::RuleState;
use crate::alert::{Alert, AlertState};
use crate::metric::Labels;

impl ModelMonitor {
    /// Drops the end of an alert while an alert with the same labels fires, of another rule or of
    /// one that came back: a receiver knows alerts by their labels.
    pub(super) fn without_false_ends(&self, mut alerts: Vec<Alert>) -> Vec<Alert> {
        let is_end = |alert: &Alert| alert.state == AlertState::Resolved;
        if !alerts.iter().any(is_end) {
            return alerts;
        }
        let trackers = self.rules().filter_map(RuleState::alerting);
        let firing: HashSet<&Labels> = trackers
            .flat_map(|(_, tracker)| tracker.firing_labels())
            .collect();
        alerts.retain(|alert| !is_end(alert) || !firing.contains(&alert.labels));
        alerts
    }
}
