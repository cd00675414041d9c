//! Whether an evaluation gave what the script expects.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use sidewatch_engine::metric::{Labels, Timestamp};
use sidewatch_engine::promql::{
    ErrorKind, Evaluation, Expr, ExprValue, Note, Options, Query, Samples, SeriesPoints,
    format_value,
};
use sidewatch_engine::series::is_absent;

use super::data::Store;
use super::script::{Eval, Loaded, Text, When};

/// What came of an evaluation.
#[derive(Debug)]
pub(crate) enum Verdict {
    Passed,
    Failed(String),
    Refused(String),
}

/// The engine as the suite wants it.
const OPTIONS: Options = Options {
    lookback: Duration::from_secs(300),
    default_subquery_step: Duration::from_secs(60),
    delayed_name_removal: true,
    max_result_series: 100_000,
    max_result_points: usize::MAX,
    max_samples: 50_000_000,
};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Why there is no value: our refusal, or an error of the expression.
enum Problem {
    Refused(String),
    Wrong(String),
}

fn evaluate(text: &str, when: When, store: &mut Store) -> Result<Evaluation, Problem> {
    let touched = Cell::new(false);
    let problem = |error: sidewatch_engine::promql::PromqlError| {
        if error.kind() == ErrorKind::Refused {
            Problem::Refused(error.to_string())
        } else {
            Problem::Wrong(error.message().to_owned())
        }
    };
    let expr = Expr::parse(text).map_err(problem)?;
    let source = store.source(&touched);
    let mut query = Query::with_options(expr, OPTIONS);
    let result = match when {
        When::At(time) => query.eval(&source, at(time)),
        When::Range(start, end, step) => {
            let step = Duration::from_millis(u64::try_from(step).unwrap_or(0));
            query.eval_range(&source, (at(start), at(end)), step)
        }
    };
    if touched.get() {
        return Err(Problem::Refused(
            "native histograms or start timestamps in the data".to_owned(),
        ));
    }
    result.map_err(problem)
}

pub(crate) fn judge(eval: &Eval, store: &mut Store) -> Verdict {
    match evaluate(&eval.expr, eval.when, store) {
        Err(Problem::Refused(why)) => Verdict::Refused(why),
        Err(Problem::Wrong(message)) if eval.fail.is_empty() => {
            Verdict::Failed(format!("failed: {message}"))
        }
        Err(Problem::Wrong(message)) => {
            match eval.fail.iter().find(|text| !matches(text, &message)) {
                None => Verdict::Passed,
                Some(text) => {
                    Verdict::Failed(format!("failed with {message:?} instead of {text:?}"))
                }
            }
        }
        Ok(_) if !eval.fail.is_empty() => Verdict::Failed("did not fail".to_owned()),
        Ok(found) => {
            let problem = annotations(eval, &found).or_else(|| compare(eval, &found.value));
            let problem = problem.or_else(|| as_range(eval, &found.value, store));
            problem.map_or(Verdict::Passed, Verdict::Failed)
        }
    }
}

fn matches(text: &Text, found: &str) -> bool {
    match text {
        Text::Any => true,
        Text::Exact(exact) => exact == found,
        Text::Regex(regex) => regex::Regex::new(regex).is_ok_and(|regex| regex.is_match(found)),
    }
}

fn annotations(eval: &Eval, found: &Evaluation) -> Option<String> {
    let kinds = [
        ("warning", &eval.warn, eval.no_warn, &found.warnings),
        ("info", &eval.info, eval.no_info, &found.infos),
    ];
    for (kind, wanted, none, notes) in kinds {
        let shown = |note: &Note| format!("PromQL {kind}: {note}");
        let notes: Vec<String> = notes.iter().map(shown).collect();
        if none && !notes.is_empty() {
            return Some(format!("unexpected {kind}: {notes:?}"));
        }
        if let Some(missing) = wanted
            .iter()
            .find(|text| !notes.iter().any(|note| matches(text, note)))
        {
            return Some(format!("no {kind} {missing:?} in {notes:?}"));
        }
        let is_extra = |note: &&String| !wanted.iter().any(|text| matches(text, note));
        if let Some(extra) = notes.iter().find(is_extra).filter(|_| !wanted.is_empty()) {
            return Some(format!("unexpected {kind}: {extra}"));
        }
    }
    None
}

fn compare(eval: &Eval, value: &ExprValue) -> Option<String> {
    match (value, eval.when) {
        (ExprValue::Text(found), _) => match &eval.string {
            Some(wanted) if wanted == found => None,
            wanted => Some(format!("found {found:?}, wanted {wanted:?}")),
        },
        (ExprValue::Scalar(found), _) => match eval.scalar {
            Some(wanted) if is_close(*found, wanted) => None,
            wanted => Some(format!("found scalar {found}, wanted {wanted:?}")),
        },
        (ExprValue::Matrix(found), When::At(_)) => {
            let (from, step) = eval.range_vector.unwrap_or_default();
            compare_series(&timed(&eval.series, from, step), found)
        }
        (ExprValue::Matrix(found), When::Range(from, _, step)) => {
            compare_series(&timed(&eval.series, from, step), found)
        }
        (ExprValue::Vector(found), When::At(time) | When::Range(time, ..)) => {
            if let Some(wanted) = eval.scalar {
                return Some(format!("found a vector, wanted scalar {wanted}"));
            }
            let found: Vec<SeriesPoints> = found
                .iter()
                .map(|sample| SeriesPoints {
                    labels: sample.labels.clone(),
                    points: vec![(at(time), sample.value)],
                })
                .collect();
            if eval.ordered {
                let order: Vec<&Labels> = found.iter().map(|series| &series.labels).collect();
                let wanted: Vec<&Labels> =
                    eval.series.iter().map(|series| &series.labels).collect();
                if order != wanted {
                    return Some(format!("found in order {order:?}, wanted {wanted:?}"));
                }
            }
            compare_series(&timed(&eval.series, time, 1), &found)
        }
    }
}

/// Expected series with times.
fn timed(series: &[Loaded], from: i64, step: i64) -> Vec<SeriesPoints> {
    let points = |values: &[f64]| {
        let times = (0..).map(|index| at(from + index * step));
        times
            .zip(values.iter().copied())
            .filter(|(_, value)| !is_absent(*value))
            .collect()
    };
    let timed = series.iter().map(|series| SeriesPoints {
        labels: series.labels.clone(),
        points: points(&series.values),
    });
    timed.collect()
}

fn compare_series(wanted: &[SeriesPoints], found: &[SeriesPoints]) -> Option<String> {
    let by_labels = |series: &[SeriesPoints]| -> BTreeMap<Labels, Samples> {
        series
            .iter()
            .map(|s| (s.labels.clone(), s.points.clone()))
            .collect()
    };
    let (mut rest, found) = (by_labels(wanted), by_labels(found));
    for (labels, points) in &found {
        let Some(wanted) = rest.remove(labels) else {
            return Some(format!("unexpected {labels} {}", shown(points)));
        };
        let same = wanted.len() == points.len()
            && wanted
                .iter()
                .zip(points)
                .all(|(w, f)| w.0 == f.0 && is_close(f.1, w.1));
        if !same {
            return Some(format!(
                "{labels}: found {}, wanted {}",
                shown(points),
                shown(&wanted)
            ));
        }
    }
    let missing = rest.into_iter().find(|(_, points)| !points.is_empty());
    missing.map(|(labels, _)| format!("missing {labels}"))
}

fn shown(points: &[(Timestamp, f64)]) -> String {
    let shown: Vec<String> = points
        .iter()
        .map(|(t, v)| format!("{}@{}", format_value(*v), t.as_secs_f64()))
        .collect();
    shown.join(" ")
}

/// Equal to a millionth, as the suite compares.
#[expect(clippy::float_cmp, reason = "infinities are equal only to themselves")]
fn is_close(a: f64, b: f64) -> bool {
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let (difference, size) = ((a - b).abs(), a.abs() + b.abs());
    if a.abs() < f64::MIN_POSITIVE || b.abs() < f64::MIN_POSITIVE {
        return difference < 1e-6 * f64::MIN_POSITIVE;
    }
    difference / size.min(f64::MAX) < 1e-6
}

/// The same expression as a range of three steps gives the same in the middle.
fn as_range(eval: &Eval, value: &ExprValue, store: &mut Store) -> Option<String> {
    let (When::At(time), ExprValue::Scalar(_) | ExprValue::Vector(_)) = (eval.when, value) else {
        return None;
    };
    if eval.expr.contains("start()") || eval.expr.contains("end()") {
        return None;
    }
    let when = When::Range(time - 60_000, time + 60_000, 60_000);
    // A neighbouring step may fail where this one does not.
    let Ok(Evaluation {
        value: ExprValue::Matrix(series),
        ..
    }) = evaluate(&eval.expr, when, store)
    else {
        return None;
    };
    let middle: Vec<SeriesPoints> = series
        .into_iter()
        .map(|mut series| {
            series.points.retain(|(when, _)| *when == at(time));
            series
        })
        .filter(|series| !series.points.is_empty())
        .collect();
    let problem = match value {
        ExprValue::Scalar(wanted) => {
            let wanted = SeriesPoints {
                labels: Labels::empty(),
                points: vec![(at(time), *wanted)],
            };
            compare_series(&[wanted], &middle)
        }
        ExprValue::Vector(_) | ExprValue::Matrix(_) | ExprValue::Text(_) => {
            compare_series(&timed(&eval.series, time, 1), &middle)
        }
    };
    problem.map(|why| format!("as a range: {why}"))
}
