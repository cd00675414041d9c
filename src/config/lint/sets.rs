//! Lints that compare rules with each other.

use std::collections::BTreeMap;

use super::alerts::alerting;
use super::{Finding, Lint, RuleContext, SetContext};
use crate::metric::Metric;
use crate::rules::{Group, Rule};

pub(super) fn lint(groups: &[Group], set: &SetContext<'_>, findings: &mut Vec<Finding>) {
    let mut seen: BTreeMap<(&str, &str, String), String> = BTreeMap::new();
    for group in groups {
        for (index, rule) in group.rules.iter().enumerate() {
            let context = RuleContext {
                group,
                index,
                rule,
                set,
            };
            let (kind, labels) = identity(rule);
            let key = (kind, rule.name(), labels);
            match seen.get(&key) {
                Some(first) => findings.push(context.remark(
                    Lint::DuplicateRules,
                    kind,
                    format!(
                        "{first} has the same name and labels, so that the two cannot be told apart; rename one, or give it a label"
                    ),
                )),
                None => {
                    let place = format!("{}: {}.rules[{index}]", group.file, group.place.path);
                    seen.insert(key, place);
                }
            }
            findings.extend(unwatched(&context));
        }
    }
}

/// The kind of a rule and its labels, sorted.
fn identity(rule: &Rule) -> (&'static str, String) {
    let Some(alert) = alerting(rule) else {
        let labels = match rule {
            Rule::Record(recording) => format!("{:?}", recording.labels),
            Rule::Alert { .. } | Rule::Watch(_) => String::new(),
        };
        return ("record", labels);
    };
    let mut labels: Vec<String> = alert
        .labels
        .iter()
        .map(|(name, template)| format!("{name}={:?}", template.source()))
        .collect();
    labels.sort();
    let kind = match rule {
        Rule::Watch(_) => "watch",
        Rule::Record(_) | Rule::Alert { .. } => "alert",
    };
    (kind, labels.join(","))
}

/// A recorded latency, accuracy or drift that no rule uses.
fn unwatched(context: &RuleContext<'_>) -> Option<Finding> {
    let Rule::Record(recording) = context.rule else {
        return None;
    };
    let metric = recording
        .metric
        .as_ref()
        .filter(|metric| **metric != Metric::Custom)?;
    let used = &context.set.used;
    let name = recording.name.as_str();
    (!used.iter().any(|selector| selector.may_match_name(name))).then(|| {
        context.remark(
            Lint::UnwatchedMetric,
            "record",
            format!("no rule looks at {name}; add a watch, or make it metric: custom when it is only to be seen ({metric} is to be judged)"),
        )
    })
}
