//! Answers as JSON, written piece by piece: a range has many points.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::metric::{Labels, Timestamp};
use crate::promql::{ExprValue, SeriesPoints, format_value};

/// Remarks about an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// Something is missing or in doubt.
    pub(crate) warnings: Vec<String>,
    /// Something to know.
    pub(crate) infos: Vec<String>,
}

impl Notes {
    /// The remarks of an evaluation.
    pub(crate) fn of(evaluation: &crate::promql::Evaluation) -> Self {
        let texts = |notes: &[crate::promql::Note]| notes.iter().map(ToString::to_string).collect();
        Self {
            warnings: texts(&evaluation.warnings),
            infos: texts(&evaluation.infos),
        }
    }
}

/// The answer of `/api/v1/query` and `/api/v1/query_range`.
pub(crate) fn evaluation_json(value: &ExprValue, at: Timestamp, notes: &Notes) -> String {
    let mut out = String::new();
    let kind = match value {
        ExprValue::Scalar(number) => {
            point(at, *number, &mut out);
            "scalar"
        }
        ExprValue::Text(text) => {
            seconds(at, &mut out);
            out = format!("[{out},{}]", json!(text));
            "string"
        }
        ExprValue::Vector(samples) => {
            list(samples, &mut out, |sample, out| {
                metric(&sample.labels, out);
                out.push_str(",\"value\":");
                point(sample.at, sample.value, out);
                out.push('}');
            });
            "vector"
        }
        ExprValue::Matrix(series) => {
            list(series, &mut out, range_of_points);
            "matrix"
        }
    };
    let data = format!(r#"{{"resultType":"{kind}","result":{out}}}"#);
    success_json(&data, notes)
}

fn range_of_points(series: &SeriesPoints, out: &mut String) {
    metric(&series.labels, out);
    out.push_str(",\"values\":");
    list(&series.points, out, |(at, value), out| {
        point(*at, *value, out);
    });
    out.push('}');
}

/// A list of items that are written one by one.
fn list<T>(items: &[T], out: &mut String, write: impl Fn(&T, &mut String)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(']');
}

/// The begin of an object with the labels of its series.
fn metric(labels: &Labels, out: &mut String) {
    out.push_str("{\"metric\":");
    out.push_str(&json!(labels).to_string());
}

fn point(at: Timestamp, value: f64, out: &mut String) {
    out.push('[');
    seconds(at, out);
    // Writing to a text cannot fail.
    let _written = write!(out, ",\"{}\"]", format_value(value));
}

/// Seconds as a number; whole seconds without a fraction, as Prometheus writes them.
fn seconds(at: Timestamp, out: &mut String) {
    let millis = at.as_millis();
    let _written = if millis % 1000 == 0 {
        write!(out, "{}", millis / 1000)
    } else {
        write!(out, "{}", json!(at.as_secs_f64()))
    };
}

/// An answer with this data, which is JSON already.
pub(super) fn success_json(data: &str, notes: &Notes) -> String {
    let mut out = format!(r#"{{"status":"success","data":{data}"#);
    for (key, texts) in [("warnings", &notes.warnings), ("infos", &notes.infos)] {
        if !texts.is_empty() {
            let _written = write!(out, ",\"{key}\":{}", Json::from(texts.clone()));
        }
    }
    out.push('}');
    out
}

/// An error.
pub(super) fn error_json(kind: &str, message: &str) -> String {
    json!({"status": "error", "errorType": kind, "error": message}).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::{Notes, evaluation_json};
    use crate::metric::{Labels, Timestamp};
    use crate::promql::{ExprValue, InstantSample, SeriesPoints};

    fn read(value: &ExprValue, notes: &Notes) -> Json {
        let text = evaluation_json(value, Timestamp::from_millis(1_500), notes);
        serde_json::from_str(&text).unwrap()
    }

    /// The shapes of Prometheus' documentation, "Expression query result formats".
    #[test]
    fn values_have_prometheus_shapes() {
        let (at, none) = (Timestamp::from_millis(2_000), Notes::default());
        let labels = Labels::named("m", [("a", "\"\\\n")]);
        let metric = json!({"__name__": "m", "a": "\"\\\n"});
        let vector = ExprValue::Vector(vec![InstantSample::new(labels.clone(), f64::NAN, at)]);
        let points = vec![(at, 1.0), (at, f64::INFINITY)];
        let matrix = ExprValue::Matrix(vec![SeriesPoints { labels, points }]);
        for (value, kind, result) in [
            (ExprValue::Scalar(0.5), "scalar", json!([1.5, "0.5"])),
            (
                ExprValue::Text("a\"b".to_owned()),
                "string",
                json!([1.5, "a\"b"]),
            ),
            (ExprValue::Vector(Vec::new()), "vector", json!([])),
            (
                vector,
                "vector",
                json!([{"metric": metric, "value": [2, "NaN"]}]),
            ),
            (
                matrix,
                "matrix",
                json!([{"metric": metric, "values": [[2, "1"], [2, "+Inf"]]}]),
            ),
        ] {
            let expected =
                json!({"status": "success", "data": {"resultType": kind, "result": result}});
            assert_eq!(read(&value, &none), expected);
        }
    }

    #[test]
    fn remarks_stand_beside_the_data() {
        let notes = Notes {
            warnings: vec!["w".to_owned()],
            infos: vec!["i".to_owned()],
        };
        let found = read(&ExprValue::Scalar(1.0), &notes);
        assert_eq!(
            (&found["warnings"], &found["infos"]),
            (&json!(["w"]), &json!(["i"]))
        );
    }
}
