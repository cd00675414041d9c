//! Compares the alerts of two sets of rules over the same history.

use std::collections::BTreeMap;

use crate::cli::replay::{Fired, Replay};
use crate::metric::{Labels, Timestamp};

/// An alert that both sets of rules raise.
#[derive(Debug)]
pub(super) struct Pair<'a> {
    /// With the first rules.
    pub(super) before: &'a Fired,
    /// With the other rules.
    pub(super) after: &'a Fired,
}

/// The alerts of two replays of the same history, side by side.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    /// The replay of the first rules.
    pub(super) before: &'a Replay,
    /// The replay of the other rules.
    pub(super) after: &'a Replay,
    /// Alerts that only the first rules raise.
    pub(super) only_before: Vec<&'a Fired>,
    /// Alerts that only the other rules raise.
    pub(super) only_after: Vec<&'a Fired>,
    /// Alerts of both that fire or end at different times.
    pub(super) moved: Vec<Pair<'a>>,
    /// Alerts of both at the same time with different labels.
    pub(super) relabelled: Vec<Pair<'a>>,
    /// Number of alerts that are equal.
    pub(super) unchanged: usize,
}

impl<'a> Comparison<'a> {
    /// Pairs overlapping alerts of the same rule and series, first those with equal times.
    pub(super) fn new(before: &'a Replay, after: &'a Replay) -> Self {
        let mut comparison = Self {
            before,
            after,
            only_before: Vec::new(),
            only_after: Vec::new(),
            moved: Vec::new(),
            relabelled: Vec::new(),
            unchanged: 0,
        };
        let (mut old, mut new) = (by_series(before), by_series(after));
        for (key, olds) in &mut old {
            if let Some(news) = new.get_mut(key) {
                comparison.pair(olds, news, |a, b| times(a) == times(b));
                comparison.pair(olds, news, overlap);
            }
        }
        comparison.only_before = old.into_values().flatten().collect();
        comparison.only_after = new.into_values().flatten().collect();
        comparison.only_before.sort_by_key(|fired| times(fired).0);
        comparison.only_after.sort_by_key(|fired| times(fired).0);
        comparison.moved.sort_by_key(|pair| times(pair.before).0);
        comparison
    }

    /// Whether both sets of rules raise the same alerts.
    pub(super) fn is_empty(&self) -> bool {
        self.only_before.is_empty()
            && self.only_after.is_empty()
            && self.moved.is_empty()
            && self.relabelled.is_empty()
    }

    /// Moves alerts that `matches` accepts from both lists into the comparison.
    fn pair(
        &mut self,
        olds: &mut Vec<&'a Fired>,
        news: &mut Vec<&'a Fired>,
        matches: impl Fn(&Fired, &Fired) -> bool,
    ) {
        olds.retain(|before| {
            let Some(index) = news.iter().position(|new| matches(before, new)) else {
                return true;
            };
            let after = news.remove(index);
            if times(before) != times(after) {
                self.moved.push(Pair { before, after });
            } else if before.alert.labels == after.alert.labels {
                self.unchanged += 1;
            } else {
                self.relabelled.push(Pair { before, after });
            }
            false
        });
    }
}

/// Alerts by rule and series.
fn by_series(replay: &Replay) -> BTreeMap<(&str, Labels), Vec<&Fired>> {
    let mut series: BTreeMap<(&str, Labels), Vec<&Fired>> = BTreeMap::new();
    for fired in &replay.fired {
        let key = (&*fired.alert.rule, fired.alert.series.without_name());
        series.entry(key).or_default().push(fired);
    }
    series
}

fn times(fired: &Fired) -> (Timestamp, Option<Timestamp>) {
    (fired.alert.starts_at(), fired.resolved_at)
}

fn overlap(a: &Fired, b: &Fired) -> bool {
    let starts_before_end = |a: &Fired, b: &Fired| b.resolved_at.is_none_or(|end| times(a).0 < end);
    starts_before_end(a, b) && starts_before_end(b, a)
}
