//! Evaluates a plain alert: every series that its expression returns is active.

use std::collections::HashSet;

use super::filling::Filled;
use crate::alert::{self, Condition, Observation, Outcome, Tracker};
use crate::metric::{Labels, Timestamp};
use crate::promql::InstantSample;

/// An evaluation up to the alerts, which need answers to the queries of templates.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) outcome: Outcome,
    /// The version-free labels of every present series that has a version.
    pub(super) present: HashSet<Labels>,
}

/// An alerting rule and its state.
#[derive(Debug)]
pub struct Alerting {
    pub(super) rule: alert::AlertRule,
    pub(super) tracker: Tracker,
}

impl Alerting {
    pub(super) fn new(rule: &alert::AlertRule) -> Self {
        Self {
            rule: rule.clone(),
            tracker: Tracker::new(),
        }
    }

    /// The outcome of this tick's values. While the window fills, a missing series leaves the state
    /// of an earlier alert unknown, and an alert that missing samples may cause does not fire.
    pub(super) fn observe(
        &self,
        values: Vec<InstantSample>,
        filled: Filled,
        fills_since: Option<Timestamp>,
        context: &alert::Context,
    ) -> Observed {
        let active = values
            .into_iter()
            .map(|sample| Observation::active(sample.labels, sample.value));
        let mut observations: Vec<Observation> = active.collect();
        if !filled.may_begin {
            // Alerts that fire already go on.
            for observation in &mut observations {
                observation.condition = Condition::Held;
            }
        }
        if let Some(since) = fills_since.filter(|_| !filled.upstream) {
            observations.extend(self.unseen(&observations, since, context));
        }
        Observed {
            outcome: Outcome::Observed(observations),
            present: HashSet::new(),
        }
    }

    /// The active alerts from before the window was empty whose series are missing.
    fn unseen(
        &self,
        observed: &[Observation],
        since: Timestamp,
        context: &alert::Context,
    ) -> Vec<Observation> {
        let all = self.tracker.alerts(&self.rule, context).into_iter();
        let earlier = all
            .filter(|alert| alert.state != alert::AlertState::Resolved && alert.active_at <= since);
        earlier
            .filter(|alert| observed.iter().all(|seen| seen.labels != alert.series))
            .map(|alert| Observation {
                condition: Condition::Unsure,
                ..Observation::active(alert.series, alert.value)
            })
            .collect()
    }
}
