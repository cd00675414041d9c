//! Ranges of samples, from selectors and from subqueries.

use std::sync::Arc;

use super::super::error::{PromqlError, Span};
use super::select::{Matched, shifted};
use super::subquery::SubqueryRange;
use super::{Context, Coverage, Table};
use crate::metric::Timestamp;
use crate::series::{Row, is_absent, is_stale};

/// The samples of one series in a range, oldest first, without sentinels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Samples<'a> {
    /// The times in milliseconds.
    pub(crate) times: &'a [i64],
    pub(crate) values: &'a [f64],
    pub(crate) window: Bounds,
}

/// The range `(after, until]` and the evaluation time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(super) after: i64,
    pub(super) until: i64,
    pub(super) eval: i64,
}

impl Bounds {
    pub(super) fn length(&self) -> i64 {
        self.until - self.after
    }
}

/// Buffers for the samples of rows that have sentinels or two pieces.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    times: Vec<i64>,
    values: Vec<f64>,
}

impl Scratch {
    /// The samples of a row: borrowed from the row if it is in one piece and has no sentinels, else
    /// copied.
    pub(crate) fn gather<'a>(&'a mut self, row: &Row<'a>, window: Bounds) -> Samples<'a> {
        let in_one_piece = row.values[1].is_empty();
        if in_one_piece && !row.values[0].iter().any(|v| v.is_nan()) {
            return Samples {
                times: row.times[0],
                values: row.values[0],
                window,
            };
        }
        self.times.clear();
        self.values.clear();
        for (times, values) in row.times.iter().zip(row.values) {
            for (time, value) in times.iter().zip(values) {
                if !(value.is_nan() && (is_absent(*value) || is_stale(*value))) {
                    self.times.push(*time);
                    self.values.push(*value);
                }
            }
        }
        Samples {
            times: &self.times,
            values: &self.values,
            window,
        }
    }
}

/// A source of ranges of samples.
#[derive(Debug)]
pub(crate) enum Ranges {
    Select(Matched, i64),
    Subquery(SubqueryRange),
}

/// The callback of [`Ranges::visit`]: the row of the table, its samples, and the range.
pub(crate) type Visit<'v> = dyn FnMut(usize, &Row<'_>, Bounds) + 'v;

impl Ranges {
    /// Prepares [`Ranges::visit`] for this time; returns the table of the series.
    pub(crate) fn open(
        &mut self,
        cx: &mut Context<'_>,
        at: i64,
    ) -> Result<Arc<Table>, PromqlError> {
        match self {
            Self::Select(matched, _) => {
                matched.refresh(cx);
                cx.charge(matched.ids().len() + 1, matched.span())?;
                Ok(Arc::clone(matched.table()))
            }
            Self::Subquery(subquery) => subquery.eval(cx, at),
        }
    }

    /// Calls `visit` for every row of the table that [`Ranges::open`] returned.
    pub(crate) fn visit(
        &self,
        cx: &mut Context<'_>,
        at: i64,
        visit: &mut Visit<'_>,
    ) -> Result<(), PromqlError> {
        match self {
            Self::Subquery(subquery) => {
                subquery.visit(visit);
                Ok(())
            }
            Self::Select(matched, range) => {
                let select = matched.select();
                let until = shifted(cx, at, select.at, select.offset);
                let window = Bounds {
                    after: until.saturating_sub(*range),
                    until,
                    eval: at,
                };
                visit_matched(cx, matched, window, visit)
            }
        }
    }

    pub(crate) fn span(&self) -> Span {
        match self {
            Self::Select(matched, _) => matched.span(),
            Self::Subquery(subquery) => subquery.span(),
        }
    }
}

fn visit_matched(
    cx: &mut Context<'_>,
    matched: &Matched,
    window: Bounds,
    visit: &mut Visit<'_>,
) -> Result<(), PromqlError> {
    let source = cx.source;
    let [after, until] = [window.after, window.until].map(Timestamp::from_millis);
    let mut block = None;
    let mut read = 0;
    for (slot, id) in matched.ids().iter().enumerate() {
        let range = match block {
            Some((number, range)) if number == id.block => range,
            _ => {
                let range = source.range(id.block, after, until);
                block = Some((id.block, range));
                range
            }
        };
        read += range.to - range.from;
        visit(slot, &source.row(*id, range), window);
    }
    cx.charge(read, matched.span())
}

/// Measures the coverage of a range. To save time it only counts the samples of rows that are
/// longer than the best so far.
#[derive(Debug)]
pub(super) struct Filled(Option<Coverage>);

impl Filled {
    pub(super) fn nothing() -> Self {
        Self(None)
    }

    pub(super) fn see(&mut self, row: &Row<'_>, window: Bounds) {
        let length = row.values[0].len() + row.values[1].len();
        let best = self.0.get_or_insert(Coverage {
            points: 0,
            share: 0.0,
        });
        if length <= best.points {
            return;
        }
        let mut points = 0;
        let (mut first, mut last) = (i64::MAX, i64::MIN);
        for (times, values) in row.times.iter().zip(row.values) {
            for (time, value) in times.iter().zip(values) {
                if !(value.is_nan() && (is_absent(*value) || is_stale(*value))) {
                    points += 1;
                    first = first.min(*time);
                    last = last.max(*time);
                }
            }
        }
        if points > 0 {
            best.improve(points, first, last, window.length());
        }
    }

    pub(super) fn report(&self, cx: &mut Context<'_>) {
        if let Some(coverage) = self.0 {
            cx.covered(coverage);
        }
    }
}
