//! Vectors: label sets that are shared between instants, and the values of one instant.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::error::{PromqlError, Span};
use super::Context;
use crate::metric::Labels;
use crate::series::{ABSENT, is_absent};

/// Whether a label describes the metric itself and is dropped with its name.
pub(super) fn is_metadata(name: &str) -> bool {
    matches!(name, "__name__" | "__type__" | "__unit__")
}

/// The labels without the metric's name, type and unit.
pub(super) fn without_metadata(labels: &Labels) -> Labels {
    labels.retain(|name| !is_metadata(name))
}

/// The rows of a vector: label sets, and whether the metric's name is dropped from each.
///
/// A dropped name stays in the labels. It is hidden at once, or with delayed name removal at the
/// end of the evaluation.
#[derive(Debug)]
pub(crate) struct Table {
    labels: Arc<[Labels]>,
    dropped: Dropped,
    /// If labels are not unique, a number per row that rows with equal labels share.
    clashes: Option<Box<[u32]>>,
}

#[derive(Debug, Clone)]
enum Dropped {
    None,
    All,
    Some(Arc<[bool]>),
}

impl Table {
    /// Rows that keep their names.
    pub(super) fn new(labels: Vec<Labels>) -> Self {
        Self::checked(labels.into(), Dropped::None, false)
    }

    /// Rows of which some have dropped their names.
    pub(super) fn with_dropped(labels: Vec<Labels>, dropped: Vec<bool>, delayed: bool) -> Self {
        let dropped = match (dropped.contains(&true), dropped.contains(&false)) {
            (false, _) => Dropped::None,
            (true, false) => Dropped::All,
            (true, true) => Dropped::Some(dropped.into()),
        };
        Self::checked(labels.into(), dropped, delayed)
    }

    /// The same rows, all with dropped names.
    pub(super) fn drop_names(&self, delayed: bool) -> Self {
        Self::checked(Arc::clone(&self.labels), Dropped::All, delayed)
    }

    fn checked(labels: Arc<[Labels]>, dropped: Dropped, delayed: bool) -> Self {
        let mut table = Self {
            labels,
            dropped,
            clashes: None,
        };
        if table.len() > 1 {
            let mut numbers: HashMap<Labels, u32> = HashMap::new();
            let clashes: Box<[u32]> = (0..table.len())
                .map(|row| {
                    let next = numbers.len() as u32;
                    *numbers.entry(table.visible(row, delayed)).or_insert(next)
                })
                .collect();
            table.clashes = (numbers.len() < table.len()).then_some(clashes);
        }
        table
    }

    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The labels, including a dropped name.
    pub(crate) fn raw(&self, row: usize) -> &Labels {
        &self.labels[row]
    }

    pub(crate) fn is_dropped(&self, row: usize) -> bool {
        match &self.dropped {
            Dropped::None => false,
            Dropped::All => true,
            Dropped::Some(flags) => flags[row],
        }
    }

    /// The labels that other operators see.
    pub(crate) fn visible(&self, row: usize, delayed: bool) -> Labels {
        if self.is_dropped(row) && !delayed {
            without_metadata(&self.labels[row])
        } else {
            self.labels[row].clone()
        }
    }

    /// The labels in the result.
    pub(crate) fn final_labels(&self, row: usize) -> Labels {
        self.visible(row, false)
    }

    /// Checks that no two rows with equal labels have a value.
    pub(super) fn check(&self, values: &[f64], span: Span) -> Result<(), PromqlError> {
        if self.has_clash(values) {
            let message = "vector cannot contain metrics with the same labelset";
            return Err(PromqlError::evaluation(span, message));
        }
        Ok(())
    }

    /// Whether two rows with equal labels have a value.
    pub(super) fn has_clash(&self, values: &[f64]) -> bool {
        let Some(clashes) = &self.clashes else {
            return false;
        };
        let mut seen = vec![false; clashes.len()];
        values
            .iter()
            .zip(clashes)
            .filter(|(value, _)| !is_absent(**value))
            .any(|(_, number)| std::mem::replace(&mut seen[*number as usize], true))
    }
}

/// The rows and their values at one instant, [`ABSENT`] where there is none.
#[derive(Debug)]
pub(crate) struct Vector {
    pub(crate) table: Arc<Table>,
    pub(crate) values: Vec<f64>,
    /// The rows in the order of the result, if an operator has sorted them.
    pub(crate) order: Option<Vec<u32>>,
}

impl Vector {
    pub(super) fn new(table: Arc<Table>, values: Vec<f64>) -> Self {
        Self {
            table,
            values,
            order: None,
        }
    }

    /// The rows that have a value.
    pub(crate) fn present(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.values
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, value)| !is_absent(*value))
    }

    /// One row without labels.
    pub(super) fn single(cx: &mut Context<'_>, table: &Arc<Table>, value: f64) -> Self {
        Self::new(Arc::clone(table), cx.take(1, value))
    }

    /// Applies a function to every value.
    pub(super) fn map(&mut self, f: impl Fn(f64) -> f64) {
        for value in &mut self.values {
            if !is_absent(*value) {
                *value = f(*value);
            }
        }
    }

    /// Keeps the values that pass.
    pub(super) fn filter(&mut self, keep: impl Fn(f64) -> bool) {
        for value in &mut self.values {
            if !is_absent(*value) && !keep(*value) {
                *value = ABSENT;
            }
        }
    }
}

/// Something derived from a table, cached while the table is the same.
#[derive(Debug)]
pub(super) struct Derived<T> {
    from: Option<Arc<Table>>,
    to: Option<Arc<T>>,
}

impl<T> Default for Derived<T> {
    fn default() -> Self {
        Self {
            from: None,
            to: None,
        }
    }
}

impl<T> Derived<T> {
    /// The cached value, or a new one if the table has changed.
    pub(super) fn get(&mut self, from: &Arc<Table>, derive: impl FnOnce(&Table) -> T) -> Arc<T> {
        if let (Some(known), Some(to)) = (&self.from, &self.to)
            && Arc::ptr_eq(known, from)
        {
            return Arc::clone(to);
        }
        let to = Arc::new(derive(from));
        self.from = Some(Arc::clone(from));
        self.to = Some(Arc::clone(&to));
        to
    }
}

/// The table of an operator that drops names.
#[derive(Debug, Default)]
pub(super) struct NameDrop(Derived<Table>);

impl NameDrop {
    /// Replaces the vector's table.
    ///
    /// # Errors
    /// If label sets become equal and name removal is not delayed.
    pub(super) fn apply(
        &mut self,
        cx: &Context<'_>,
        vector: &mut Vector,
        span: Span,
    ) -> Result<(), PromqlError> {
        let delayed = cx.delayed();
        vector.table = self.0.get(&vector.table, |table| table.drop_names(delayed));
        vector.table.check(&vector.values, span)
    }
}
