//! What was expected beside what came: by labels, and then detail by detail.

use std::cmp::Ordering;

use crate::metric::Labels;
use crate::promql::format_value;

/// Something with labels: an alert, a sample, a verdict.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) labels: Labels,
    /// In the order to show.
    pub(super) details: Vec<(String, Detail)>,
}

/// What is compared about an item.
#[derive(Debug, Clone)]
pub(super) enum Detail {
    /// Must be the same.
    Text(String),
    /// Must be equal, to the last bit but one when `fuzzy`.
    Value { value: f64, fuzzy: bool },
    /// Must be equal when rounded to so many decimals.
    Rounded(f64, i32),
}

impl Detail {
    fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Value { value, .. } | Self::Rounded(value, _) => format_value(*value),
        }
    }

    /// Whether this expectation is met.
    fn is_met_by(&self, got: &Self) -> bool {
        let number = |detail: &Self| match detail {
            Self::Value { value, .. } | Self::Rounded(value, _) => *value,
            Self::Text(_) => f64::NAN,
        };
        match (self, got) {
            (Self::Text(expected), Self::Text(got)) => expected == got,
            (Self::Value { value, fuzzy }, got) => {
                let got = number(got);
                same(*value, got)
                    || *fuzzy && (same(value.next_up(), got) || same(value.next_down(), got))
            }
            (Self::Rounded(value, decimals), got) => {
                let got = number(got);
                same(*value, got) || (value - got).abs() <= 0.5000001 * 10_f64.powi(-decimals)
            }
            (Self::Text(_), _) => false,
        }
    }
}

#[expect(clippy::float_cmp, reason = "a test asks for the very value")]
fn same(one: f64, other: f64) -> bool {
    one == other || one.is_nan() && other.is_nan()
}

/// Lines that begin with `-` (expected and missing), `+` (not expected) or a blank (as expected); nothing when all is met.
pub(super) fn diff(mut expected: Vec<Item>, mut got: Vec<Item>) -> Option<Vec<String>> {
    expected.sort_by(|a, b| a.labels.cmp(&b.labels));
    got.sort_by(|a, b| a.labels.cmp(&b.labels));
    let (mut expected, mut got) = (expected.iter().peekable(), got.iter().peekable());
    let (mut lines, mut differs) = (Vec::new(), false);
    loop {
        let order = match (expected.peek(), got.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.labels.cmp(&other.labels),
        };
        let one = if order.is_le() { expected.next() } else { None };
        let other = if order.is_ge() { got.next() } else { None };
        differs |= pair(one, other, &mut lines);
    }
    differs.then_some(lines)
}

/// Writes one item, or the difference of two of the same labels; whether they differ.
fn pair(expected: Option<&Item>, got: Option<&Item>, lines: &mut Vec<String>) -> bool {
    let (Some(expected), Some(got)) = (expected, got) else {
        for (mark, item) in [('-', expected), ('+', got)] {
            if let Some(item) = item {
                lines.push(format!("{mark} {}", item.labels));
                let details = item.details.iter();
                lines.extend(details.map(|(name, detail)| line(mark, name, detail)));
            }
        }
        return true;
    };
    lines.push(format!("  {}", expected.labels));
    let mut differs = false;
    let find = |item: &'_ Item, name: &str| {
        let found = item.details.iter().find(|(other, _)| other == name);
        found.map(|(_, detail)| detail.clone())
    };
    for (name, detail) in &expected.details {
        let other = find(got, name);
        if other.as_ref().is_some_and(|other| detail.is_met_by(other)) {
            lines.push(line(' ', name, detail));
            continue;
        }
        differs = true;
        lines.push(line('-', name, detail));
        lines.extend(other.map(|other| line('+', name, &other)));
    }
    for (name, detail) in &got.details {
        if find(expected, name).is_none() {
            differs = true;
            lines.push(line('+', name, detail));
        }
    }
    differs
}

fn line(mark: char, name: &str, detail: &Detail) -> String {
    format!("{mark}   {name}: {}", detail.shown())
}

#[cfg(test)]
mod tests {
    use super::{Detail, Item, diff};
    use crate::metric::Labels;

    fn item(job: &str, detail: Detail) -> Item {
        Item {
            labels: Labels::new([("job", job)]),
            details: vec![("value".to_owned(), detail)],
        }
    }

    fn value(job: &str, value: f64, fuzzy: bool) -> Item {
        item(job, Detail::Value { value, fuzzy })
    }

    #[test]
    fn order_does_not_matter_and_nan_is_nan() {
        let expected = vec![value("a", 1.0, false), value("b", f64::NAN, false)];
        let got = vec![value("b", f64::NAN, false), value("a", 1.0, false)];
        assert_eq!(diff(expected, got), None);
    }

    #[test]
    fn missing_is_minus_unexpected_is_plus_and_what_agrees_has_no_mark() {
        let expected = vec![
            value("a", 1.0, false),
            value("b", 2.0, false),
            value("d", 4.0, false),
        ];
        let got = vec![
            value("a", 1.0, false),
            value("b", 2.5, false),
            value("c", 3.0, false),
        ];
        let lines = diff(expected, got).unwrap();
        assert_eq!(
            lines,
            [
                "  {job=\"a\"}",
                "    value: 1",
                "  {job=\"b\"}",
                "-   value: 2",
                "+   value: 2.5",
                "+ {job=\"c\"}",
                "+   value: 3",
                "- {job=\"d\"}",
                "-   value: 4",
            ]
        );
    }

    #[test]
    fn the_last_bit_counts_unless_the_comparison_is_fuzzy() {
        let sum = 0.1 + 0.2;
        let differs = |fuzzy| diff(vec![value("a", 0.3, fuzzy)], vec![value("a", sum, false)]);
        assert!(differs(false).is_some());
        assert!(differs(true).is_none());
    }

    #[test]
    fn a_score_is_compared_as_precisely_as_it_was_written() {
        let differs = |decimals, got| {
            diff(
                vec![item("a", Detail::Rounded(1.4, decimals))],
                vec![item("a", Detail::Rounded(got, 0))],
            )
        };
        assert!(differs(1, 1.44).is_none());
        assert!(differs(1, 1.46).is_some());
        assert!(differs(2, 1.41).is_some());
    }
}
