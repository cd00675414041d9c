//! Rules that look back further than samples are kept.

use std::time::Duration;

use super::settings::Settings;
use crate::metric::format_duration;
use crate::promql::Expr;
use crate::rules::{Origin, Recorded, Rule};

/// Why a rule cannot be evaluated over the window: an expression looks back further than samples
/// are kept. Expressions that a server evaluates have no such limit. `None` for a rule that can be.
#[must_use]
pub fn out_of_reach(settings: &Settings, recorded: &Recorded, rule: &Rule) -> Option<String> {
    let here =
        |expr: &&Expr| !settings.is_remote || recorded.origin(rule, expr) == Origin::Recorded;
    let expressions = rule.expressions().into_iter().filter(here);
    beyond(expressions, settings.retention)
}

/// Why the first of these expressions that looks back too far does so.
pub(super) fn beyond<'a>(
    expressions: impl IntoIterator<Item = &'a Expr>,
    retention: Duration,
) -> Option<String> {
    let reaches = expressions.into_iter().map(range);
    let longest = reaches.max().filter(|reach| *reach > retention)?;
    Some(format!(
        "unsupported: looks back over {}, more than the storage.retention of {}; raise it, shorten the range, or evaluate the rule at a server with scrape.source",
        format_duration(longest),
        format_duration(retention)
    ))
}

/// How far back the ranges and offsets of an expression go. The 5 minutes that a selector looks
/// back for its last sample are kept beyond the retention.
fn range(expr: &Expr) -> Duration {
    let selected = expr.selected(Duration::ZERO);
    let reaches = selected.iter().map(|selected| selected.reach);
    reaches.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::beyond;
    use crate::promql::Expr;

    #[test]
    fn ranges_and_offsets_count_and_the_lookback_of_a_selector_does_not() {
        let hour = Duration::from_secs(3600);
        let is_beyond = |text: &str| {
            let expr = Expr::parse(text).unwrap();
            beyond([&expr], hour).is_some()
        };
        for within in [
            "x",
            "x[1h]",
            "x offset 1h",
            "avg_over_time(rate(x[5m])[55m:])",
            "max_over_time(x[1h:1m])",
        ] {
            assert!(!is_beyond(within), "{within}");
        }
        for too_far in [
            "rate(x[61m])",
            "x offset 61m",
            "max_over_time(rate(x[5m])[1h:1m])",
        ] {
            assert!(is_beyond(too_far), "{too_far}");
        }
    }
}
