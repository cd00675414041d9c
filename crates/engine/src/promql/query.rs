//! Evaluates expressions at an instant and over a range of instants.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::ast::{ExprKind, ExprNode};
use super::error::{Position, PromqlError, Span};
use super::eval::{
    Context, Counts, Coverage, Level, Note, Ranges, Root, Sampler, Scratch, Table, Vector, build,
};
use super::expr::Expr;
use super::options::Options;
use super::sampling::Shape;
use super::source::SeriesSource;
use super::value::{Evaluation, ExprValue, InstantSample, SeriesPoints};
use crate::metric::{Labels, Sampling, Timestamp};
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
    /// How the value is computed from observations, if that is wanted and known.
    shape: Option<Shape>,
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
            shape: None,
        }
    }

    /// Adds to each value the observations that it was computed from, where the expression has a
    /// form that says so.
    #[must_use]
    pub fn with_sampling(self) -> Self {
        let shape = Shape::of(self.expr.root());
        Self { shape, ..self }
    }

    /// The expression.
    #[must_use]
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// Adds the numbers of observations to values that have none, such as those of a server.
    pub fn add_counts(&self, samples: &mut [InstantSample], counts: &Counts) {
        for sample in samples.iter_mut().filter(|one| one.sampling.is_none()) {
            sample.sampling = counts.of(&sample.labels).map(|count| {
                let counted = Sampling::of(count);
                self.shape
                    .map_or(counted, |shape| shape.sampling(sample.value, counted))
            });
        }
    }

    /// Whether the values carry the observations that they were computed from.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.shape.is_some()
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
        self.eval_counted(source, at, None)
    }

    /// The value at an instant, computed from these numbers of observations.
    ///
    /// # Errors
    /// Those of [`Query::eval`].
    pub fn eval_counted(
        &mut self,
        source: &dyn SeriesSource,
        at: Timestamp,
        counts: Option<&Counts>,
    ) -> Result<Evaluation, PromqlError> {
        let time = at.as_millis();
        let span = self.expr.root().span;
        let plan = planned(&mut self.plan, &self.expr)?;
        let mut cx = context(source, &self.options, (time, time), &mut self.pool);
        let shape = self.shape;
        cx.sampler = shape.map(|shape| Sampler::new(shape.observations, counts));
        let value = match plan {
            Root::Scalar(plan) => plan.eval(&mut cx, time).map(ExprValue::Scalar),
            Root::Text(text) => Ok(ExprValue::Text(text.clone())),
            Root::Matrix(ranges) => matrix(&mut cx, ranges, time).map(ExprValue::Matrix),
            Root::Vector(plan) => plan.eval(&mut cx, time).and_then(|vector| {
                let mut samples = samples(
                    &mut self.shown,
                    &vector,
                    at,
                    span,
                    self.options.max_result_series,
                )?;
                if let (Some(shape), Some(sampler)) = (shape, &cx.sampler) {
                    note_observations(&mut samples, &vector, shape, sampler);
                }
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
        note_sorting(self.expr.root(), &mut cx);
        let mut series = Collected::up_to(self.options.max_result_points);
        let mut at = start;
        let mut result = Ok(());
        while at <= end && result.is_ok() {
            let time = at.as_millis();
            // An expression without selectors asks the source nothing else.
            if source.is_interrupted() {
                result = Err(PromqlError::interrupted());
                break;
            }
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

/// Notes every function that sorts: the series of a range are always in the order of their labels.
fn note_sorting(node: &ExprNode, cx: &mut Context<'_>) {
    if let ExprKind::Call(function, _) = &node.kind
        && function.signature().name.starts_with("sort")
    {
        cx.note(Level::Warning, node.span, || {
            "sort is ineffective for range queries since results are always ordered by labels"
                .to_owned()
        });
    }
    for child in node.children() {
        note_sorting(child, cx);
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
        sampler: None,
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
        sampling: None,
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

/// Adds the observations behind the values, whose order is that of the rows.
fn note_observations(
    samples: &mut [InstantSample],
    vector: &Vector,
    shape: Shape,
    sampler: &Sampler<'_>,
) {
    let known = |row: usize| sampler.of(row).filter(|found| found.count.is_finite());
    for (sample, (row, value)) in samples.iter_mut().zip(vector.present()) {
        sample.sampling = known(row).map(|found: Sampling| shape.sampling(value, found));
    }
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
    let (mut points, most) = (0_usize, cx.options.max_result_points);
    ranges.visit(cx, at, &mut |slot, row, window| {
        let samples = scratch.gather(row, window);
        points = points.saturating_add(samples.values.len());
        if !samples.values.is_empty() && points <= most {
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
    if points > most {
        return Err(too_many_points(ranges.span(), most));
    }
    if found.len() > cx.options.max_result_series {
        let message = format!("the result has {} series: select fewer", found.len());
        return Err(PromqlError::limit(ranges.span(), message));
    }
    Ok(found)
}

fn too_many_points(span: Span, most: usize) -> PromqlError {
    let message = format!(
        "the result has more than {most} points: shorten the range, lengthen the step or select fewer series"
    );
    PromqlError::limit(span, message)
}

/// The points of a range query, collected by the labels of their series.
struct Collected {
    places: HashMap<Labels, usize>,
    found: Vec<SeriesPoints>,
    points: usize,
    most: usize,
}

impl Collected {
    /// Takes at most so many points.
    fn up_to(most: usize) -> Self {
        Self {
            places: HashMap::new(),
            found: Vec::new(),
            points: 0,
            most,
        }
    }

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
        self.points += 1;
        if self.points > self.most {
            return Err(too_many_points(span, self.most));
        }
        Ok(())
    }
}
