//! How many alarms are acceptable in a time, written as `1/d`.

use std::fmt;
use std::time::Duration;

use serde_json::json;

use crate::describe::{Kind, Limits, Node, Scalar, Shape};
use crate::metric::{format_duration, parse_duration};

const HOUR: u64 = 3600;
/// The shortest and the longest time for one alarm. Incidents are counted once in eight hours, and
/// their counts are forgotten with a half-life of thirty days.
const LIMITS: (Duration, Duration) = (
    Duration::from_secs(8 * HOUR),
    Duration::from_secs(30 * 24 * HOUR),
);

static BUDGET: Scalar = Scalar {
    name: "budget",
    doc: "A number of alarms and the time in which so many are acceptable, such as `1/d`, `2/w` or `1/30d`.",
    schema: || json!({"type": "string", "pattern": "^[1-9][0-9]*/[0-9a-z]+$"}),
    show: |number| number.to_string(),
};

/// At most so many alarms in a period, in the long run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    count: u32,
    period: Duration,
}

impl Budget {
    /// One alarm in thirty days.
    pub(super) const MONTHLY: Self = Self {
        count: 1,
        period: Duration::from_secs(30 * 24 * HOUR),
    };

    /// One alarm a day.
    pub(super) const DAILY: Self = Self {
        count: 1,
        period: Duration::from_secs(24 * HOUR),
    };

    /// The time for one alarm.
    fn per_alarm(self) -> Duration {
        self.period / self.count
    }

    /// The seconds for one alarm.
    pub(super) fn seconds(self) -> f64 {
        self.per_alarm().as_secs_f64()
    }

    /// The days for one alarm.
    pub(super) fn days(self) -> f64 {
        self.seconds() / 86_400.0
    }
}

impl fmt::Display for Budget {
    /// As it is written, without a 1 before a single unit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = format_duration(self.period);
        let unit = period
            .strip_prefix('1')
            .filter(|unit| unit.bytes().all(|byte| byte.is_ascii_alphabetic()));
        write!(f, "{}/{}", self.count, unit.unwrap_or(&period))
    }
}

/// Reads a budget such as `1/d`.
fn parse(text: &str) -> Option<Budget> {
    let (count, period) = text.split_once('/')?;
    let count = count.parse().ok().filter(|count| *count > 0)?;
    let is_unit = period.starts_with(|first: char| first.is_ascii_alphabetic());
    let written = format!("{}{period}", if is_unit { "1" } else { "" });
    let period = parse_duration(&written).ok()?;
    Some(Budget { count, period })
}

impl Shape for Budget {
    type Value = Self;

    fn kind() -> Kind {
        Kind::Scalar(&BUDGET)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Self> {
        read(node, LIMITS, "from 1/30d to 3/d")
    }

    fn show(value: &Self) -> Option<String> {
        Some(value.to_string())
    }
}

/// A budget of any length from a minute on.
pub(super) struct FalseAlarms;

impl Shape for FalseAlarms {
    type Value = Budget;

    fn kind() -> Kind {
        Kind::Scalar(&BUDGET)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Budget> {
        let limits = (Duration::from_secs(60), Duration::MAX);
        read(node, limits, "at most one a minute")
    }

    fn show(value: &Budget) -> Option<String> {
        Some(value.to_string())
    }
}

/// Reads a budget whose time for one alarm is within the limits.
fn read(node: &Node<'_>, limits: (Duration, Duration), allowed: &str) -> Option<Budget> {
    let text = node.text()?;
    let Some(budget) = parse(&text) else {
        node.problem(format!(
            "not a budget: {text:?}; write it as 1/d, 2/w or 1/30d"
        ));
        return None;
    };
    let (shortest, longest) = limits;
    if !(shortest..=longest).contains(&budget.per_alarm()) {
        node.problem(format!("must be {allowed}, got {text}"));
    }
    Some(budget)
}

#[cfg(test)]
mod tests {
    use super::{Budget, parse};

    #[test]
    fn a_budget_is_read_and_written_alike() {
        for (text, days) in [
            ("1/d", 1.0),
            ("2/w", 3.5),
            ("1/30d", 30.0),
            ("3/d", 1.0 / 3.0),
        ] {
            let budget = parse(text).unwrap();
            assert_eq!(budget.to_string(), text);
            assert!((budget.days() - days).abs() < 1e-12, "{text}");
        }
        assert_eq!(parse("1/1d"), Some(Budget::DAILY));
        assert_eq!(parse("1/24h"), Some(Budget::DAILY));
    }

    #[test]
    fn text_without_a_count_or_a_time_is_no_budget() {
        for text in [
            "", "1", "d", "1/", "/d", "0/d", "1.5/d", "-1/d", "1/day", "1/5", "1/d/d",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
