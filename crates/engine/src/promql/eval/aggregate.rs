//! Aggregations that return one element per group.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::ast::{AggregateOp, Grouping};
use super::super::error::PromqlError;
use super::over_time::quantile;
use super::range_function::note_quantile;
use super::sum::{Mean, Sum};
use super::table::{Derived, is_metadata};
use super::{Context, Param, Table, Vector, VectorOperator};
use crate::metric::Labels;
use crate::series::{ABSENT, is_absent};

/// The groups of the rows of a table.
#[derive(Debug)]
pub(super) struct Groups {
    /// The number of the group of each row.
    pub(super) of: Vec<u32>,
    /// The labels of the groups.
    pub(super) table: Arc<Table>,
}

impl Groups {
    pub(super) fn of(table: &Table, grouping: &Grouping, delayed: bool) -> Self {
        let mut numbers: HashMap<Labels, u32> = HashMap::new();
        let (mut labels, mut dropped) = (Vec::new(), Vec::new());
        let of = (0..table.len())
            .map(|row| {
                let group = group_labels(&table.visible(row, delayed), grouping);
                let number = *numbers.entry(group).or_insert_with_key(|group| {
                    labels.push(group.clone());
                    dropped.push(false);
                    labels.len() as u32 - 1
                });
                // One member whose name is dropped takes the name from the group.
                let has_name = labels[number as usize].name().is_some();
                dropped[number as usize] |= table.is_dropped(row) && has_name;
                number
            })
            .collect();
        let table = Arc::new(Table::with_dropped(labels, dropped, delayed));
        Self { of, table }
    }

    pub(super) fn count(&self) -> usize {
        self.table.len()
    }
}

/// The labels of the group of a series.
pub(super) fn group_labels(labels: &Labels, grouping: &Grouping) -> Labels {
    let is_listed = |name: &str| {
        grouping
            .labels
            .binary_search_by(|l| l.as_str().cmp(name))
            .is_ok()
    };
    if grouping.without {
        labels.retain(|name| !is_metadata(name) && !is_listed(name))
    } else {
        labels.retain(is_listed)
    }
}

/// An aggregation.
#[derive(Debug)]
pub(super) struct Aggregation {
    op: AggregateOp,
    grouping: Grouping,
    param: Option<Param>,
    inner: Box<dyn VectorOperator>,
    groups: Derived<Groups>,
    sums: Vec<Sum>,
    means: Vec<Mean>,
    counts: Vec<f64>,
}

impl Aggregation {
    pub(super) fn new(
        op: AggregateOp,
        grouping: Grouping,
        param: Option<Param>,
        inner: Box<dyn VectorOperator>,
    ) -> Self {
        Self {
            op,
            grouping,
            param,
            inner,
            groups: Derived::default(),
            sums: Vec::new(),
            means: Vec::new(),
            counts: Vec::new(),
        }
    }

    fn sum(&mut self, groups: &Groups, values: &[f64], out: &mut [f64]) {
        self.sums.clear();
        self.sums.resize(out.len(), Sum::default());
        for (value, group) in values
            .iter()
            .zip(&groups.of)
            .filter(|(value, _)| !is_absent(**value))
        {
            let group = *group as usize;
            // The first value is stored, so that a group of -0 keeps its sign.
            if is_absent(out[group]) {
                out[group] = 0.0;
                self.sums[group] = Sum::starting(*value);
            } else {
                self.sums[group].add(*value);
            }
        }
        for (out, sum) in out.iter_mut().zip(&self.sums) {
            if !is_absent(*out) {
                *out = sum.value();
            }
        }
    }

    fn mean(&mut self, groups: &Groups, values: &[f64], out: &mut [f64]) {
        self.means.clear();
        self.means.resize(out.len(), Mean::default());
        for (value, group) in values
            .iter()
            .zip(&groups.of)
            .filter(|(value, _)| !is_absent(**value))
        {
            self.means[*group as usize].add(*value);
            out[*group as usize] = 0.0;
        }
        for (out, mean) in out.iter_mut().zip(&self.means) {
            if !is_absent(*out) {
                *out = mean.value();
            }
        }
    }

    /// Variance by Welford's method (1962); as in Prometheus it is NaN if the first value is not
    /// finite.
    fn variance(&mut self, groups: &Groups, values: &[f64], out: &mut [f64]) {
        self.counts.clear();
        self.counts.resize(out.len(), 0.0);
        let mut means = vec![0.0; out.len()];
        for (value, group) in values
            .iter()
            .zip(&groups.of)
            .filter(|(value, _)| !is_absent(**value))
        {
            let group = *group as usize;
            self.counts[group] += 1.0;
            if is_absent(out[group]) {
                means[group] = *value;
                out[group] = if value.is_finite() { 0.0 } else { f64::NAN };
                continue;
            }
            let delta = value - means[group];
            means[group] += delta / self.counts[group];
            out[group] += delta * (value - means[group]);
        }
        for (out, count) in out.iter_mut().zip(&self.counts) {
            if !is_absent(*out) {
                *out /= count;
                if self.op == AggregateOp::Stddev {
                    *out = out.sqrt();
                }
            }
        }
    }

    /// The aggregations that combine a value with the result so far.
    fn fold(&self, groups: &Groups, values: &[f64], out: &mut [f64]) {
        for (value, group) in values
            .iter()
            .zip(&groups.of)
            .filter(|(value, _)| !is_absent(**value))
        {
            let out = &mut out[*group as usize];
            let is_first = is_absent(*out);
            *out = match self.op {
                AggregateOp::Count if is_first => 1.0,
                AggregateOp::Count => *out + 1.0,
                AggregateOp::Group => 1.0,
                AggregateOp::Min if is_first || *value < *out || out.is_nan() => *value,
                AggregateOp::Max if is_first || *value > *out || out.is_nan() => *value,
                AggregateOp::Min
                | AggregateOp::Max
                | AggregateOp::Sum
                | AggregateOp::Avg
                | AggregateOp::Stddev
                | AggregateOp::Stdvar
                | AggregateOp::Topk
                | AggregateOp::Bottomk
                | AggregateOp::CountValues
                | AggregateOp::Quantile => *out,
            };
        }
    }

    fn quantile(groups: &Groups, values: &[f64], q: f64, out: &mut [f64]) {
        let mut members = vec![Vec::new(); groups.count()];
        for (value, group) in values
            .iter()
            .zip(&groups.of)
            .filter(|(value, _)| !is_absent(**value))
        {
            members[*group as usize].push(*value);
        }
        for (out, members) in out.iter_mut().zip(&mut members) {
            if !members.is_empty() {
                *out = quantile(q, members);
            }
        }
    }
}

impl VectorOperator for Aggregation {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<Vector, PromqlError> {
        let param = match &mut self.param {
            Some((param, span)) => {
                let value = param.eval(cx, at)?;
                if !(0.0..=1.0).contains(&value) {
                    note_quantile(cx, *span, value);
                }
                value
            }
            None => 0.0,
        };
        let vector = self.inner.eval(cx, at)?;
        let delayed = cx.delayed();
        let grouping = &self.grouping;
        let groups = self
            .groups
            .get(&vector.table, |table| Groups::of(table, grouping, delayed));
        let mut out = cx.take(groups.count(), ABSENT);
        let values = &vector.values;
        match self.op {
            AggregateOp::Sum => self.sum(&groups, values, &mut out),
            AggregateOp::Avg => self.mean(&groups, values, &mut out),
            AggregateOp::Stddev | AggregateOp::Stdvar => self.variance(&groups, values, &mut out),
            AggregateOp::Quantile => Self::quantile(&groups, values, param, &mut out),
            AggregateOp::Count
            | AggregateOp::Group
            | AggregateOp::Min
            | AggregateOp::Max
            | AggregateOp::Topk
            | AggregateOp::Bottomk
            | AggregateOp::CountValues => self.fold(&groups, values, &mut out),
        }
        cx.give(vector.values);
        Ok(Vector::new(Arc::clone(&groups.table), out))
    }
}
