//! `topk` and `bottomk`: the extreme elements of each group.

use std::cmp::Ordering;

use super::super::ast::Grouping;
use super::super::error::PromqlError;
use super::aggregate::Groups;
use super::table::Derived;
use super::{Context, Param, Vector, VectorOperator};
use crate::metric::format_general;
use crate::series::ABSENT;

/// `topk` or `bottomk`.
#[derive(Debug)]
pub(super) struct Extremes {
    smallest: bool,
    grouping: Grouping,
    param: Param,
    inner: Box<dyn VectorOperator>,
    groups: Derived<Groups>,
}

impl Extremes {
    pub(super) fn new(
        smallest: bool,
        grouping: Grouping,
        param: Param,
        inner: Box<dyn VectorOperator>,
    ) -> Self {
        Self {
            smallest,
            grouping,
            param,
            inner,
            groups: Derived::default(),
        }
    }

    /// Orders the more extreme value first and NaN last.
    fn order(&self, a: f64, b: f64) -> Ordering {
        match (a.is_nan(), b.is_nan()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) if self.smallest => a.total_cmp(&b),
            (false, false) => b.total_cmp(&a),
        }
    }
}

impl VectorOperator for Extremes {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<Vector, PromqlError> {
        let k = self.param.0.eval(cx, at)?;
        if k.is_nan() {
            return Err(PromqlError::evaluation(
                self.param.1,
                "Parameter value is NaN",
            ));
        }
        if k >= 9_223_372_036_854_775_807.0 {
            let message = format!("scalar value {} overflows int64", format_general(k));
            return Err(PromqlError::evaluation(self.param.1, message));
        }
        let mut vector = self.inner.eval(cx, at)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturating is meant"
        )]
        let k = k as usize;
        let delayed = cx.delayed();
        let grouping = &self.grouping;
        let groups = self
            .groups
            .get(&vector.table, |table| Groups::of(table, grouping, delayed));
        let mut ranked: Vec<(u32, u32, f64)> = vector
            .present()
            .map(|(row, value)| (groups.of[row], row as u32, value))
            .collect();
        ranked.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| self.order(a.2, b.2)));
        vector.values.fill(ABSENT);
        let mut order = Vec::new();
        let (mut group, mut taken) = (None, 0);
        for (number, row, value) in ranked {
            if group != Some(number) {
                group = Some(number);
                taken = 0;
            }
            if taken < k {
                taken += 1;
                vector.values[row as usize] = value;
                order.push(row);
            }
        }
        vector.order = Some(order);
        Ok(vector)
    }
}
