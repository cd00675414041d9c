//! Evaluates a plain alert: every series that its expression returns is active.

use std::collections::HashSet;

use crate::alert::{self, Condition, Observation, Outcome, Tracker};
use crate::metric::Labels;
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
    /// of its active alert unknown.
    pub(super) fn observe(
        &self,
        values: Vec<InstantSample>,
        is_settled: bool,
        context: &alert::Context,
    ) -> Observed {
        let active = values
            .into_iter()
            .map(|sample| Observation::active(sample.labels, sample.value));
        let mut observations: Vec<Observation> = active.collect();
        if !is_settled {
            observations.extend(self.unseen(&observations, context));
        }
        Observed {
            outcome: Outcome::Observed(observations),
            present: HashSet::new(),
        }
    }

    fn unseen(&self, observed: &[Observation], context: &alert::Context) -> Vec<Observation> {
        let all = self.tracker.alerts(&self.rule, context).into_iter();
        let active = all.filter(|alert| alert.state != alert::AlertState::Resolved);
        active
            .filter(|alert| observed.iter().all(|seen| seen.labels != alert.series))
            .map(|alert| Observation {
                condition: Condition::Unsure,
                ..Observation::active(alert.series, alert.value)
            })
            .collect()
    }
}
