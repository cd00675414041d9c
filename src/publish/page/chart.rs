//! A signal's history as inline SVG, with the same facts in words for screen readers.

use std::fmt::Write as _;

use super::scale::{extremes, position};
use super::text::{clock, escape, number, range};
use crate::publish::snapshot::{Point, Signal};

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 110.0;
/// Space at the edge for the mark of an anomaly.
const MARGIN: f64 = 6.0;
/// Space for the numbers at the left.
const LEFT: f64 = 52.0;

/// Draws the value, its expected band and its anomalies; a short text instead while there are fewer
/// than two points.
pub(super) fn chart(signal: &Signal, id: &str, name: &str) -> String {
    let points = &signal.points;
    let Some(frame) = Frame::of(points) else {
        return "<p class=\"quiet empty\">no history yet</p>".to_owned();
    };
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
         <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>",
        escape(name),
        escape(&words(signal))
    );
    scale(&frame, &mut out);
    bands(points, &frame, &mut out);
    polylines(points, &frame, "value", |point| point.value, &mut out);
    for point in points.iter().filter(|point| is_anomalous(point)) {
        if let Some(value) = point.value {
            let (x, y) = (frame.x(point), frame.y(value));
            // Writing to a String cannot fail, here and below.
            write!(
                out,
                "<circle class=\"hit\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"><title>{} at {}</title></circle>",
                number(value),
                clock(point.at)
            )
            .ok();
        }
    }
    out.push_str("</svg>");
    write!(
        out,
        "<p class=\"axis\"><span>{}</span><span>{}</span></p>",
        clock(frame.first.at),
        clock(frame.last.at)
    )
    .ok();
    out
}

/// The chart in one or two sentences.
pub(super) fn words(signal: &Signal) -> String {
    let now = signal.value.map_or_else(|| "unknown".to_owned(), number);
    let unit = signal.kind.unit();
    let space = if unit.is_empty() { "" } else { " " };
    if signal.state.is_none() {
        return format!("Now {now}{space}{unit}.");
    }
    let mut text = format!(
        "Now {now}{space}{unit}; expected {}.",
        range(&signal.expected)
    );
    let hits: Vec<&Point> = signal.points.iter().filter(|p| is_anomalous(p)).collect();
    let count = signal.points.len();
    match hits.last() {
        Some(last) => write!(
            text,
            " {} of {count} evaluations anomalous, the last at {}.",
            hits.len(),
            clock(last.at)
        ),
        None => write!(text, " No anomaly in {count} evaluations."),
    }
    .ok();
    text
}

fn is_anomalous(point: &Point) -> bool {
    point.state == Some("anomalous")
}

/// The range of times and values that the chart shows.
struct Frame {
    first: Point,
    last: Point,
    low: f64,
    high: f64,
}

impl Frame {
    fn of(points: &[Point]) -> Option<Self> {
        let (first, last) = (*points.first()?, *points.last()?);
        let shown = points
            .iter()
            .flat_map(|point| [point.value, point.lower, point.upper])
            .flatten();
        let (low, high) = extremes(shown);
        (points.len() > 1 && low <= high).then_some(Self {
            first,
            last,
            low,
            high,
        })
    }

    fn x(&self, point: &Point) -> f64 {
        let start = self.first.at.as_secs_f64();
        let span = self.last.at.as_secs_f64() - start;
        let share = (point.at.as_secs_f64() - start) / span.max(f64::MIN_POSITIVE);
        LEFT + share * (WIDTH - LEFT - MARGIN)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - MARGIN - position(value, self.low, self.high) * (HEIGHT - 2.0 * MARGIN)
    }
}

/// Writes the lowest and the highest value, with a line at each.
fn scale(frame: &Frame, out: &mut String) {
    let middle = frame.high.total_cmp(&frame.low).is_eq();
    let ends = if middle {
        &[frame.high][..]
    } else {
        &[frame.high, frame.low]
    };
    for value in ends {
        let y = frame.y(*value);
        write!(
            out,
            "<line class=\"frame\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            y + 4.0,
            number(*value)
        )
        .ok();
    }
}

/// Draws one polygon for each run of points with a band, and a line along each edge. An open side
/// reaches the end of the chart.
fn bands(points: &[Point], frame: &Frame, out: &mut String) {
    let has_band = |point: &Point| point.lower.is_some() || point.upper.is_some();
    for run in points.chunk_by(|a, b| has_band(a) == has_band(b)) {
        if run.len() < 2 || !run.iter().all(has_band) {
            continue;
        }
        let upper = run.iter().map(|p| (p, p.upper.map_or(0.0, |v| frame.y(v))));
        let lower = run
            .iter()
            .rev()
            .map(|p| (p, p.lower.map_or(HEIGHT, |v| frame.y(v))));
        out.push_str("<polygon class=\"band\" points=\"");
        for (point, y) in upper.chain(lower) {
            write!(out, "{:.1},{y:.1} ", frame.x(point)).ok();
        }
        out.push_str("\"/>");
    }
    polylines(points, frame, "edge", |point| point.lower, out);
    polylines(points, frame, "edge", |point| point.upper, out);
}

/// Draws one line for each run of known values, so that a gap stays a gap.
fn polylines(
    points: &[Point],
    frame: &Frame,
    class: &str,
    of: fn(&Point) -> Option<f64>,
    out: &mut String,
) {
    for run in points.chunk_by(|a, b| of(a).is_some() == of(b).is_some()) {
        let known = run.iter().filter_map(|p| of(p).map(|value| (p, value)));
        let mut path = String::new();
        for (point, value) in known {
            write!(path, "{:.1},{:.1} ", frame.x(point), frame.y(value)).ok();
        }
        if !path.is_empty() {
            write!(out, "<polyline class=\"{class}\" points=\"{path}\"/>").ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{chart, words};
    use crate::judge::Band;
    use crate::metric::Timestamp;
    use crate::publish::Signal;
    use crate::publish::snapshot::Point;

    fn signal(values: &[Option<f64>]) -> Signal {
        let points = values.iter().zip(0_u32..).map(|(value, second)| Point {
            at: Timestamp::from_secs_f64(f64::from(second)),
            value: *value,
            lower: Some(0.9),
            state: Some(if value.is_some_and(|v| v < 0.9) {
                "anomalous"
            } else {
                "ok"
            }),
            ..Point::default()
        });
        Signal {
            value: values.last().copied().flatten(),
            expected: Band {
                lower: Some(0.9),
                ..Band::default()
            },
            points: points.collect(),
            state: Some("ok"),
            ..Signal::default()
        }
    }

    #[test]
    fn the_chart_says_in_words_what_it_draws() {
        let dropped = signal(&[Some(0.95), Some(0.94), Some(0.5)]);
        assert_eq!(
            words(&dropped),
            "Now 0.5; expected at least 0.9. 1 of 3 evaluations anomalous, the last at 00:00:02."
        );
        let svg = chart(&dropped, "x", "Accuracy");
        assert_eq!(svg.matches("class=\"hit\"").count(), 1, "{svg}");
        assert!(svg.contains("role=\"img\"") && svg.contains("Now 0.5"));
    }

    #[test]
    fn a_gap_is_drawn_as_a_gap() {
        let gap = signal(&[Some(0.95), Some(0.95), None, Some(0.95), Some(0.95)]);
        let svg = chart(&gap, "x", "Accuracy");
        assert_eq!(svg.matches("<polyline class=\"value\"").count(), 2, "{svg}");
    }

    #[test]
    fn extreme_and_flat_values_stay_inside_the_chart() {
        for values in [
            [Some(f64::MAX), Some(f64::MIN)],
            [Some(5.0), Some(5.0)],
            [Some(0.0), Some(1e-320)],
        ] {
            let svg = chart(&signal(&values), "x", "Accuracy");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn one_point_is_no_chart() {
        assert!(chart(&signal(&[Some(1.0)]), "x", "A").contains("no history yet"));
    }
}
