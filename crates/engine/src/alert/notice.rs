//! The alerts about limits and about retraining, one alert for each rule and cause.

use std::time::Duration;

use super::entry::{Entry, MISSING, RETRAINING_LIMIT, RETRAINING_USELESS};
use super::pass::Pass;
use super::{AlertRule, Annotations, Changes, Context, Tracker};
use crate::metric::{Labels, Timestamp};

impl Tracker {
    /// Reports how many series of a watch wait because of the hourly limit on requests for
    /// retraining; raises one alert about them, and ends it when none waits. Returns its changes.
    pub fn note_limited_retraining(
        &mut self,
        rule: &AlertRule,
        at: Timestamp,
        context: &Context,
        (held_back, limit): (usize, usize),
    ) -> Changes {
        let mut pass = Pass::new(rule, at, context);
        let text = || {
            format!(
                "{held_back} series of {} wait to request retraining: {limit} requested it within \
                 the last hour, the limit",
                rule.name
            )
        };
        self.notice(&mut pass, RETRAINING_LIMIT, held_back, text);
        pass.changes
    }

    /// Reports the series of a watch for which retraining does not help, one text for each; raises
    /// one alert about them, and ends it when there is none. Returns its changes.
    pub fn note_useless_retraining(
        &mut self,
        rule: &AlertRule,
        at: Timestamp,
        context: &Context,
        texts: &[String],
    ) -> Changes {
        let mut pass = Pass::new(rule, at, context);
        let text = || texts.join("; ");
        self.notice(&mut pass, RETRAINING_USELESS, texts.len(), text);
        pass.changes
    }

    /// Reports the series of a watch whose observations do not come, one text for each; raises one
    /// alert about them, and ends it when there is none. Returns its changes.
    pub fn note_missing(
        &mut self,
        rule: &AlertRule,
        at: Timestamp,
        context: &Context,
        texts: &[String],
    ) -> Changes {
        let mut pass = Pass::new(rule, at, context);
        let text = || format!("{}: {}", rule.name, texts.join("; "));
        self.notice(&mut pass, MISSING, texts.len(), text);
        pass.changes
    }

    /// Raises the alert about a limit while it refuses something, and ends it afterwards.
    pub(super) fn notice(
        &mut self,
        pass: &mut Pass<'_>,
        name: &str,
        refused: usize,
        text: impl FnOnce() -> String,
    ) {
        let identity = &pass.context.identity;
        let labels = identity
            .with("alertname", name)
            .with("rule", &pass.rule.name);
        if refused == 0 {
            let Some(entry) = self.entries.get_mut(&labels) else {
                return;
            };
            let step = entry.unseen(pass.at, Duration::ZERO);
            self.apply(pass, &labels, step);
            return;
        }
        if !self.entries.get(&labels).is_some_and(Entry::is_active) {
            let mut entry = Entry::pending(labels.clone(), Labels::empty(), pass.at);
            entry.synthetic = true;
            self.entries.insert(labels.clone(), entry);
        }
        if let Some(entry) = self.entries.get_mut(&labels) {
            #[expect(clippy::cast_precision_loss, reason = "a count of series")]
            let value = refused as f64;
            entry.value = value;
            entry.annotations = Annotations::new([
                ("summary", text()),
                ("runbook_url", format!("docs/runbooks/{name}.md")),
            ]);
            let step = entry.seen(pass.at, Duration::ZERO);
            self.apply(pass, &labels, step);
        }
    }
}
