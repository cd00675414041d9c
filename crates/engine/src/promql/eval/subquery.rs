//! Subqueries: expressions evaluated at multiples of a step since the epoch.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::ast::Subquery;
use super::super::error::{PromqlError, Span};

use super::ranges::{Bounds, Visit};
use super::select::shifted;
use super::{Context, Table, Vector, VectorOperator};
use crate::metric::{Labels, millis};
use crate::series::{ABSENT, Row, is_absent};

/// A range vector that is computed by evaluating an expression at every step.
#[derive(Debug)]
pub(crate) struct SubqueryRange {
    inner: Box<dyn VectorOperator>,
    range: i64,
    step: Option<i64>,
    modifiers: (Option<super::super::ast::At>, i64),
    span: Span,
    /// The times of the evaluated steps.
    times: Vec<i64>,
    /// One row per series, with a value for each of `times`.
    rows: Vec<Vec<f64>>,
    table: Arc<Table>,
    window: Bounds,
}

impl SubqueryRange {
    pub(super) fn new(subquery: &Subquery, inner: Box<dyn VectorOperator>, span: Span) -> Self {
        Self {
            inner,
            range: subquery.range,
            step: subquery.step,
            modifiers: (subquery.at, subquery.offset),
            span,
            times: Vec::new(),
            rows: Vec::new(),
            table: Arc::new(Table::new(Vec::new())),
            window: Bounds {
                after: 0,
                until: 0,
                eval: 0,
            },
        }
    }

    pub(super) fn span(&self) -> Span {
        self.span
    }

    /// Evaluates every step; returns the table of the series found.
    pub(super) fn eval(
        &mut self,
        cx: &mut Context<'_>,
        at: i64,
    ) -> Result<Arc<Table>, PromqlError> {
        let until = shifted(cx, at, self.modifiers.0, self.modifiers.1);
        let after = until.saturating_sub(self.range);
        self.window = Bounds {
            after,
            until,
            eval: at,
        };
        let step = self
            .step
            .unwrap_or(millis(cx.options.default_subquery_step))
            .max(1);
        let first = after
            .div_euclid(step)
            .saturating_add(1)
            .saturating_mul(step);
        self.times.clear();
        let mut union = Union::default();
        let mut time = first;
        while time <= until {
            let vector = self.inner.eval(cx, time)?;
            // The values of a subquery stay in memory until it ends, so they count more than values
            // that are read.
            cx.charge(1 + vector.values.len() * 8, self.span)?;
            self.times.push(time);
            union.add(vector);
            let Some(next) = time.checked_add(step) else {
                break;
            };
            time = next;
        }
        self.table = union.finish(&mut self.rows, self.times.len(), &self.table, cx);
        Ok(Arc::clone(&self.table))
    }

    pub(super) fn visit(&self, visit: &mut Visit<'_>) {
        for (slot, values) in self.rows.iter().enumerate() {
            let row = Row {
                times: [&self.times, &[]],
                values: [values, &[]],
            };
            visit(slot, &row, self.window);
        }
    }
}

/// The vectors of consecutive steps; nearly always with the same table.
#[derive(Default)]
struct Union {
    steps: Vec<Vector>,
}

impl Union {
    fn add(&mut self, vector: Vector) {
        self.steps.push(vector);
    }

    /// Turns the steps into rows; returns their table.
    fn finish(
        self,
        rows: &mut Vec<Vec<f64>>,
        length: usize,
        known: &Arc<Table>,
        cx: &mut Context<'_>,
    ) -> Arc<Table> {
        rows.clear();
        let Some(first) = self.steps.first() else {
            return Arc::new(Table::new(Vec::new()));
        };
        let table = Arc::clone(&first.table);
        let is_same = self
            .steps
            .iter()
            .all(|step| Arc::ptr_eq(&step.table, &table));
        if is_same {
            rows.resize_with(table.len(), || Vec::with_capacity(length));
            for step in self.steps {
                for (row, value) in rows.iter_mut().zip(&step.values) {
                    row.push(*value);
                }
                cx.give(step.values);
            }
            return table;
        }
        merged(&self.steps, rows, length, known)
    }
}

/// The general case, in which the steps have different tables: finds each series by its labels.
fn merged(
    steps: &[Vector],
    rows: &mut Vec<Vec<f64>>,
    length: usize,
    known: &Arc<Table>,
) -> Arc<Table> {
    let mut numbers: HashMap<(Labels, bool), usize> = HashMap::new();
    let (mut labels, mut dropped) = (Vec::new(), Vec::new());
    let mut places: Vec<usize> = Vec::new();
    let mut last: Option<&Arc<Table>> = None;
    for (index, step) in steps.iter().enumerate() {
        if !last.is_some_and(|table| Arc::ptr_eq(table, &step.table)) {
            last = Some(&step.table);
            places.clear();
            for row in 0..step.table.len() {
                let key = (step.table.raw(row).clone(), step.table.is_dropped(row));
                let number = *numbers.entry(key.clone()).or_insert_with(|| {
                    labels.push(key.0);
                    dropped.push(key.1);
                    rows.push(vec![ABSENT; length]);
                    rows.len() - 1
                });
                places.push(number);
            }
        }
        for (place, value) in places.iter().zip(&step.values) {
            if !is_absent(*value) {
                rows[*place][index] = *value;
            }
        }
    }
    let is_known = known.len() == labels.len()
        && (0..known.len())
            .all(|row| *known.raw(row) == labels[row] && known.is_dropped(row) == dropped[row]);
    if is_known {
        return Arc::clone(known);
    }
    Arc::new(Table::with_dropped(labels, dropped, true))
}
