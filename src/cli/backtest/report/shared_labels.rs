//! Labels of alerts in the report: those that all alerts share are shown once, the others at each
//! alert.

use std::collections::BTreeSet;

use crate::cli::replay::{Fired, Replay};
use crate::metric::Labels;
use crate::publish::escape;

/// The labels that all alerts of the report share.
#[derive(Debug, Default)]
pub(super) struct SharedLabels(Labels);

impl SharedLabels {
    /// The labels that are equal on all alerts; none if all alerts have the same label set.
    pub(super) fn of(replays: &[&Replay]) -> Self {
        let fired = || replays.iter().flat_map(|replay| &replay.fired);
        let distinct: BTreeSet<&Labels> = fired().map(|fired| &fired.alert.labels).collect();
        let mut distinct = distinct.into_iter();
        let (Some(first), Some(second)) = (distinct.next(), distinct.next()) else {
            return Self::default();
        };
        let rest: Vec<&Labels> = distinct.chain([second]).collect();
        let is_shared = |name: &str| {
            let value = first.get(name);
            name != "alertname" && rest.iter().all(|labels| labels.get(name) == value)
        };
        Self(first.retain(is_shared))
    }

    /// A sentence about the shared labels; empty if there are none.
    pub(super) fn sentence(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        format!(
            "<p class=\"quiet\">All alerts have {}.</p>",
            escape(&pairs(&self.0))
        )
    }

    /// The labels that are not shared.
    pub(super) fn own(&self, labels: &Labels) -> String {
        pairs(&labels.retain(|name| name != "alertname" && self.0.get(name).is_none()))
    }

    /// A table cell: the rule, linked to the chart of a signal if `signal` is given, and its own
    /// labels.
    pub(super) fn cell(&self, rule: &str, labels: &Labels, signal: Option<usize>) -> String {
        let mut rule = escape(rule);
        if let Some(index) = signal {
            rule = format!("<a href=\"#s{index}\">{rule}</a>");
        }
        format!(
            "{rule}<br><span class=\"quiet\">{}</span>",
            escape(&self.own(labels))
        )
    }

    /// The table cell of an alert.
    pub(super) fn alert_cell(&self, fired: &Fired) -> String {
        self.cell(&fired.alert.rule, &fired.alert.labels, None)
    }
}

/// `name=value` pairs, without the metric's name.
pub(super) fn pairs(labels: &Labels) -> String {
    labels
        .iter()
        .filter(|(name, _)| *name != Labels::NAME)
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(" ")
}
