//! Whether the counters behind a value increased: a ratio of counters that stand still says nothing
//! about the model.

use std::collections::HashMap;
use std::time::Duration;

use crate::map::Source;
use crate::metric::{Labels, MetricSample, Selector, Timestamp};
use crate::rules::{Rule, RuleSet};
use crate::series::{Row, Window, is_absent, is_stale};

/// A range of counters in an expression.
#[derive(Debug, Clone)]
pub(super) struct CountedRange {
    selector: Selector,
    reach: Duration,
}

/// For every rule in order, the ranges of its counters, including those of the records that it
/// reads. A rule may read a record that comes after it, such as one of a file that is named later.
pub(super) fn counted(rules: &RuleSet) -> Vec<Vec<CountedRange>> {
    let mut recorded: Vec<(&str, Vec<CountedRange>)> = Vec::new();
    let records = rules.rules().filter_map(|rule| match rule {
        Rule::Record(recording) => Some((rule, recording)),
        Rule::Alert { .. } | Rule::Watch(_) => None,
    });
    let records: Vec<_> = records.collect();
    for (rule, recording) in &records {
        let own = ranges(rule, &recorded);
        recorded.push((&recording.name, own));
    }
    // Once more, for records that read later ones. None reads itself.
    for (n, (rule, _)) in records.iter().enumerate() {
        recorded[n].1.clear();
        recorded[n].1 = ranges(rule, &recorded);
    }
    rules.rules().map(|rule| ranges(rule, &recorded)).collect()
}

/// The ranges of a rule's counters, given those of records.
fn ranges(rule: &Rule, recorded: &[(&str, Vec<CountedRange>)]) -> Vec<CountedRange> {
    let mut own = Vec::new();
    let window = match rule {
        Rule::Record(recording) => match &recording.source {
            Source::Drift(drift) => Some(drift.window),
            Source::Ratio(ratio) => Some(ratio.window),
            Source::Estimate(estimate) => Some(estimate.window),
            Source::Expr(_) => None,
        },
        Rule::Alert { .. } | Rule::Watch(_) => None,
    };
    // A veto against retraining does not affect the value.
    let counts = match rule {
        Rule::Record(_) => usize::MAX,
        Rule::Alert { .. } | Rule::Watch(_) => 1,
    };
    let read = rule.expressions().into_iter().take(counts);
    for selected in read.flat_map(|expr| expr.selected(Duration::ZERO)) {
        let sources = recorded
            .iter()
            .filter(|(name, _)| selected.selector.may_match_name(name));
        let before = own.len();
        own.extend(sources.flat_map(|(_, counted)| counted.iter().cloned()));
        // A record that counts takes the increases of an instant selector itself.
        let reach = selected.range.map(|_| selected.reach).or(window);
        if own.len() == before
            && let Some(reach) = reach
        {
            own.push(CountedRange {
                selector: selected.selector,
                reach,
            });
        }
    }
    own
}

/// The state of a row of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Motion {
    Unknown,
    Still,
    Moved,
}

/// Two or more equal values are still; a value that is not a number cannot be counted.
fn motion(row: Row<'_>) -> Motion {
    let values = row.values.iter().flat_map(|piece| piece.iter().copied());
    let mut first = None;
    let mut count = 0;
    for value in values.filter(|value| !is_absent(*value) && !is_stale(*value)) {
        let start: f64 = *first.get_or_insert(value);
        if value.is_nan() || value.to_bits() != start.to_bits() {
            return Motion::Moved;
        }
        count += 1;
    }
    if count < 2 {
        Motion::Unknown
    } else {
        Motion::Still
    }
}

/// Whether the labels of a counter contradict none of a value's.
fn is_related(counter: &Labels, of: &Labels) -> bool {
    let shared = of.iter().filter(|(name, _)| *name != Labels::NAME);
    shared
        .filter_map(|(name, value)| counter.get(name).map(|own| own == value))
        .all(|same| same)
}

/// What the counters behind a value did lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Activity {
    /// One of them was in the last scrape.
    pub(super) is_exported: bool,
    /// One of them increased.
    pub(super) moved: bool,
}

/// What the counters behind a value did within the time before `at`; `None` if there are none, as
/// behind a gauge.
pub(super) fn activity(
    window: &Window,
    counted: &[CountedRange],
    of: &Labels,
    within: Duration,
    at: Timestamp,
) -> Option<Activity> {
    let mut found = None;
    for counted in counted {
        window.select(&counted.selector, &mut |id, labels| {
            if !is_related(labels, of) {
                return;
            }
            let activity: &mut Activity = found.get_or_insert_default();
            let row = window.row(id, window.range(id.block, at - within, at));
            let last = row.values.iter().flat_map(|piece| piece.iter()).last();
            activity.is_exported |= last.is_some_and(|last| !is_absent(*last) && !is_stale(*last));
            activity.moved |= motion(row) == Motion::Moved;
        });
    }
    found
}

/// Whether a value rests on a new observation: a counter behind it increased; `None` if there are
/// no counters. Those at a server cannot be read. There a counter increased if the value is a number
/// other than 0: the increase of a counter that stands still is 0, and a share of it is NaN.
pub(super) fn observed(
    window: &Window,
    counted: &[CountedRange],
    sample: &MetricSample,
    within: Duration,
    at: Timestamp,
) -> Option<bool> {
    match activity(window, counted, &sample.labels, within, at) {
        Some(activity) => Some(activity.moved),
        None if counted.is_empty() => None,
        None => Some(!sample.value.is_nan() && sample.value != 0.0),
    }
}

/// The longest time that the ranges cover.
pub(super) fn longest(counted: &[CountedRange]) -> Duration {
    let reaches = counted.iter().map(|counted| counted.reach);
    reaches.max().unwrap_or_default()
}

/// Whether counters exist behind a value and none of them increased. Counters whose labels
/// contradict the value's do not count.
pub(super) fn is_still(
    window: &Window,
    counted: &[CountedRange],
    of: &Labels,
    at: Timestamp,
) -> bool {
    let related = |labels: &Labels| is_related(labels, of);
    let mut still = false;
    let mut moved = false;
    for counted in counted {
        let since = at - counted.reach;
        window.select(&counted.selector, &mut |id, labels| {
            if moved || !related(labels) {
                return;
            }
            match motion(window.row(id, window.range(id.block, since, at))) {
                Motion::Unknown => {}
                Motion::Still => still = true,
                Motion::Moved => moved = true,
            }
        });
    }
    still && !moved
}

/// The instances that expose counters the rules read, none of which increased.
pub(super) fn still_instances<'a>(
    window: &Window,
    counted: impl Iterator<Item = &'a CountedRange>,
    at: Timestamp,
) -> HashMap<String, bool> {
    let mut still: HashMap<String, bool> = HashMap::new();
    for counted in counted {
        let since = at - counted.reach;
        window.select(&counted.selector, &mut |id, labels| {
            let Some(instance) = labels.get("instance") else {
                return;
            };
            if still.get(instance) == Some(&false) {
                return;
            }
            let is_still = match motion(window.row(id, window.range(id.block, since, at))) {
                Motion::Unknown => return,
                Motion::Still => true,
                Motion::Moved => false,
            };
            match still.get_mut(instance) {
                Some(known) => *known &= is_still,
                None => {
                    still.insert(instance.to_owned(), is_still);
                }
            }
        });
    }
    still
}
