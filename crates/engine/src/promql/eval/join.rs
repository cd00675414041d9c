//! Arithmetic and comparisons between two vectors.

use std::sync::Arc;

use super::super::ast::{Binary, BinaryOp, Many, Matching};
use super::super::error::{PromqlError, Span};
use super::arithmetic::combine;
use super::signatures::{SignatureCache, Signatures, signature};
use super::table::{is_metadata, without_metadata};
use super::{Context, Table, Vector, VectorOperator};
use crate::metric::Labels;
use crate::series::ABSENT;

/// No partner is known yet.
const UNKNOWN: u32 = u32::MAX;
/// The partner is missing and a fill value is used.
const FILLED: u32 = u32::MAX - 1;

/// The rows of the result: one per row of the "many" side and, with a fill value for it, one per
/// row of the "one" side.
#[derive(Debug, Default)]
struct Output {
    /// The partner from which the labels of each row were made.
    partners: Vec<u32>,
    labels: Vec<Labels>,
    dropped: Vec<bool>,
    table: Option<Arc<Table>>,
    /// Scratch: the row of the "one" side for each signature.
    ones: Vec<u32>,
    /// Scratch: whether there is a pair for each signature.
    matched: Vec<bool>,
    /// Scratch: rows with a pair that a comparison leaves out.
    left_out: Vec<usize>,
}

/// The two vectors of one instant.
struct Sides<'a> {
    many: &'a Vector,
    one: &'a Vector,
    signatures: &'a Signatures,
    delayed: bool,
}

/// An operator between two vectors whose elements are matched by their labels.
#[derive(Debug)]
pub(super) struct Join {
    op: BinaryOp,
    returns_bool: bool,
    matching: Matching,
    left: Box<dyn VectorOperator>,
    right: Box<dyn VectorOperator>,
    cache: SignatureCache,
    output: Output,
    span: Span,
}

impl Join {
    pub(super) fn new(
        binary: &Binary,
        left: Box<dyn VectorOperator>,
        right: Box<dyn VectorOperator>,
        span: Span,
    ) -> Self {
        Self {
            op: binary.op,
            returns_bool: binary.returns_bool,
            matching: binary.matching.clone(),
            left,
            right,
            cache: SignatureCache::default(),
            output: Output::default(),
            span,
        }
    }

    /// Whether the right side is the "many" side, as with `group_right`.
    fn is_swapped(&self) -> bool {
        self.matching.many == Some(Many::Right)
    }

    /// The values of missing elements on the "many" and on the "one" side.
    fn fills(&self) -> (Option<f64>, Option<f64>) {
        let (left, right) = (self.matching.fill_left, self.matching.fill_right);
        if self.is_swapped() {
            (right, left)
        } else {
            (left, right)
        }
    }

    /// The labels of a result element.
    fn result_labels(&self, many: &Labels, one: Option<&Labels>) -> Labels {
        let drops_name = !self.op.is_comparison();
        let mut labels = if drops_name {
            without_metadata(many)
        } else {
            many.clone()
        };
        if self.matching.many.is_none() {
            let is_listed = |name: &str| self.matching.labels.iter().any(|l| l == name);
            labels = labels
                .retain(|name| is_listed(name) == self.matching.on || self.is_kept_name(name));
        }
        for name in &self.matching.include {
            labels = labels.with(name, one.and_then(|one| one.get(name)).unwrap_or(""));
        }
        labels
    }

    /// Whether a comparison with `ignoring` keeps this metadata label, such as the metric's name.
    fn is_kept_name(&self, name: &str) -> bool {
        !self.matching.on && is_metadata(name) && !self.matching.labels.iter().any(|l| l == name)
    }

    fn combine(&self, many: f64, one: f64) -> Option<f64> {
        let (left, right) = if self.is_swapped() {
            (one, many)
        } else {
            (many, one)
        };
        combine(self.op, self.returns_bool, left, right, left)
    }

    fn duplicate(&self, signature: &Labels, first: &Labels, second: &Labels) -> PromqlError {
        let side = if self.is_swapped() { "left" } else { "right" };
        let shown = |labels: &Labels| {
            let pairs: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v:?}")).collect();
            format!("{{{}}}", pairs.join(", "))
        };
        let message = format!(
            "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
            shown(signature),
            shown(first),
            shown(second),
        );
        PromqlError::evaluation(self.span, message)
    }

    /// Finds the row of the "one" side for every signature.
    ///
    /// # Errors
    /// If two rows have the same signature.
    fn index_ones(
        &mut self,
        signatures: &Signatures,
        of_ones: &[u32],
        one: &Vector,
    ) -> Result<(), PromqlError> {
        let mut ones = std::mem::take(&mut self.output.ones);
        ones.clear();
        ones.resize(signatures.all.len(), UNKNOWN);
        for (row, _) in one.present() {
            let number = of_ones[row] as usize;
            if ones[number] != UNKNOWN {
                let [first, second] = [ones[number] as usize, row].map(|row| one.table.raw(row));
                return Err(self.duplicate(&signatures.all[number], first, second));
            }
            ones[number] = row as u32;
        }
        self.output.ones = ones;
        Ok(())
    }

    /// Sets the partner of an output row and its labels; returns whether the labels changed.
    fn pair(&mut self, row: usize, partner: u32, many: &Labels, one: Option<&Labels>) -> bool {
        let is_same = self.output.partners[row] == partner;
        // Without included labels the labels of a result do not depend on the partner.
        let is_enough = self.output.partners[row] != UNKNOWN && self.matching.include.is_empty();
        self.output.partners[row] = partner;
        if is_same || is_enough {
            return false;
        }
        let labels = self.result_labels(many, one);
        let changed = self.output.labels[row] != labels;
        self.output.labels[row] = labels;
        changed
    }

    fn reset(&mut self, rows: usize) {
        self.output.partners = vec![UNKNOWN; rows];
        self.output.labels = vec![Labels::empty(); rows];
        self.output.dropped = vec![false; rows];
        self.output.table = None;
    }

    /// Whether a side is empty, so that it does not matter what is on the other.
    fn matches_nothing(&self, many: &Vector, one: &Vector) -> bool {
        let is_empty = |side: &Vector| side.present().next().is_none();
        let is_filled = self.fills() != (None, None);
        match (is_empty(many), is_empty(one)) {
            (true, true) => true,
            (false, false) => false,
            _ => !is_filled,
        }
    }

    fn run(
        &mut self,
        cx: &mut Context<'_>,
        many: &Vector,
        one: &Vector,
    ) -> Result<Vector, PromqlError> {
        let delayed = cx.delayed();
        let (left, right) = (&many.table, &one.table);
        if self.matches_nothing(many, one) {
            let values = cx.take(left.len(), ABSENT);
            return Ok(Vector::new(Arc::clone(left), values));
        }
        let (signatures, is_new) = self.cache.get(left, right, &self.matching, delayed);
        let sides = Sides {
            many,
            one,
            signatures: &signatures,
            delayed,
        };
        let fill_many = self.fills().0;
        let extra = if fill_many.is_some() { right.len() } else { 0 };
        if is_new {
            self.reset(left.len() + extra);
        }
        self.index_ones(&signatures, &signatures.right, one)?;
        let mut values = cx.take(left.len() + extra, ABSENT);
        let mut seen = vec![false; signatures.all.len()];
        let mut changed = self.pair_all(&sides, &mut values, &mut seen)?;
        if let Some(fill) = fill_many {
            changed |= self.fill_many(&sides, &seen, fill, &mut values);
        }
        if changed || self.output.table.is_none() {
            let (labels, dropped) = (self.output.labels.clone(), self.output.dropped.clone());
            self.output.table = Some(Arc::new(Table::with_dropped(labels, dropped, delayed)));
        }
        let table = self
            .output
            .table
            .clone()
            .unwrap_or_else(|| Arc::clone(left));
        // Labels must be unique before the comparison.
        self.check(&table, &values)?;
        for row in self.output.left_out.drain(..) {
            values[row] = ABSENT;
        }
        if self.op == BinaryOp::Div {
            self.note_counts(cx, &sides, &table);
        }
        Ok(Vector::new(table, values))
    }

    /// Notes the divisor of every row: it counts the observations behind the quotient.
    fn note_counts(&self, cx: &mut Context<'_>, sides: &Sides<'_>, table: &Table) {
        let Some(sampler) = &mut cx.sampler else {
            return;
        };
        sampler.begin(table.len());
        for (row, _) in sides.many.present() {
            let number = sides.signatures.left[row] as usize;
            let partner = self.output.ones[number];
            if partner < FILLED {
                sampler.count(table, row, sides.one.values[partner as usize]);
            }
        }
    }

    /// Computes the results for the elements of the "many" side; returns whether labels changed.
    fn pair_all(
        &mut self,
        sides: &Sides<'_>,
        values: &mut [f64],
        seen: &mut [bool],
    ) -> Result<bool, PromqlError> {
        let fill_one = self.fills().1;
        let mut matched = std::mem::take(&mut self.output.matched);
        matched.clear();
        matched.resize(seen.len(), false);
        self.output.left_out.clear();
        let mut changed = false;
        for (row, value) in sides.many.present() {
            let number = sides.signatures.left[row] as usize;
            seen[number] = true;
            let (partner, other) = match (self.output.ones[number], fill_one) {
                (UNKNOWN, None) => continue,
                (UNKNOWN, Some(fill)) => (FILLED, fill),
                (partner, _) => (partner, sides.one.values[partner as usize]),
            };
            // Also where a comparison would leave one of them.
            if self.matching.many.is_none() && std::mem::replace(&mut matched[number], true) {
                let message = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
                return Err(PromqlError::evaluation(self.span, message));
            }
            values[row] = self.combine(value, other).unwrap_or_else(|| {
                self.output.left_out.push(row);
                0.0
            });
            if self.output.partners[row] != partner {
                let many = sides.many.table.visible(row, sides.delayed);
                let is_real = partner != FILLED;
                let one = is_real.then(|| sides.one.table.visible(partner as usize, sides.delayed));
                changed |= self.pair(row, partner, &many, one.as_ref());
                let keeps = self.op.is_comparison() && !self.returns_bool;
                let dropped = !keeps || sides.many.table.is_dropped(row);
                changed |= std::mem::replace(&mut self.output.dropped[row], dropped) != dropped;
            }
        }
        self.output.matched = matched;
        Ok(changed)
    }

    /// Computes the results for unmatched elements of the "one" side; returns whether labels
    /// changed.
    fn fill_many(
        &mut self,
        sides: &Sides<'_>,
        seen: &[bool],
        fill: f64,
        values: &mut [f64],
    ) -> bool {
        let first = sides.many.table.len();
        let mut changed = false;
        for (row, value) in sides.one.present() {
            if seen[sides.signatures.right[row] as usize] {
                continue;
            }
            let Some(result) = self.combine(fill, value) else {
                continue;
            };
            values[first + row] = result;
            if self.output.partners[first + row] == UNKNOWN {
                let labels = sides.one.table.visible(row, sides.delayed);
                // Of the missing element only the labels it is matched by are known.
                let matched = signature(&labels, &self.matching);
                changed |= self.pair(first + row, row as u32, &matched, Some(&labels));
            }
        }
        changed
    }

    /// Checks that no two results have the same labels.
    fn check(&self, table: &Table, values: &[f64]) -> Result<(), PromqlError> {
        if !table.has_clash(values) {
            return Ok(());
        }
        let message = if self.matching.many.is_some() {
            "multiple matches for labels: grouping labels must ensure unique matches"
        } else {
            "vector cannot contain metrics with the same labelset"
        };
        Err(PromqlError::evaluation(self.span, message))
    }
}

impl VectorOperator for Join {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<Vector, PromqlError> {
        let left = self.left.eval(cx, at)?;
        let right = self.right.eval(cx, at)?;
        let result = if self.is_swapped() {
            self.run(cx, &right, &left)
        } else {
            self.run(cx, &left, &right)
        };
        cx.give(left.values);
        cx.give(right.values);
        result.map(|mut vector| {
            vector.order = None;
            vector
        })
    }
}
