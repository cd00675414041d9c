//! Ends the alerts of series that a healthy target no longer exports.

use std::collections::HashSet;

use crate::metric::{Labels, Timestamp, format_duration};

use super::pass::Pass;
use super::{AlertRule, Changes, Context, NoData, Tracker};

impl Tracker {
    /// Resolves the alerts of series that healthy targets have not exported for the rule's
    /// `no_data_resolve`, and drops pending ones. Call it after each evaluation that succeeded.
    ///
    /// The time counts while `is_healthy` returns true for the series. It starts anew when the
    /// series has a value.
    pub fn end_absent(
        &mut self,
        rule: &AlertRule,
        at: Timestamp,
        context: &Context,
        is_healthy: impl Fn(&Labels) -> bool,
    ) -> Changes {
        let mut pass = Pass::new(rule, at, context);
        let limit = rule.no_data_resolve;
        if rule.no_data != NoData::Keep || limit.is_zero() {
            return pass.changes;
        }
        let mut ending = Vec::new();
        for entry in self.entries.values_mut() {
            let is_missing = entry.absence.is_missing(at);
            if !is_missing || !entry.is_active() || entry.synthetic {
                continue;
            }
            if !is_healthy(&entry.series) {
                entry.absence.pause();
            } else if entry.absence.count(at) >= limit {
                ending.push(entry.labels.clone());
            }
        }
        for labels in ending {
            let Some(entry) = self.entries.get_mut(&labels) else {
                continue;
            };
            let why = format!(
                "no data for {}: the target no longer exports the series",
                format_duration(limit)
            );
            entry.annotations = entry.annotations.with("no_data", &why);
            self.end_one(&mut pass, &labels, "no longer exported");
        }
        pass.changes
    }

    /// Notes which label sets had no value in an evaluation.
    pub(super) fn note_absence<'a>(
        &mut self,
        missing: impl Iterator<Item = &'a Labels>,
        at: Timestamp,
    ) {
        let missing: HashSet<&Labels> = missing.collect();
        for (labels, entry) in &mut self.entries {
            entry.absence.note(missing.contains(labels), at);
        }
    }

    /// Excludes the time up to the next evaluation from the time without data.
    pub(super) fn pause_absence(&mut self) {
        for entry in self.entries.values_mut() {
            entry.absence.pause();
        }
    }
}
