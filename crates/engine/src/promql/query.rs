//! Evaluates expressions at an instant and over a range of instants.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::error::{Position, PromqlError, Span};
use super::eval::{Context, Coverage, Level, Note, Ranges, Root, Scratch, Table, Vector, build};
use super::expr::Expr;
use super::options::Options;
use super::source::SeriesSource;
use super::value::{Evaluation, ExprValue, InstantSample, SeriesPoints};
use crate::metric::{Labels, Timestamp};
use crate::series::is_absent;

/// The labels of the rows of a result, cached while its table is the same.
#[derive(Debug)]
struct Shown {
    from: Arc<Table>,
    labels: Vec<Labels>,
    is_unique: bool,
}

/// An expression and its plan.
///
/// The plan caches which series the selectors match, and what follows from their labels, until the
/// source's epoch changes. Use a query with one source only.
#[derive(Debug)]
pub struct Query {
    expr: Expr,
    options: Options,
    plan: Option<Root>,
    shown: Option<Shown>,
    pool: Vec<Vec<f64>>,
}

impl Query {
    /// A query with Prometheus' default options.
    #[must_use]
    pub fn new(expr: Expr) -> Self {
        Self::with_options(expr, Options::default())
    }

    /// A query with other options.
    #[must_use]
    pub fn with_options(expr: Expr, options: Options) -> Self {
        Self {
            expr,
            options,
            plan: None,
            shown: None,
            pool: Vec::new(),
        }
    }

    /// The expression.
    #[must_use]
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// Drops the plan; the next evaluation builds it again.
    pub fn forget_plan(&mut self) {
        self.plan = None;
        self.shown = None;
    }

    /// The value at an instant.
    ///
    /// # Errors
    /// Ambiguous matches, equal label sets in the result, invalid parameters, exceeded limits.
    pub fn eval(
        &mut self,
        source: &dyn SeriesSource,
        at: Timestamp,
    ) -> Result<Evaluation, PromqlError> {
        let time = at.as_millis();
        let span = self.expr.root().span;
        let plan = planned(&mut self.plan, &self.expr)?;
        let mut cx = context(source, &self.options, (time, time), &mut self.pool);
        let value = match plan {
            Root::Scalar(plan) => plan.eval(&mut cx, time).map(ExprValue::Scalar),
            Root::Text(text) => Ok(ExprValue::Text(text.clone())),
            Root::Matrix(ranges) => matrix(&mut cx, ranges, time).map(ExprValue::Matrix),
            Root::Vector(plan) => plan.eval(&mut cx, time).and_then(|vector| {
                let samples = samples(
                    &mut self.shown,
                    &vector,
                    at,
                    span,
                    self.options.max_result_series,
                )?;
                cx.give(vector.values);
                Ok(ExprValue::Vector(samples))
            }),
        };
        finish(&self.expr, cx, value)
    }

    /// The values at `start`, `start + step`, … up to `end`, as a range of samples per series.
    ///
    /// # Errors
    /// Those of [`Query::eval`], or an expression that is neither a scalar nor an instant vector.
    pub fn eval_range(
        &mut self,
        source: &dyn SeriesSource,
        (start, end): (Timestamp, Timestamp),
        step: Duration,
    ) -> Result<Evaluation, PromqlError> {
        let span = self.expr.root().span;
        let bounds = (start.as_millis(), end.as_millis());
        let plan = planned(&mut self.plan, &self.expr)?;
        let mut cx = context(source, &self.options, bounds, &mut self.pool);
        let mut series = Collected::default();
        let mut at = start;
        let mut result = Ok(());
        while at <= end && result.is_ok() {
            let time = at.as_millis();
            result = match plan {
                Root::Scalar(plan) => plan
                    .eval(&mut cx, time)
                    .and_then(|value| series.add(&Labels::empty(), at, value, span)),
                Root::Vector(plan) => plan.eval(&mut cx, time).and_then(|vector| {
                    let most = self.options.max_result_series;
                    for sample in samples(&mut self.shown, &vector, at, span, most)? {
                        series.add(&sample.labels, at, sample.value, span)?;
                    }
                    Ok(())
                }),
                Root::Matrix(_) | Root::Text(_) => {
                    let message = "a range query needs a scalar or an instant vector";
                    Err(PromqlError::wrong_type(span, message))
                }
            };
            let next = at + step.max(Duration::from_millis(1));
            if next == at {
                break;
            }
            at = next;
        }
        finish(
            &self.expr,
            cx,
            result.map(|()| ExprValue::Matrix(series.found)),
        )
    }
}

/// The plan, built if there is none.
fn planned<'p>(plan: &'p mut Option<Root>, expr: &Expr) -> Result<&'p mut Root, PromqlError> {
    let known = plan.take();
    let made = match known {
        Some(root) => root,
        None => build(expr.root()).map_err(|error| error.in_expr(expr.shared_text()))?,
    };
    Ok(plan.insert(made))
}

fn context<'a>(
    source: &'a dyn SeriesSource,
    options: &'a Options,
    bounds: (i64, i64),
    pool: &'a mut Vec<Vec<f64>>,
) -> Context<'a> {
    Context {
        source,
        epoch: source.epoch(),
        options,
        bounds,
        notes: Vec::new(),
        coverage: Coverage::FULL,
        budget: options.max_samples,
        pool,
    }
}

fn finish(
    expr: &Expr,
    cx: Context<'_>,
    value: Result<ExprValue, PromqlError>,
) -> Result<Evaluation, PromqlError> {
    let value = value.map_err(|error| error.in_expr(expr.shared_text()))?;
    let (mut warnings, mut infos) = (Vec::new(), Vec::new());
    for (level, span, text) in cx.notes {
        let note = Note {
            text,
            position: Position::of(expr.text(), span.start),
        };
        match level {
            Level::Warning => warnings.push(note),
            Level::Info => infos.push(note),
        }
    }
    Ok(Evaluation {
        value,
        warnings,
        infos,
        coverage: cx.coverage,
    })
}

/// The elements of a result, in its order and without dropped names.
fn samples(
    shown: &mut Option<Shown>,
    vector: &Vector,
    at: Timestamp,
    span: Span,
    most: usize,
) -> Result<Vec<InstantSample>, PromqlError> {
    let table = &vector.table;
    let known = shown.take().filter(|shown| Arc::ptr_eq(&shown.from, table));
    let shown = shown.insert(known.unwrap_or_else(|| show(table)));
    let count = vector.present().count();
    if count > most {
        let message =
            format!("the result has {count} series, more than {most}: aggregate or select fewer");
        return Err(PromqlError::limit(span, message));
    }
    let sample = |row: usize, value: f64| InstantSample {
        labels: shown.labels[row].clone(),
        value,
        at,
    };
    let samples: Vec<InstantSample> = match &vector.order {
        Some(order) => order
            .iter()
            .map(|row| (*row as usize, vector.values[*row as usize]))
            .filter(|(_, value)| !is_absent(*value))
            .map(|(row, value)| sample(row, value))
            .collect(),
        None => vector
            .present()
            .map(|(row, value)| sample(row, value))
            .collect(),
    };
    if !shown.is_unique {
        let mut seen = std::collections::HashSet::new();
        if !samples.iter().all(|sample| seen.insert(&sample.labels)) {
            let message = "vector cannot contain metrics with the same labelset";
            return Err(PromqlError::evaluation(span, message));
        }
    }
    Ok(samples)
}

fn show(table: &Arc<Table>) -> Shown {
    let labels: Vec<Labels> = (0..table.len())
        .map(|row| table.final_labels(row))
        .collect();
    let unique: std::collections::HashSet<&Labels> = labels.iter().collect();
    Shown {
        is_unique: unique.len() == labels.len(),
        from: Arc::clone(table),
        labels,
    }
}

fn matrix(
    cx: &mut Context<'_>,
    ranges: &mut Ranges,
    at: i64,
) -> Result<Vec<SeriesPoints>, PromqlError> {
    let table = ranges.open(cx, at)?;
    let mut found = Vec::new();
    let mut scratch = Scratch::default();
    ranges.visit(cx, at, &mut |slot, row, window| {
        let samples = scratch.gather(row, window);
        if !samples.values.is_empty() {
            let times = samples
                .times
                .iter()
                .map(|time| Timestamp::from_millis(*time));
            found.push(SeriesPoints {
                labels: table.final_labels(slot),
                points: times.zip(samples.values.iter().copied()).collect(),
            });
        }
    })?;
    if found.len() > cx.options.max_result_series {
        let message = format!("the result has {} series: select fewer", found.len());
        return Err(PromqlError::limit(ranges.span(), message));
    }
    Ok(found)
}

/// The points of a range query, collected by the labels of their series.
#[derive(Default)]
struct Collected {
    places: HashMap<Labels, usize>,
    found: Vec<SeriesPoints>,
}

impl Collected {
    fn add(
        &mut self,
        labels: &Labels,
        at: Timestamp,
        value: f64,
        span: Span,
    ) -> Result<(), PromqlError> {
        let place = match self.places.get(labels) {
            Some(place) => *place,
            None => {
                self.found.push(SeriesPoints {
                    labels: labels.clone(),
                    points: Vec::new(),
                });
                self.places.insert(labels.clone(), self.found.len() - 1);
                self.found.len() - 1
            }
        };
        let points = &mut self.found[place].points;
        if points.last().is_some_and(|(last, _)| *last == at) {
            return Err(PromqlError::evaluation(
                span,
                "vector cannot contain metrics with the same labelset",
            ));
        }
        points.push((at, value));
        Ok(())
    }
}
