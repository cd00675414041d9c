//! What a rule takes over from an earlier version of itself, and what it gives up.

use std::collections::HashSet;
use std::time::Duration;

use super::retired::Retired;
use super::rule::{Health, RuleKind, RuleState};
use crate::alert::{self, Alert, Tracker};
use crate::metric::{Labels, Timestamp};
use crate::promql::Expr;

/// What became of the alerts that a rule took over.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The alerts whose state changed.
    pub(super) changes: Vec<Alert>,
    /// The ends of alerts that are pending again.
    pub(super) ended: Option<Retired>,
}

impl RuleState {
    /// Continues earlier alerts; those that the rule no longer produces end.
    pub(super) fn take_tracker(
        &mut self,
        before: Tracker,
        at: Timestamp,
        context: &alert::Context,
    ) -> Taken {
        let identity = self.identity.clone();
        let Some((rule, tracker)) = self.alerting_mut() else {
            return Taken::default();
        };
        *tracker = before;
        let (changes, ended) = tracker.adopt(rule, at, context);
        let ended =
            (!ended.is_empty()).then(|| Retired::new(identity, rule.clone(), ended, at, context).0);
        Taken {
            changes: changes.alerts,
            ended,
        }
    }

    /// Takes over the state of an earlier version of the rule.
    pub(super) fn inherit(
        &mut self,
        before: Self,
        is_same_model: bool,
        at: Timestamp,
        context: &alert::Context,
    ) -> Taken {
        self.owner = before.owner;
        self.health = Health {
            unsupported: self.health.unsupported.take(),
            ..before.health
        };
        self.fills_since = before.fills_since;
        let is_same_value = is_same_model && before.identity.definition == self.identity.definition;
        let is_same_query = before.query.expr().text() == self.query.expr().text();
        if is_same_query && before.query.is_sampled() == self.query.is_sampled() {
            self.query = before.query;
        } else if !reads_no_more(self.query.expr(), before.query.expr()) {
            self.fill(at);
        }
        let tracker = match (before.kind, &mut self.kind) {
            (RuleKind::Record(before), RuleKind::Record(recorder)) => {
                recorder.inherit(before, is_same_model);
                return Taken::default();
            }
            (RuleKind::Record(_), _) => return Taken::default(),
            (RuleKind::Watch(mut before), RuleKind::Watch(watching)) => {
                watching.inherit(&mut before, is_same_value);
                before.tracker
            }
            (RuleKind::Watch(before), _) => before.tracker,
            (RuleKind::Alert(before), _) => before.tracker,
        };
        self.take_tracker(tracker, at, context)
    }

    /// Ends the alerts of series that carry one of these instances, and drops their learned state.
    pub(super) fn end_of(
        &mut self,
        instances: &HashSet<String>,
        at: Timestamp,
        context: &alert::Context,
    ) -> Vec<Alert> {
        let Some((rule, tracker)) = self.alerting_mut() else {
            return Vec::new();
        };
        let gone = |series: &Labels| {
            let instance = series.get("instance");
            instance.is_some_and(|instance| instances.contains(instance))
        };
        let why = "the target was removed";
        let ended = tracker.retire(rule, at, context, why, gone).alerts;
        if let RuleKind::Watch(watching) = &mut self.kind {
            watching.table.forget(gone);
        }
        ended
    }
}

/// Whether an expression reads only series that the other reads, no further back.
fn reads_no_more(expr: &Expr, other: &Expr) -> bool {
    let known = other.selected(Duration::ZERO);
    let read = expr.selected(Duration::ZERO);
    read.iter().all(|selected| {
        known
            .iter()
            .any(|known| known.selector == selected.selector && known.reach >= selected.reach)
    })
}
