//! The series that Prometheus records about alerts: `ALERTS` and `ALERTS_FOR_STATE`.

use super::model_monitor::expressions;
use super::rule::{Pass, RuleState};
use crate::alert::State;
use crate::config::Config;
use crate::metric::Labels;

/// 1 for every alert that is pending or firing, with its labels and `alertstate`.
const ALERTS: &str = "ALERTS";
/// Since when its condition holds, in Unix seconds.
const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

/// Whether some rule may read the series about alerts; otherwise nobody needs them.
pub(super) fn selects_alerts(config: &Config) -> bool {
    let mut selectors = expressions(config).flat_map(crate::promql::Expr::selectors);
    selectors.any(|selector| {
        selector.may_match_name(ALERTS) || selector.may_match_name(ALERTS_FOR_STATE)
    })
}

impl RuleState {
    /// Records what an evaluation left pending or firing, visible to the rules after this one.
    pub(super) fn record_alerts(&self, pass: &mut Pass<'_>) {
        let Some((rule, tracker)) = self.alerting().filter(|_| pass.alert_series) else {
            return;
        };
        for alert in tracker.alerts(rule, pass.context) {
            if alert.state == State::Resolved {
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
