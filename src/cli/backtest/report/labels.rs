//! Alerts by name: the labels that every alert carries are said once, the others at each.

use std::collections::BTreeSet;

use crate::cli::replay::{Fired, Replay};
use crate::metric::Labels;
use crate::publish::escape;

/// What all alerts of the report have in common.
#[derive(Debug, Default)]
pub(super) struct Common(Labels);

impl Common {
    /// The labels that are the same on all alerts, when there are several alerts.
    pub(super) fn of(replays: &[&Replay]) -> Self {
        let fired = || replays.iter().flat_map(|replay| &replay.fired);
        let distinct: BTreeSet<&Labels> = fired().map(|fired| &fired.alert.labels).collect();
        let mut distinct = distinct.into_iter();
        let (Some(first), Some(second)) = (distinct.next(), distinct.next()) else {
            return Self::default();
        };
        let rest: Vec<&Labels> = distinct.chain([second]).collect();
        let same = |name: &str| {
            let value = first.get(name);
            name != "alertname" && rest.iter().all(|labels| labels.get(name) == value)
        };
        Self(first.retain(same))
    }

    /// What they have in common, as a sentence; empty when it is nothing.
    pub(super) fn told(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        format!(
            "<p class=\"quiet\">Every alert has {}.</p>",
            escape(&pairs(&self.0))
        )
    }

    /// The labels that tell this alert from others.
    pub(super) fn own(&self, labels: &Labels) -> String {
        let own = labels.retain(|name| name != "alertname" && self.0.get(name).is_none());
        pairs(&own)
    }

    /// The rule, and its own labels below it.
    pub(super) fn cell(&self, rule: &str, labels: &Labels, link: Option<usize>) -> String {
        let rule = escape(rule);
        let rule = match link {
            Some(index) => format!("<a href=\"#s{index}\">{rule}</a>"),
            None => rule,
        };
        format!(
            "{rule}<br><span class=\"quiet\">{}</span>",
            escape(&self.own(labels))
        )
    }

    pub(super) fn alert(&self, fired: &Fired) -> String {
        self.cell(&fired.alert.rule, &fired.alert.labels, None)
    }
}

/// `name=value` pairs, without the metric's name.
pub(super) fn pairs(labels: &Labels) -> String {
    let pairs = labels.iter().filter(|(name, _)| *name != Labels::NAME);
    let pairs = pairs.map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(" ")
}
