//! Lints about the intervals of groups.

use std::time::Duration;

use super::{Finding, Lint, RuleContext, SetContext};
use crate::config::rule_keys::WITHOUT_EFFECT;
use crate::metric::format_duration;
use crate::monitor::{Settings, evaluated_every, out_of_reach};
use crate::rules::{Group, Recorded, Rule};

/// How far an instant selector looks back, as in Prometheus.
pub(super) const LOOKBACK: Duration = Duration::from_secs(300);

pub(super) fn lint(groups: &[Group], set: &SetContext<'_>, findings: &mut Vec<Finding>) {
    let settings = set.input.config.monitor_settings();
    let recorded = Recorded::of(&set.input.config.rules);
    for group in groups {
        findings.extend(uneven(group, set));
        findings.extend(without_effect(group));
        for (index, rule) in group.rules.iter().enumerate() {
            let context = RuleContext {
                group,
                index,
                rule,
                set,
            };
            findings.extend(slow_record(&context, groups));
            findings.extend(beyond_retention(&context, &settings, &recorded));
        }
    }
}

/// An interval that is shorter than the scrape interval, or no multiple of it.
fn uneven(group: &Group, set: &SetContext<'_>) -> Option<Finding> {
    let interval = group.interval.filter(|_| set.input.has_settings)?;
    let every = evaluated_every(interval, set.interval);
    let [written, every_text, scrape] = [interval, every, set.interval].map(format_duration);
    let what = if interval < set.interval {
        "is shorter than"
    } else {
        "is no multiple of"
    };
    (every != interval).then(|| Finding {
        lint: Lint::UnevenInterval,
        file: group.file.clone(),
        document: group.place.document,
        path: format!("{}.interval", group.place.path),
        message: format!(
            "{written} {what} the scrape interval of {scrape}, so the group runs every {every_text} instead of {written}; write {every_text}, or change global.scrape_interval"
        ),
    })
}

/// Keys of other evaluators of rules.
fn without_effect(group: &Group) -> impl Iterator<Item = Finding> {
    WITHOUT_EFFECT
        .iter()
        .filter(|(key, _)| group.without_effect.contains(key))
        .map(|(key, why)| Finding {
            lint: Lint::KeyWithoutEffect,
            file: group.file.clone(),
            document: group.place.document,
            path: format!("{}.{key}", group.place.path),
            message: format!("has no effect: {why}; leave it out"),
        })
}

/// A rule that looks back further than samples are kept.
fn beyond_retention(
    context: &RuleContext<'_>,
    settings: &Settings,
    recorded: &Recorded,
) -> Option<Finding> {
    let why = out_of_reach(settings, recorded, context.rule)?;
    Some(context.remark(Lint::BeyondRetention, "expr", why))
}

/// A rule that reads a record which disappears between two evaluations of its group.
fn slow_record(context: &RuleContext<'_>, groups: &[Group]) -> Option<Finding> {
    let expr = context.expr()?;
    let what = match context.rule {
        Rule::Record(_) => "the new record",
        Rule::Alert { .. } => "the alert",
        Rule::Watch(_) => "the value",
    };
    let scrape = context.set.interval;
    let every = |group: &Group| evaluated_every(group.interval.unwrap_or(scrape), scrape);
    let own = every(context.group);
    let read = expr.selected(LOOKBACK);
    let instant = || read.iter().filter(|selected| selected.range.is_none());
    let slow = groups
        .iter()
        .filter(|group| every(group) > LOOKBACK.max(own));
    let mut records = slow.flat_map(|group| {
        let records = group.rules.iter().filter_map(|rule| match rule {
            Rule::Record(recording) => Some(recording.name.as_str()),
            Rule::Alert { .. } | Rule::Watch(_) => None,
        });
        records.map(move |name| (group, name))
    });
    let (group, name) = records
        .find(|(_, name)| instant().any(|selected| selected.selector.may_match_name(name)))?;
    let [slow, fast] = [every(group), own].map(format_duration);
    Some(context.remark(
        Lint::SlowRecord,
        "expr",
        format!(
            "{name} is recorded every {slow} and read every {fast}, but a selector looks back 5m only: {what} comes and goes; record it every 2m or less, or read it with last_over_time({name}[{}])",
            format_duration(every(group) * 2)
        ),
    ))
}
