//! Selectors: the series they match, and the newest sample of each at an instant.

use std::sync::Arc;

use super::super::ast::{At, Select};
use super::super::error::{PromqlError, Span};
use super::{Context, Table, Vector, VectorOperator};
use crate::metric::{Labels, Timestamp};
use crate::series::{ABSENT, Row, SeriesId, is_absent, is_stale};

/// The series that a selector matches, cached until the source's epoch changes.
#[derive(Debug)]
pub(crate) struct Matched {
    select: Select,
    span: Span,
    epoch: Option<u64>,
    ids: Vec<SeriesId>,
    table: Arc<Table>,
}

impl Matched {
    pub(super) fn new(select: Select, span: Span) -> Self {
        Self {
            select,
            span,
            epoch: None,
            ids: Vec::new(),
            table: Arc::new(Table::new(Vec::new())),
        }
    }

    pub(super) fn select(&self) -> &Select {
        &self.select
    }

    pub(super) fn span(&self) -> Span {
        self.span
    }

    pub(super) fn ids(&self) -> &[SeriesId] {
        &self.ids
    }

    pub(super) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Looks the series up, unless they are known for this epoch.
    ///
    /// Of two series with equal labels in different blocks the first is used.
    pub(super) fn refresh(&mut self, cx: &Context<'_>) {
        if self.epoch == Some(cx.epoch) {
            return;
        }
        let mut found: Vec<(SeriesId, Labels)> = Vec::new();
        cx.source.select(&self.select.selector, &mut |id, labels| {
            found.push((id, labels.clone()));
        });
        if found.iter().any(|(id, _)| id.block != found[0].0.block) {
            let mut seen = std::collections::HashSet::new();
            found.retain(|(_, labels)| seen.insert(labels.clone()));
        }
        let (ids, labels): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        self.epoch = Some(cx.epoch);
        let same = self.table.len() == labels.len()
            && labels
                .iter()
                .enumerate()
                .all(|(row, l)| self.table.raw(row) == l);
        if !same {
            self.table = Arc::new(Table::new(labels));
        }
        self.ids = ids;
    }
}

/// The time that a selector looks at, from the evaluation time, its `@` modifier and its offset.
pub(super) fn shifted(cx: &Context<'_>, at: i64, modifier: Option<At>, offset: i64) -> i64 {
    let base = match modifier {
        None => at,
        Some(At::Time(time)) => time,
        Some(At::Start) => cx.bounds.0,
        Some(At::End) => cx.bounds.1,
    };
    base.saturating_sub(offset)
}

/// The time and value of the newest sample of a row; `None` if it is a stale marker.
fn newest(row: &Row<'_>) -> Option<(i64, f64)> {
    for piece in [1, 0] {
        let pairs = row.times[piece].iter().zip(row.values[piece]);
        if let Some((time, value)) = pairs.rev().find(|(_, value)| !is_absent(**value)) {
            return (!is_stale(*value)).then_some((*time, *value));
        }
    }
    None
}

/// An instant vector selector; returns the values of samples or, for `timestamp()`, their times in
/// seconds.
#[derive(Debug)]
pub(super) struct InstantSelect {
    matched: Matched,
    times: bool,
}

impl InstantSelect {
    pub(super) fn new(select: Select, span: Span, times: bool) -> Self {
        let matched = Matched::new(select, span);
        Self { matched, times }
    }
}

impl VectorOperator for InstantSelect {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<Vector, PromqlError> {
        self.matched.refresh(cx);
        let select = &self.matched.select;
        let until = shifted(cx, at, select.at, select.offset);
        let after = until.saturating_sub(cx.lookback());
        let (after, until) = (Timestamp::from_millis(after), Timestamp::from_millis(until));
        cx.charge(self.matched.ids.len() + 1, self.matched.span)?;
        let mut values = cx.take(self.matched.ids.len(), ABSENT);
        let mut block = None;
        for (id, value) in self.matched.ids.iter().zip(&mut values) {
            let range = match block {
                Some((number, range)) if number == id.block => range,
                _ => {
                    let range = cx.source.range(id.block, after, until);
                    block = Some((id.block, range));
                    range
                }
            };
            if let Some((time, found)) = newest(&cx.source.row(*id, range)) {
                *value = if self.times {
                    Timestamp::from_millis(time).as_secs_f64()
                } else {
                    found
                };
            }
        }
        Ok(Vector::new(Arc::clone(&self.matched.table), values))
    }
}
