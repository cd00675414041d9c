//! Functions of range vectors, computed series by series.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "only functions of ranges come here"
)]

use super::super::error::{PromqlError, Span};
use super::super::functions::Function;
use super::context::Level;
use super::over_time as stats;
use super::ranges::{Filled, Ranges, Samples, Scratch};
use super::rate::{Extrapolation, Extrapolator, instant};
use super::table::{Derived, NameDrop};
use super::{Context, Param, Table, Vector, VectorOperator};
use crate::metric::format_general;
use crate::series::ABSENT;

/// A function over every series of a range.
#[derive(Debug)]
pub(super) struct RangeFunction {
    function: Function,
    ranges: Ranges,
    params: Vec<Param>,
    names: NameDrop,
    /// Metric names that do not look like counters.
    gauges: Derived<Vec<String>>,
    scratch: Scratch,
    sorted: Vec<f64>,
    span: Span,
}

impl RangeFunction {
    pub(super) fn new(function: Function, ranges: Ranges, params: Vec<Param>, span: Span) -> Self {
        Self {
            function,
            ranges,
            params,
            names: NameDrop::default(),
            gauges: Derived::default(),
            scratch: Scratch::default(),
            sorted: Vec::new(),
            span,
        }
    }

    fn params(&mut self, cx: &mut Context<'_>, at: i64) -> Result<[f64; 2], PromqlError> {
        let mut found = [0.0; 2];
        for (place, (param, _)) in found.iter_mut().zip(&mut self.params) {
            *place = param.eval(cx, at)?;
        }
        if self.function == Function::DoubleExponentialSmoothing {
            for (factor, name) in found.into_iter().zip(["smoothing", "trend"]) {
                if !(factor > 0.0 && factor < 1.0) {
                    let message =
                        format!("invalid {name} factor: must be above 0 and below 1, got {factor}");
                    return Err(PromqlError::evaluation(self.span, message));
                }
            }
        }
        if self.function == Function::QuantileOverTime && !(0.0..=1.0).contains(&found[0]) {
            let span = self.params.first().map_or(self.span, |(_, span)| *span);
            note_quantile(cx, span, found[0]);
        }
        Ok(found)
    }

    fn note_gauges(&mut self, cx: &mut Context<'_>, vector: &Vector) {
        if !matches!(self.function, Function::Rate | Function::Increase)
            || vector.present().next().is_none()
        {
            return;
        }
        let names = self.gauges.get(&vector.table, gauge_names);
        let span = self.ranges.span();
        for name in names.iter() {
            cx.note(Level::Info, span, || {
                format!("metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name:?}")
            });
        }
    }
}

/// Adds the warning that a quantile is not between 0 and 1.
pub(super) fn note_quantile(cx: &mut Context<'_>, span: Span, q: f64) {
    cx.note(Level::Warning, span, || {
        let q = format_general(q);
        format!("quantile value should be between 0 and 1, got {q}")
    });
}

fn gauge_names(table: &Table) -> Vec<String> {
    let mut names: Vec<String> = (0..table.len())
        .filter_map(|row| {
            let labels = table.raw(row);
            let name = labels.name().filter(|_| !table.is_dropped(row))?;
            let typed = labels
                .get("__type__")
                .is_some_and(|t| matches!(t, "counter" | "histogram"));
            let suffixes = ["_total", "_sum", "_count", "_bucket"];
            (!typed && !suffixes.iter().any(|s| name.ends_with(s))).then(|| name.to_owned())
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

impl VectorOperator for RangeFunction {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<Vector, PromqlError> {
        let params = self.params(cx, at)?;
        let table = self.ranges.open(cx, at)?;
        let mut values = cx.take(table.len(), ABSENT);
        let mut filled = Filled::nothing();
        let (function, scratch, sorted) = (self.function, &mut self.scratch, &mut self.sorted);
        if let Some(kind) = extrapolation(function) {
            let mut extrapolator = Extrapolator::new(kind);
            self.ranges.visit(cx, at, &mut |slot, row, window| {
                filled.see(row, window);
                let steady = extrapolator.steady(row, window);
                values[slot] =
                    steady.unwrap_or_else(|| extrapolator.general(&scratch.gather(row, window)));
            })?;
        } else {
            self.ranges.visit(cx, at, &mut |slot, row, window| {
                filled.see(row, window);
                let samples = scratch.gather(row, window);
                if !samples.values.is_empty() {
                    values[slot] = reduce(function, &samples, params, sorted);
                }
            })?;
        }
        filled.report(cx);
        let mut vector = Vector::new(table, values);
        self.note_gauges(cx, &vector);
        let keeps_name = matches!(function, Function::FirstOverTime | Function::LastOverTime);
        if !keeps_name {
            self.names.apply(cx, &mut vector, self.span)?;
        }
        Ok(vector)
    }
}

fn extrapolation(function: Function) -> Option<Extrapolation> {
    match function {
        Function::Rate => Some(Extrapolation::Rate),
        Function::Increase => Some(Extrapolation::Increase),
        Function::Delta => Some(Extrapolation::Delta),
        _ => None,
    }
}

/// The result of a function for a range with at least one sample.
fn reduce(
    function: Function,
    samples: &Samples<'_>,
    params: [f64; 2],
    sorted: &mut Vec<f64>,
) -> f64 {
    let values = samples.values;
    let last = values.len() - 1;
    match function {
        Function::Irate => instant(samples, true),
        Function::Idelta => instant(samples, false),
        Function::SumOverTime => stats::sum(values),
        Function::AvgOverTime => stats::mean(values),
        #[expect(clippy::cast_precision_loss, reason = "a count of samples")]
        Function::CountOverTime => values.len() as f64,
        Function::PresentOverTime => 1.0,
        Function::MinOverTime => values[stats::extreme(values, |new, best| new < best)],
        Function::MaxOverTime => values[stats::extreme(values, |new, best| new > best)],
        Function::TsOfMinOverTime => {
            stats::time_of(samples, stats::extreme(values, |new, best| new <= best))
        }
        Function::TsOfMaxOverTime => {
            stats::time_of(samples, stats::extreme(values, |new, best| new >= best))
        }
        Function::FirstOverTime => values[0],
        Function::LastOverTime => values[last],
        Function::TsOfFirstOverTime => stats::time_of(samples, 0),
        Function::TsOfLastOverTime => stats::time_of(samples, last),
        Function::StddevOverTime => stats::variance(values).sqrt(),
        Function::StdvarOverTime => stats::variance(values),
        Function::QuantileOverTime => stats::quantile(params[0], copied(values, sorted)),
        Function::MadOverTime => stats::median_deviation(copied(values, sorted)),
        Function::Changes => stats::changes(values),
        Function::Resets => stats::resets(values),
        Function::Deriv => stats::derivative(samples),
        Function::PredictLinear => stats::predict(samples, params[0]),
        Function::DoubleExponentialSmoothing => {
            stats::double_exponential(values, params[0], params[1])
        }
        _ => ABSENT,
    }
}

/// A copy of the values that may be reordered.
fn copied<'b>(values: &[f64], buffer: &'b mut Vec<f64>) -> &'b mut [f64] {
    buffer.clear();
    buffer.extend_from_slice(values);
    buffer
}
