//! `absent` and `absent_over_time`.

use std::sync::Arc;

use super::super::error::PromqlError;
use super::ranges::{Ranges, Scratch};
use super::{Context, Table, Vector, VectorOperator};
use crate::metric::{Labels, MatchOp, Selector};
use crate::series::ABSENT;

/// The labels that a missing series would have: those of `=` matchers whose label occurs only once.
pub(super) fn surely(selector: &Selector) -> Labels {
    let matchers = selector.matchers();
    let is_sure = |name: &str| matchers.iter().filter(|m| m.name() == name).count() == 1;
    matchers
        .iter()
        .filter(|m| m.op() == MatchOp::Equal && m.name() != Labels::NAME)
        .filter(|m| is_sure(m.name()))
        .map(|m| (m.name(), m.value()))
        .collect()
}

/// The argument.
#[derive(Debug)]
pub(super) enum Subject {
    Vector(Box<dyn VectorOperator>),
    Ranges(Ranges),
}

/// One element with the value 1 if the argument is empty, else nothing.
#[derive(Debug)]
pub(super) struct Absent {
    subject: Subject,
    table: Arc<Table>,
}

impl Absent {
    pub(super) fn new(subject: Subject, labels: Labels) -> Self {
        let table = Arc::new(Table::new(vec![labels]));
        Self { subject, table }
    }
}

impl VectorOperator for Absent {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<Vector, PromqlError> {
        let is_there = match &mut self.subject {
            Subject::Vector(inner) => {
                let vector = inner.eval(cx, at)?;
                let is_there = vector.present().next().is_some();
                cx.give(vector.values);
                is_there
            }
            Subject::Ranges(ranges) => {
                ranges.open(cx, at)?;
                let mut scratch = Scratch::default();
                let mut is_there = false;
                ranges.visit(cx, at, &mut |_, row, window| {
                    is_there |= !scratch.gather(row, window).values.is_empty();
                })?;
                is_there
            }
        };
        let value = if is_there { ABSENT } else { 1.0 };
        Ok(Vector::single(cx, &self.table, value))
    }
}
