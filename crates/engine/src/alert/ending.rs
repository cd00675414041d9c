//! Ends alerts whose cause has left the rule: removed series, rules and labels, and a longer `for`.

use std::time::Duration;

use super::entry::Entry;
use super::pass::Pass;
use super::template::Scope;
use super::{AlertRule, Changes, Context, Tracker};
use crate::metric::{Labels, Timestamp};

impl Tracker {
    /// Resolves the firing alerts of series that have ended (a removed target) and drops pending
    /// ones.
    pub fn retire(
        &mut self,
        rule: &AlertRule,
        at: Timestamp,
        context: &Context,
        why: &str,
        gone: impl Fn(&Labels) -> bool,
    ) -> Changes {
        self.end(rule, at, context, why, |entry| gone(&entry.series))
    }

    /// Resolves every alert, because the rule was removed. Send the result of [`Tracker::due`]
    /// afterwards, then drop the tracker.
    pub fn retire_all(&mut self, rule: &AlertRule, at: Timestamp, context: &Context) -> Changes {
        self.end(rule, at, context, "the rule was removed", |_| true)
    }

    /// Adapts restored or reloaded state to a rule: alerts whose labels the rule no longer produces
    /// resolve, unless the labels depend on `query`; then the next evaluation decides.
    ///
    /// A firing alert for which a raised `for` has not passed is pending again. Its end is in the
    /// returned tracker, to be sent with [`Tracker::due`].
    pub fn adopt(
        &mut self,
        rule: &AlertRule,
        at: Timestamp,
        context: &Context,
    ) -> (Changes, Tracker) {
        let mut changes = Changes::default();
        if !rule.labels_ask() {
            changes = self.end_relabelled(rule, at, context);
        }
        let pass = Pass::new(rule, at, context);
        let mut ended = Self::new();
        for (labels, entry) in &mut self.entries {
            if entry.is_notice() {
                continue;
            }
            if let Some(mut end) = entry.back_to_pending(at, rule.hold) {
                pass.note_end(&mut end, "pending again: its for became longer");
                changes.alerts.push(end.alert(&rule.name, &pass.url));
                ended.entries.insert(labels.clone(), end);
            }
        }
        (changes, ended)
    }

    fn end_relabelled(&mut self, rule: &AlertRule, at: Timestamp, context: &Context) -> Changes {
        let why = "the rule gives its alerts other labels now";
        self.end(rule, at, context, why, |entry| {
            let scope = Scope {
                labels: &entry.series,
                value: entry.value,
                at,
                context,
                query: None,
            };
            !entry.synthetic && rule.alert_labels(&scope) != entry.labels
        })
    }

    fn end(
        &mut self,
        rule: &AlertRule,
        at: Timestamp,
        context: &Context,
        why: &str,
        which: impl Fn(&Entry) -> bool,
    ) -> Changes {
        let mut pass = Pass::new(rule, at, context);
        let ending = self
            .entries
            .values()
            .filter(|entry| entry.is_active() && which(entry));
        let ending: Vec<Labels> = ending.map(|entry| entry.labels.clone()).collect();
        for labels in ending {
            self.end_one(&mut pass, &labels, why);
        }
        pass.changes
    }

    /// Resolves an alert whatever `keep_firing_for` says, and drops a pending one.
    pub(super) fn end_one(&mut self, pass: &mut Pass<'_>, labels: &Labels, why: &str) {
        if let Some(entry) = self.entries.get_mut(labels) {
            let step = entry.unseen(pass.at, Duration::ZERO);
            pass.note_end(entry, why);
            self.apply(pass, labels, step);
        }
    }
}
