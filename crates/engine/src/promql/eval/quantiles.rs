//! `histogram_quantile`, `histogram_quantiles` and `histogram_fraction` over classic buckets.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::error::{PromqlError, Span};

use super::context::Level;
use super::histogram::{Bucket, flatten, fraction, merge, quantile};
use super::range_function::note_quantile;
use super::table::Derived;
use super::{Context, Param, Table, Vector, VectorOperator};
use crate::metric::{Labels, format_bound};
use crate::series::{ABSENT, is_absent};

/// The function of the buckets.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reading {
    /// One quantile.
    Quantile,
    /// Several quantiles, each with its value in this label.
    Quantiles(String),
    /// The share of observations between two values.
    Fraction,
}

/// The histograms whose buckets are the rows of a table.
#[derive(Debug)]
struct Histograms {
    /// The bound and row of each bucket, sorted by bound.
    buckets: Vec<Vec<(f64, u32)>>,
    /// Rows that are not buckets, with their `le` and name.
    malformed: Vec<(u32, String, String)>,
    table: Arc<Table>,
    /// The metric names, for messages.
    names: Vec<String>,
}

impl Histograms {
    fn of(table: &Table, delayed: bool) -> Self {
        let mut numbers: HashMap<Labels, usize> = HashMap::new();
        let mut found = Self {
            buckets: Vec::new(),
            malformed: Vec::new(),
            table: Arc::new(Table::new(Vec::new())),
            names: Vec::new(),
        };
        let mut labels = Vec::new();
        for row in 0..table.len() {
            let raw = table.raw(row);
            let name = raw
                .name()
                .filter(|_| delayed || !table.is_dropped(row))
                .unwrap_or("");
            let le = raw.get("le").unwrap_or("");
            let Ok(bound) = le.parse::<f64>() else {
                found
                    .malformed
                    .push((row as u32, le.to_owned(), name.to_owned()));
                continue;
            };
            // Histograms of several metrics stay apart, so that their quantiles clash by name.
            let key = table.visible(row, delayed).retain(|label| label != "le");
            let number = *numbers.entry(key).or_insert_with(|| {
                labels.push(raw.retain(|label| label != "le"));
                found.names.push(name.to_owned());
                found.buckets.push(Vec::new());
                labels.len() - 1
            });
            found.buckets[number].push((bound, row as u32));
        }
        for buckets in &mut found.buckets {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        let dropped = vec![true; labels.len()];
        found.table = Arc::new(Table::with_dropped(labels, dropped, delayed));
        found
    }
}

/// The table of several quantiles: that of the histograms, repeated for each quantile.
#[derive(Debug, Default)]
struct Repeated {
    quantiles: Vec<u64>,
    table: Derived<Table>,
}

/// A function of classic histograms.
#[derive(Debug)]
pub(super) struct OfHistogram {
    reading: Reading,
    params: Vec<Param>,
    inner: Box<dyn VectorOperator>,
    inner_span: Span,
    histograms: Derived<Histograms>,
    repeated: Repeated,
    scratch: Vec<Bucket>,
}

impl OfHistogram {
    pub(super) fn new(
        reading: Reading,
        params: Vec<Param>,
        inner: Box<dyn VectorOperator>,
        inner_span: Span,
    ) -> Self {
        Self {
            reading,
            params,
            inner,
            inner_span,
            histograms: Derived::default(),
            repeated: Repeated::default(),
            scratch: Vec::new(),
        }
    }

    fn params(&mut self, cx: &mut Context<'_>, at: i64) -> Result<Vec<f64>, PromqlError> {
        let mut found = Vec::with_capacity(self.params.len());
        for (param, span) in &mut self.params {
            let value = param.eval(cx, at)?;
            if self.reading != Reading::Fraction && !(0.0..=1.0).contains(&value) {
                note_quantile(cx, *span, value);
            }
            found.push(value);
        }
        Ok(found)
    }

    fn note_malformed(&self, cx: &mut Context<'_>, histograms: &Histograms, values: &[f64]) {
        for (row, le, name) in &histograms.malformed {
            if !is_absent(values[*row as usize]) {
                cx.note(Level::Warning, self.inner_span, || {
                    format!(
                        "bucket label \"le\" is missing or has a malformed value of {le:?}{}",
                        of_metric(name)
                    )
                });
            }
        }
    }

    /// Collects the buckets of a histogram that have a value.
    fn collect(&mut self, buckets: &[(f64, u32)], values: &[f64]) {
        self.scratch.clear();
        self.scratch.extend(
            buckets
                .iter()
                .map(|(le, row)| Bucket {
                    le: *le,
                    count: values[*row as usize],
                })
                .filter(|bucket| !is_absent(bucket.count)),
        );
        merge(&mut self.scratch);
    }

    fn read(
        &mut self,
        cx: &mut Context<'_>,
        name: &str,
        params: &[f64],
        mut out: impl FnMut(usize, f64),
    ) {
        if self.reading == Reading::Fraction {
            out(0, fraction(params[0], params[1], &self.scratch));
            return;
        }
        let is_whole = self
            .scratch
            .last()
            .is_some_and(|last| last.le == f64::INFINITY);
        if is_whole && flatten(&mut self.scratch) {
            cx.note(Level::Info, self.inner_span, || {
                format!(
                    "input to histogram_quantile needed to be fixed for monotonicity{}",
                    of_metric(name)
                )
            });
        }
        for (index, q) in params.iter().enumerate() {
            out(index, quantile(*q, &self.scratch));
        }
    }

    fn table(&mut self, histograms: &Histograms, quantiles: &[f64], delayed: bool) -> Arc<Table> {
        let Reading::Quantiles(label) = &self.reading else {
            return Arc::clone(&histograms.table);
        };
        let bits: Vec<u64> = quantiles.iter().map(|q| q.to_bits()).collect();
        if self.repeated.quantiles != bits {
            self.repeated = Repeated {
                quantiles: bits,
                table: Derived::default(),
            };
        }
        self.repeated.table.get(&histograms.table, |table| {
            let shown: Vec<String> = quantiles.iter().map(|q| format_bound(*q)).collect();
            let rows = || (0..table.len()).flat_map(|row| shown.iter().map(move |q| (row, q)));
            let labels = rows()
                .map(|(row, q)| table.raw(row).with(label, q))
                .collect();
            let dropped = rows().map(|(row, _)| table.is_dropped(row)).collect();
            Table::with_dropped(labels, dropped, delayed)
        })
    }
}

fn of_metric(name: &str) -> String {
    if name.is_empty() {
        String::new()
    } else {
        format!(" for metric name {name:?}")
    }
}

impl VectorOperator for OfHistogram {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<Vector, PromqlError> {
        let params = self.params(cx, at)?;
        let vector = self.inner.eval(cx, at)?;
        let delayed = cx.delayed();
        let histograms = self
            .histograms
            .get(&vector.table, |table| Histograms::of(table, delayed));
        self.note_malformed(cx, &histograms, &vector.values);
        let table = self.table(&histograms, &params, delayed);
        let mut out = cx.take(table.len(), ABSENT);
        let mut sampler = cx.sampler.take_if(|_| self.reading == Reading::Quantile);
        if let Some(sampler) = &mut sampler {
            sampler.begin(table.len());
        }
        let each = if self.reading == Reading::Fraction {
            1
        } else {
            params.len()
        };
        for (number, buckets) in histograms.buckets.iter().enumerate() {
            self.collect(buckets, &vector.values);
            if !self.scratch.is_empty() {
                self.read(cx, &histograms.names[number], &params, |index, value| {
                    out[number * each + index] = value;
                });
                if let Some(sampler) = &mut sampler {
                    sampler.quantile(&table, number, params[0], &self.scratch);
                }
            }
        }
        cx.sampler = cx.sampler.take().or(sampler);
        table.check(&out, self.inner_span)?;
        cx.give(vector.values);
        Ok(Vector::new(table, out))
    }
}
