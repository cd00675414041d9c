//! `sort`, `sort_by_label` and their descending forms: the order of the elements of a result.

use std::cmp::Ordering;

use super::super::error::PromqlError;
use super::{Context, Vector, VectorOperator};

/// The sort key.
#[derive(Debug)]
pub(super) enum Key {
    /// The value.
    ExprValue,
    /// These labels in natural order, then all labels.
    Labels(Vec<String>),
}

/// `sort`, `sort_by_label` and their descending forms.
#[derive(Debug)]
pub(super) struct Sort {
    pub(super) key: Key,
    pub(super) descending: bool,
    pub(super) inner: Box<dyn VectorOperator>,
}

impl Sort {
    fn order(&self, vector: &Vector, a: u32, b: u32) -> Ordering {
        let (a, b) = (a as usize, b as usize);
        match &self.key {
            Key::ExprValue => {
                let (a, b) = (vector.values[a], vector.values[b]);
                match (a.is_nan(), b.is_nan()) {
                    (true, true) => Ordering::Equal,
                    // NaN is last in both directions.
                    (true, false) => Ordering::Greater,
                    (false, true) => Ordering::Less,
                    (false, false) => self.directed(a.total_cmp(&b)),
                }
            }
            Key::Labels(names) => {
                let (a, b) = (vector.table.raw(a), vector.table.raw(b));
                let of =
                    |name: &String| natural(a.get(name).unwrap_or(""), b.get(name).unwrap_or(""));
                let first = names.iter().map(of).find(|order| order.is_ne());
                self.directed(first.unwrap_or_else(|| a.cmp(b)))
            }
        }
    }

    fn directed(&self, order: Ordering) -> Ordering {
        if self.descending {
            order.reverse()
        } else {
            order
        }
    }
}

impl VectorOperator for Sort {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<Vector, PromqlError> {
        let mut vector = self.inner.eval(cx, at)?;
        let mut rows: Vec<u32> = vector.present().map(|(row, _)| row as u32).collect();
        rows.sort_by(|a, b| self.order(&vector, *a, *b));
        vector.order = Some(rows);
        Ok(vector)
    }
}

/// Natural order: digits compare as numbers, everything else as text, so `a2` comes before `a10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let (x, y) = (chunk(a), chunk(b));
        if x.is_empty() || y.is_empty() {
            return a.len().cmp(&b.len());
        }
        let are_numbers = x[0].is_ascii_digit() && y[0].is_ascii_digit();
        let order = if are_numbers {
            by_number(x, y)
        } else {
            x.cmp(y)
        };
        if order.is_ne() {
            return order;
        }
        a = &a[x.len()..];
        b = &b[y.len()..];
    }
}

/// The leading digits or non-digits.
fn chunk(text: &[u8]) -> &[u8] {
    let kind = text.first().is_some_and(u8::is_ascii_digit);
    let length = text
        .iter()
        .take_while(|b| b.is_ascii_digit() == kind)
        .count();
    &text[..length]
}

/// Compares numbers of any length; of equal numbers the one with fewer leading zeros comes first.
fn by_number(a: &[u8], b: &[u8]) -> Ordering {
    let trimmed = |digits: &[u8]| {
        digits
            .iter()
            .position(|d| *d != b'0')
            .unwrap_or(digits.len())
    };
    let (x, y) = (&a[trimmed(a)..], &b[trimmed(b)..]);
    x.len()
        .cmp(&y.len())
        .then_with(|| x.cmp(y))
        .then(a.len().cmp(&b.len()))
}

#[cfg(test)]
mod tests {
    use super::natural;

    #[test]
    fn numbers_in_labels_sort_by_size() {
        let mut names = [
            "4m600", "10", "b1", "4m1000", "2", "4m5", "a1", "02", "", "a",
        ];
        names.sort_by(|a, b| natural(a, b));
        let sorted = [
            "", "2", "02", "4m5", "4m600", "4m1000", "10", "a", "a1", "b1",
        ];
        assert_eq!(names, sorted);
    }
}
