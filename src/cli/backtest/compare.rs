//! What a change of rules changes.

use std::collections::BTreeMap;

use crate::cli::replay::{Fired, Replay};
use crate::metric::{Labels, Timestamp};

/// The alerts of two replays of the same past, side by side.
#[derive(Debug, Default)]
pub struct Comparison<'a> {
    /// Alerts that only the old rules raise.
    pub only_before: Vec<&'a Fired>,
    /// Alerts that only the new rules raise.
    pub only_after: Vec<&'a Fired>,
    /// Alerts of both that fire or end at another time.
    pub moved: Vec<(&'a Fired, &'a Fired)>,
    /// Alerts of both at the same time, with other labels.
    pub relabelled: Vec<(&'a Fired, &'a Fired)>,
    /// How many alerts are as they were.
    pub unchanged: usize,
}

impl<'a> Comparison<'a> {
    /// Pairs the alerts of a rule and a series that overlap, first those at exactly the same time.
    #[must_use]
    pub fn new(before: &'a Replay, after: &'a Replay) -> Self {
        let (mut old, mut new) = (by_series(before), by_series(after));
        let mut comparison = Self::default();
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
        comparison.moved.sort_by_key(|(fired, _)| times(fired).0);
        comparison
    }

    /// Whether the rules say the same about this past.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.only_before.is_empty()
            && self.only_after.is_empty()
            && self.moved.is_empty()
            && self.relabelled.is_empty()
    }

    fn pair(
        &mut self,
        olds: &mut Vec<&'a Fired>,
        news: &mut Vec<&'a Fired>,
        fits: impl Fn(&Fired, &Fired) -> bool,
    ) {
        olds.retain(|old| {
            let Some(index) = news.iter().position(|new| fits(old, new)) else {
                return true;
            };
            let new = news.remove(index);
            if times(old) != times(new) {
                self.moved.push((old, new));
            } else if old.alert.labels == new.alert.labels {
                self.unchanged += 1;
            } else {
                self.relabelled.push((old, new));
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
    let starts_before_end = |a: &Fired, b: &Fired| {
        let end = b.resolved_at;
        end.is_none_or(|end| times(a).0 < end)
    };
    starts_before_end(a, b) && starts_before_end(b, a)
}
