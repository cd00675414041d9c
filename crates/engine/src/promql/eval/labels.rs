//! `label_replace` and `label_join`.

use regex::Regex;

use super::super::error::{PromqlError, Span};
use super::table::Derived;
use super::{Context, Table, Vector, VectorOperator};
use crate::metric::Labels;

/// A change of labels.
#[derive(Debug)]
pub(super) enum Edit {
    /// Sets the target label from a template where the source label matches.
    Replace {
        target: String,
        template: String,
        source: String,
        pattern: Regex,
    },
    /// Sets the target label to the joined values of the source labels.
    Join {
        target: String,
        separator: String,
        sources: Vec<String>,
    },
}

impl Edit {
    fn target(&self) -> &str {
        match self {
            Self::Replace { target, .. } | Self::Join { target, .. } => target,
        }
    }

    /// The target's new value; `None` if it does not change.
    fn value(&self, labels: &Labels) -> Option<String> {
        match self {
            Self::Replace {
                template,
                source,
                pattern,
                ..
            } => {
                let captures = pattern.captures(labels.get(source).unwrap_or(""))?;
                let mut value = String::new();
                captures.expand(template, &mut value);
                Some(value)
            }
            Self::Join {
                separator, sources, ..
            } => {
                let parts: Vec<&str> = sources
                    .iter()
                    .map(|source| labels.get(source).unwrap_or(""))
                    .collect();
                Some(parts.join(separator))
            }
        }
    }

    fn apply(&self, table: &Table, delayed: bool) -> Table {
        let (mut labels, mut dropped) = (Vec::new(), Vec::new());
        for row in 0..table.len() {
            let before = table.visible(row, delayed);
            let after = self
                .value(&before)
                .map(|value| before.with(self.target(), &value));
            let gains_name = self.target() == Labels::NAME && after.is_some();
            dropped.push(table.is_dropped(row) && !gains_name);
            labels.push(after.unwrap_or(before));
        }
        Table::with_dropped(labels, dropped, delayed)
    }
}

/// A function that edits labels; it does so once per table.
#[derive(Debug)]
pub(super) struct LabelEdit {
    edit: Edit,
    inner: Box<dyn VectorOperator>,
    table: Derived<Table>,
    span: Span,
}

impl LabelEdit {
    pub(super) fn new(edit: Edit, inner: Box<dyn VectorOperator>, span: Span) -> Self {
        Self {
            edit,
            inner,
            table: Derived::default(),
            span,
        }
    }
}

impl VectorOperator for LabelEdit {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<Vector, PromqlError> {
        let mut vector = self.inner.eval(cx, at)?;
        let delayed = cx.delayed();
        let edit = &self.edit;
        vector.table = self
            .table
            .get(&vector.table, |table| edit.apply(table, delayed));
        vector.table.check(&vector.values, self.span)?;
        vector.order = None;
        Ok(vector)
    }
}
