//! Label sets shared by the values of many instants.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::error::{PromqlError, Span};
use super::Context;
use crate::metric::Labels;
use crate::series::{ABSENT, is_absent};

/// Whether a label is about the metric itself and goes with its name.
pub(super) fn is_metadata(name: &str) -> bool {
    matches!(name, "__name__" | "__type__" | "__unit__")
}

/// The labels without the metric's name, type and unit.
pub(super) fn without_metadata(labels: &Labels) -> Labels {
    labels.retain(|name| !is_metadata(name))
}

/// The rows of a vector: label sets, and which of them are about to lose the metric's name.
///
/// A name that is dropped is still in the labels: at once invisible, or only from the end of the evaluation on when
/// the removal is delayed.
#[derive(Debug)]
pub(crate) struct Table {
    labels: Arc<[Labels]>,
    dropped: Dropped,
    /// For rows whose labels are not unique, a number that equal rows share.
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

    /// Rows of which some drop their names.
    pub(super) fn with_dropped(labels: Vec<Labels>, dropped: Vec<bool>, delayed: bool) -> Self {
        let dropped = match (dropped.contains(&true), dropped.contains(&false)) {
            (false, _) => Dropped::None,
            (true, false) => Dropped::All,
            (true, true) => Dropped::Some(dropped.into()),
        };
        Self::checked(labels.into(), dropped, delayed)
    }

    /// The same rows, all without their names.
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

    /// The labels, a dropped name included.
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

    /// The labels as another operator sees them.
    pub(crate) fn visible(&self, row: usize, delayed: bool) -> Labels {
        if self.is_dropped(row) && !delayed {
            without_metadata(&self.labels[row])
        } else {
            self.labels[row].clone()
        }
    }

    /// The labels as the user sees them.
    pub(crate) fn final_labels(&self, row: usize) -> Labels {
        self.visible(row, false)
    }

    /// An error when two rows with equal labels have a value.
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
        let present = values
            .iter()
            .zip(clashes)
            .filter(|(value, _)| !is_absent(**value));
        present
            .into_iter()
            .any(|(_, number)| std::mem::replace(&mut seen[*number as usize], true))
    }
}

/// Rows and their values at one instant, [`ABSENT`] where there is none.
#[derive(Debug)]
pub(crate) struct Vector {
    pub(crate) table: Arc<Table>,
    pub(crate) values: Vec<f64>,
    /// The rows in the order to show, of an operator that sorts.
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

    /// Rows that have a value.
    pub(crate) fn present(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        let all = self.values.iter().copied().enumerate();
        all.filter(|(_, value)| !is_absent(*value))
    }

    /// One row without labels.
    pub(super) fn single(cx: &mut Context<'_>, table: &Arc<Table>, value: f64) -> Self {
        Self::new(Arc::clone(table), cx.take(1, value))
    }

    /// Applies a function to every value that is there.
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

/// Something that was derived from a table, kept while the table is the same.
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
    /// What was derived from this table, derived anew when the table is another.
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

/// The table of an operator that drops names, and the check that goes with it.
#[derive(Debug, Default)]
pub(super) struct NameDrop(Derived<Table>);

impl NameDrop {
    /// Replaces the vector's table; an error when label sets become equal and the removal is not delayed.
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
