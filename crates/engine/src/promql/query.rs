//! Evaluation at an instant and over a range of instants.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::error::{ErrorKind, Position, PromqlError, Span};
use super::eval::{Context, Coverage, Level, Note, Ranges, Root, Scratch, Table, Vector, build};
use super::expr::Expr;
use super::options::Options;
use super::source::SeriesSource;
use crate::metric::{Labels, Timestamp};
use crate::series::is_absent;

/// One element of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub struct InstantSample {
    /// The series.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
    /// The evaluation time.
    pub at: Timestamp,
}

/// The samples of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesPoints {
    /// The series.
    pub labels: Labels,
    /// Times and values, oldest first.
    pub points: Vec<(Timestamp, f64)>,
}

/// The value of an expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// One number.
    Scalar(f64),
    /// One number per series, in the order to show.
    Vector(Vec<InstantSample>),
    /// A range of samples per series.
    Matrix(Vec<SeriesPoints>),
    /// A string.
    Text(String),
}

impl Value {
    /// The value as an instant vector; a scalar is one element without labels, as in rules.
    ///
    /// # Errors
    /// When it is a string or a range of samples.
    pub fn into_vector(self, at: Timestamp) -> Result<Vec<InstantSample>, PromqlError> {
        let message = match self {
            Self::Vector(samples) => return Ok(samples),
            Self::Scalar(value) => {
                let labels = Labels::empty();
                return Ok(vec![InstantSample { labels, value, at }]);
            }
            Self::Matrix(_) => {
                "expected an instant vector or a scalar, found a range vector: wrap it in a function"
            }
            Self::Text(_) => "expected an instant vector or a scalar, found a string",
        };
        Err(PromqlError::new(ErrorKind::Type, None, message))
    }
}

/// A value and what there is to say about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The value.
    pub value: Value,
    /// Remarks that put the value in doubt.
    pub warnings: Vec<Note>,
    /// Remarks about the expression.
    pub infos: Vec<Note>,
    /// How well the ranges were filled.
    pub coverage: Coverage,
}

/// Labels of a result's rows, kept while its table is the same.
#[derive(Debug)]
struct Shown {
    from: Arc<Table>,
    labels: Vec<Labels>,
    is_unique: bool,
}

/// An expression with its plan.
///
/// The plan remembers which series the selectors match and what follows from their labels until the source's epoch
/// changes. Evaluate one query over one source.
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

    /// A query with options of its own.
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

    /// Forgets what is remembered about the series; the next evaluation finds it out again.
    pub fn forget_plan(&mut self) {
        self.plan = None;
        self.shown = None;
    }

    /// The value at an instant.
    ///
    /// # Errors
    /// Ambiguous matches, equal label sets in the result, parameters out of their range, limits.
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
            Root::Scalar(plan) => plan.eval(&mut cx, time).map(Value::Scalar),
            Root::Text(text) => Ok(Value::Text(text.clone())),
            Root::Matrix(ranges) => matrix(&mut cx, ranges, time).map(Value::Matrix),
            Root::Vector(plan) => plan.eval(&mut cx, time).and_then(|vector| {
                let samples = samples(
                    &mut self.shown,
                    &vector,
                    at,
                    span,
                    self.options.max_result_series,
                )?;
                cx.give(vector.values);
                Ok(Value::Vector(samples))
            }),
        };
        finish(&self.expr, cx, value)
    }

    /// The values at `start`, `start + step`, … up to `end`, as a range of samples per series.
    ///
    /// # Errors
    /// As [`Query::eval`]; also for an expression that is neither a scalar nor an instant vector.
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
        finish(&self.expr, cx, result.map(|()| Value::Matrix(series.found)))
    }
}

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
    value: Result<Value, PromqlError>,
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

/// The elements of a result, names dropped, in the order to show.
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
        Some(order) => {
            let rows = order
                .iter()
                .map(|row| (*row as usize, vector.values[*row as usize]));
            rows.filter(|(_, value)| !is_absent(*value))
                .map(|(row, value)| sample(row, value))
                .collect()
        }
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

/// The points of a range query, series found again by their labels.
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
