//! Lints about the timing, labels and annotations of `alert` and `watch`.

use super::{Finding, Lint, RuleContext};
use crate::alert;
use crate::metric::format_duration;
use crate::rules::Rule;

pub(super) fn lint(context: &RuleContext<'_>, findings: &mut Vec<Finding>) {
    let Some(alert) = alerting(context.rule) else {
        return;
    };
    if !alert.annotations.iter().any(|(name, _)| name == "summary") {
        findings.push(context.remark(
            Lint::NoSummary,
            "annotations.summary",
            "is missing; say in a sentence what is wrong",
        ));
    }
    for (name, template) in &alert.labels {
        if template.uses_value() {
            findings.push(context.remark(
                Lint::ValueInLabel,
                &format!("labels.{name}"),
                "$value makes a new alert of every value; put it into an annotation",
            ));
        }
    }
    let interval = context.interval();
    let [hold, keep, every] = [alert.hold, alert.keep_firing_for, interval].map(format_duration);
    if !alert.hold.is_zero() && alert.hold < interval {
        findings.push(context.remark(
            Lint::ShortFor,
            "for",
            format!(
                "{hold} is shorter than the interval of {every}: the alert fires one evaluation late and no sooner; write {every} or more"
            ),
        ));
    }
    if !alert.keep_firing_for.is_zero() && alert.keep_firing_for < interval {
        findings.push(context.remark(
            Lint::ShortKeepFiring,
            "keep_firing_for",
            format!("{keep} is shorter than the interval of {every} and bridges nothing; write {every} or more"),
        ));
    }
}

/// The alert of an `alert` or `watch`.
pub(super) fn alerting(rule: &Rule) -> Option<&alert::AlertRule> {
    match rule {
        Rule::Alert { alert, .. } => Some(alert),
        Rule::Watch(watch) => Some(&watch.alert),
        Rule::Record(_) => None,
    }
}
