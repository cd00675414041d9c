//! Compares expected and actual items by their labels, and then detail by detail.

use std::cmp::Ordering;

use crate::metric::Labels;
use crate::promql::format_value;
use crate::runtime::one_line;

/// An alert, a sample or a verdict.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) labels: Labels,
    /// Names and details, in the order of output.
    pub(super) details: Vec<(String, Detail)>,
}

/// A property of an item.
#[derive(Debug, Clone)]
pub(super) enum Detail {
    /// Compared exactly.
    Text(String),
    /// Compared exactly, or up to the last bit if `fuzzy`.
    Value { value: f64, fuzzy: bool },
    /// Compared after rounding to a number of decimals.
    Rounded { value: f64, decimals: i32 },
}

impl Detail {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Value { value, .. } | Self::Rounded { value, .. } => format_value(*value),
        }
    }

    /// Whether the actual detail matches this expected one.
    fn matches(&self, got: &Self) -> bool {
        let number = |detail: &Self| match detail {
            Self::Value { value, .. } | Self::Rounded { value, .. } => *value,
            Self::Text(_) => f64::NAN,
        };
        match (self, got) {
            (Self::Text(expected), Self::Text(got)) => expected == got,
            (Self::Value { value, fuzzy }, got) => {
                let got = number(got);
                same(*value, got)
                    || *fuzzy && (same(value.next_up(), got) || same(value.next_down(), got))
            }
            (Self::Rounded { value, decimals }, got) => {
                let got = number(got);
                same(*value, got) || (value - got).abs() <= 0.5000001 * 10_f64.powi(-decimals)
            }
            (Self::Text(_), _) => false,
        }
    }
}

#[expect(clippy::float_cmp, reason = "a test compares exact values")]
fn same(one: f64, other: f64) -> bool {
    one == other || one.is_nan() && other.is_nan()
}

/// Lines that begin with `-` (missing), `+` (unexpected) or a blank (as expected); `None` if all
/// match.
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

/// Adds the lines of two items with the same labels, or of one without a counterpart. Returns
/// whether they differ.
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
    let find = |item: &Item, name: &str| {
        item.details
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, detail)| detail.clone())
    };
    for (name, detail) in &expected.details {
        let other = find(got, name);
        if other.as_ref().is_some_and(|other| detail.matches(other)) {
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
    format!("{mark}   {name}: {}", one_line(&detail.text()))
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
    fn order_does_not_matter_and_nan_equals_nan() {
        let expected = vec![value("a", 1.0, false), value("b", f64::NAN, false)];
        let got = vec![value("b", f64::NAN, false), value("a", 1.0, false)];
        assert_eq!(diff(expected, got), None);
    }

    #[test]
    fn missing_items_have_a_minus_and_unexpected_ones_a_plus() {
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
    fn a_score_is_compared_with_the_precision_of_its_notation() {
        let rounded = |value, decimals| Detail::Rounded { value, decimals };
        let differs = |decimals, got| {
            diff(
                vec![item("a", rounded(1.4, decimals))],
                vec![item("a", rounded(got, 0))],
            )
        };
        assert!(differs(1, 1.44).is_none());
        assert!(differs(1, 1.46).is_some());
        assert!(differs(2, 1.41).is_some());
    }
}
