//! `and`, `or` and `unless`.

use std::sync::Arc;

use super::super::ast::{BinaryOp, Matching};
use super::super::error::PromqlError;
use super::signatures::SignatureCache;
use super::{Context, Table, Vector, VectorOperator};
use crate::series::{ABSENT, is_absent};

/// A set operator.
#[derive(Debug)]
pub(super) struct SetOperation {
    op: BinaryOp,
    matching: Matching,
    left: Box<dyn VectorOperator>,
    right: Box<dyn VectorOperator>,
    cache: SignatureCache,
    union: Option<Arc<Table>>,
    /// Scratch: whether each signature occurs on the other side.
    occurs: Vec<bool>,
}

impl SetOperation {
    pub(super) fn new(
        op: BinaryOp,
        matching: Matching,
        left: Box<dyn VectorOperator>,
        right: Box<dyn VectorOperator>,
    ) -> Self {
        Self {
            op,
            matching,
            left,
            right,
            cache: SignatureCache::default(),
            union: None,
            occurs: Vec::new(),
        }
    }

    fn mark(&mut self, signatures: usize, vector: &Vector, numbers: &[u32]) {
        self.occurs.clear();
        self.occurs.resize(signatures, false);
        for (row, _) in vector.present() {
            self.occurs[numbers[row] as usize] = true;
        }
    }
}

impl VectorOperator for SetOperation {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<Vector, PromqlError> {
        let mut left = self.left.eval(cx, at)?;
        let right = self.right.eval(cx, at)?;
        left.order = None;
        let delayed = cx.delayed();
        let (signatures, is_new) =
            self.cache
                .get(&left.table, &right.table, &self.matching, delayed);
        let count = signatures.all.len();
        if self.op != BinaryOp::Or {
            self.mark(count, &right, &signatures.right);
            let wanted = self.op == BinaryOp::And;
            for (value, number) in left.values.iter_mut().zip(&signatures.left) {
                if self.occurs[*number as usize] != wanted {
                    *value = ABSENT;
                }
            }
            cx.give(right.values);
            return Ok(left);
        }
        self.mark(count, &left, &signatures.left);
        if is_new {
            self.union = None;
        }
        let table = self
            .union
            .get_or_insert_with(|| Arc::new(union(&left.table, &right.table, delayed)));
        left.table = Arc::clone(table);
        for (value, number) in right.values.iter().zip(&signatures.right) {
            let is_new = !is_absent(*value) && !self.occurs[*number as usize];
            left.values.push(if is_new { *value } else { ABSENT });
        }
        cx.give(right.values);
        Ok(left)
    }
}

fn union(left: &Table, right: &Table, delayed: bool) -> Table {
    let rows = || {
        [left, right]
            .into_iter()
            .flat_map(|table| (0..table.len()).map(move |row| (table, row)))
    };
    let labels = rows().map(|(table, row)| table.raw(row).clone()).collect();
    let dropped = rows().map(|(table, row)| table.is_dropped(row)).collect();
    Table::with_dropped(labels, dropped, delayed)
}
