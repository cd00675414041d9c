//! `ratio` of a record: counters, window, bucket bound.

use std::time::Duration;

use super::drift::MAX_WINDOW;
use super::rule::RuleContext;
use super::rule_keys::RatioKeys;
use crate::describe::Node;
use crate::map::ratio::{Above, Parts, RatioRule};
use crate::metric::format_duration;

/// Builds a ratio from its keys.
pub(super) fn ratio_rule(
    keys: RatioKeys,
    node: &Node<'_>,
    context: &RuleContext<'_>,
) -> Option<RatioRule> {
    check_window(keys.window, node);
    let mut by = keys.by.clone();
    by.sort();
    by.dedup();
    if keys.histogram.is_some() && by.iter().any(|label| label == "le") {
        node.problem_below("by", "must not name le, which tells the buckets apart");
    }
    Some(RatioRule {
        // A pack does not know how often it is evaluated.
        window: keys.window.max(context.interval * 2),
        delay: keys.label_delay,
        requires: keys.requires.clone().unwrap_or_default(),
        parts: parts(keys, node)?,
        by,
    })
}

/// Two counts, or a histogram and a bound.
fn parts(keys: RatioKeys, node: &Node<'_>) -> Option<Parts> {
    match ["good", "bad", "total", "histogram", "above", "usual"].map(|key| node.has(key)) {
        [good, bad, true, false, false, false] if good != bad => Some(Parts::Counters {
            is_good: good,
            numerator: keys.good.or(keys.bad)?,
            total: keys.total?,
        }),
        [false, false, false, true, above, usual] if above != usual => {
            let bound = keys
                .above
                .map(Above::Value)
                .or(keys.usual.map(Above::Usual));
            Some(Parts::Histogram {
                buckets: keys.histogram?,
                above: bound?,
            })
        }
        [true, true, ..] => {
            node.problem_below("bad", "stands in the place of good; keep one of them");
            None
        }
        [false, false, false, true, ..] => {
            node.problem("must have either above or usual beside histogram");
            None
        }
        _ => {
            node.problem("must have total with good or bad, or histogram with above or usual");
            None
        }
    }
}

fn check_window(window: Duration, node: &Node<'_>) {
    if window > MAX_WINDOW {
        let message = format!("must be at most 31d, got {}", format_duration(window));
        node.problem_below("window", message);
    }
}
