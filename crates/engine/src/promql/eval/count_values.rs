//! `count_values`: the number of elements with each value.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::ast::Grouping;
use super::super::error::PromqlError;

use super::aggregate::group_labels;
use super::{Context, Table, Vector, VectorOperator};
use crate::metric::{Labels, format_value};

/// `count_values`. Its labels depend on the values, so its table changes with them.
#[derive(Debug)]
pub(super) struct CountValues {
    label: String,
    grouping: Grouping,
    inner: Box<dyn VectorOperator>,
    table: Arc<Table>,
}

impl CountValues {
    pub(super) fn new(label: String, grouping: Grouping, inner: Box<dyn VectorOperator>) -> Self {
        Self {
            label,
            grouping,
            inner,
            table: Arc::new(Table::new(Vec::new())),
        }
    }
}

impl VectorOperator for CountValues {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<Vector, PromqlError> {
        let vector = self.inner.eval(cx, at)?;
        let delayed = cx.delayed();
        let mut numbers: HashMap<Labels, usize> = HashMap::new();
        let (mut labels, mut dropped): (Vec<Labels>, Vec<bool>) = (Vec::new(), Vec::new());
        let mut counts = cx.take(0, 0.0);
        for (row, value) in vector.present() {
            let counted = vector
                .table
                .visible(row, delayed)
                .with(&self.label, &format_value(value));
            let mut grouping = self.grouping.clone();
            if !grouping.without
                && let Err(place) = grouping.labels.binary_search(&self.label)
            {
                grouping.labels.insert(place, self.label.clone());
            }
            let mut group = group_labels(&counted, &grouping);
            if grouping.without {
                group = group.with(&self.label, &format_value(value));
            }
            let number = *numbers.entry(group).or_insert_with_key(|group| {
                labels.push(group.clone());
                dropped.push(vector.table.is_dropped(row) && group.name().is_some());
                counts.push(0.0);
                counts.len() - 1
            });
            counts[number] += 1.0;
        }
        cx.give(vector.values);
        let known = &self.table;
        let is_known = known.len() == labels.len()
            && (0..known.len())
                .all(|row| *known.raw(row) == labels[row] && known.is_dropped(row) == dropped[row]);
        if !is_known {
            self.table = Arc::new(Table::with_dropped(labels, dropped, delayed));
        }
        Ok(Vector::new(Arc::clone(&self.table), counts))
    }
}
