//! The series that Prometheus records about alerts: `ALERTS` and `ALERTS_FOR_STATE`.

use super::pass::Pass;
use super::rule::RuleState;
use super::selection::{ALERTS, ALERTS_FOR_STATE};
use crate::alert::AlertState;
use crate::metric::Labels;

impl RuleState {
    /// Records the alerts that are pending or firing after an evaluation; later rules can read
    /// them.
    pub(super) fn record_alerts(&self, pass: &mut Pass<'_>) {
        let Some((rule, tracker)) = self.alerting().filter(|_| pass.alert_series) else {
            return;
        };
        for alert in tracker.alerts(rule, pass.context) {
            if alert.state == AlertState::Resolved {
                continue;
            }
            let since = alert.active_at.as_secs_f64().floor();
            let state = alert.labels.with("alertstate", alert.state.as_str());
            for (name, labels, value) in [
                (ALERTS, &state, 1.0),
                (ALERTS_FOR_STATE, &alert.labels, since),
            ] {
                let labels = labels.with(Labels::NAME, name);
                pass.window.record(self.owner, pass.at, &labels, value);
            }
        }
        pass.window.end_records(self.owner, pass.at);
    }
}
