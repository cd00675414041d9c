//! A signal's history as inline SVG, with the same facts in words for screen readers.

use std::fmt::Write as _;
use std::time::Duration;

use super::scale::{extremes, position};
use super::text::{clock, escape, number, range};
use crate::metric::Timestamp;
use crate::publish::snapshot::{Point, Signal, Snapshot};

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 110.0;
/// Space at the edge for the mark of an anomaly.
const MARGIN: f64 = 6.0;
/// Space for the numbers at the left.
const LEFT: f64 = 52.0;

/// Draws the value, its expected band and its anomalies; a short text instead while there are fewer
/// than two points.
pub(super) fn chart(signal: &Signal, id: &str, name: &str, axis: &Axis) -> String {
    let points = &signal.points;
    let Some(frame) = Frame::of(points, axis) else {
        let text = if points.is_empty() {
            "no chart: the limit of charts is reached"
        } else {
            "the chart begins with the second value"
        };
        return format!("<p class=\"quiet empty\">{text}</p>");
    };
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
         <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>",
        escape(name),
        escape(&words(signal))
    );
    gaps(points, &frame, &mut out);
    scale(&frame, &mut out);
    bands(points, &frame, &mut out);
    polylines(points, &frame, "value", |point| point.value, &mut out);
    if let Some(incident) = &signal.incident {
        onset(incident.since, &frame, &mut out);
    }
    for point in points.iter().filter(|point| is_anomalous(point)) {
        if let Some(value) = point.value {
            let (x, y) = (frame.x(point.at), frame.y(value));
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
        clock(axis.start),
        clock(axis.end)
    )
    .ok();
    out
}

/// The time that every chart of the page shows, so that charts can be compared.
#[derive(Debug)]
pub(super) struct Axis {
    start: Timestamp,
    end: Timestamp,
    /// Values further apart than this have a gap between them.
    gap: Duration,
}

impl Axis {
    /// From the first point of these signals to now.
    pub(super) fn of<'a>(
        signals: impl Iterator<Item = &'a Signal> + Clone,
        snapshot: &Snapshot,
    ) -> Self {
        let firsts = signals.clone().filter_map(|signal| signal.points.first());
        let lasts = signals.filter_map(|signal| signal.points.last());
        let end = lasts.map(|point| point.at).fold(snapshot.at, Ord::max);
        Self {
            start: firsts.map(|point| point.at).min().unwrap_or(end),
            end,
            gap: snapshot.interval * 5 / 2,
        }
    }

    /// Of the spans of a signal, which are five minutes long.
    pub(super) fn of_spans(signal: &Signal, snapshot: &Snapshot) -> Self {
        Self {
            gap: Duration::from_secs(600),
            ..Self::of(std::iter::once(signal), snapshot)
        }
    }

    fn has_gap(&self, from: Timestamp, to: Timestamp) -> bool {
        !self.gap.is_zero() && to.since(from) > self.gap
    }
}

/// Shades the times without a value, up to now.
fn gaps(points: &[Point], frame: &Frame<'_>, out: &mut String) {
    let known = points.iter().filter(|point| point.value.is_some());
    let times: Vec<Timestamp> = known
        .map(|point| point.at)
        .chain([frame.axis.end])
        .collect();
    for pair in times.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        if !frame.axis.has_gap(from, to) {
            continue;
        }
        let (x, end) = (frame.x(from), frame.x(to));
        write!(
            out,
            "<rect class=\"gap\" x=\"{x:.1}\" y=\"0\" width=\"{:.1}\" height=\"{HEIGHT}\"><title>no value from {} to {}</title></rect>",
            end - x,
            clock(from),
            clock(to)
        )
        .ok();
        if end - x > 60.0 {
            let middle = f64::midpoint(x, end);
            write!(
                out,
                "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">no value</text>",
                HEIGHT / 2.0
            )
            .ok();
        }
    }
}

/// Marks when the incident began.
fn onset(at: Timestamp, frame: &Frame<'_>, out: &mut String) {
    if at < frame.axis.start || at > frame.axis.end {
        return;
    }
    let x = frame.x(at);
    write!(
        out,
        "<line class=\"onset\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{HEIGHT}\"><title>incident since {}</title></line>",
        clock(at)
    )
    .ok();
}

/// The chart in one or two sentences.
pub(super) fn words(signal: &Signal) -> String {
    let now = signal
        .current()
        .map_or_else(|| "unknown".to_owned(), number);
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
struct Frame<'a> {
    axis: &'a Axis,
    low: f64,
    high: f64,
}

impl<'a> Frame<'a> {
    fn of(points: &[Point], axis: &'a Axis) -> Option<Self> {
        let shown = points
            .iter()
            .flat_map(|point| [point.value, point.lower, point.upper])
            .flatten();
        let (low, high) = extremes(shown);
        (points.len() > 1 && low <= high).then_some(Self { axis, low, high })
    }

    fn x(&self, at: Timestamp) -> f64 {
        let start = self.axis.start.as_secs_f64();
        let span = self.axis.end.as_secs_f64() - start;
        let share = (at.as_secs_f64() - start) / span.max(f64::MIN_POSITIVE);
        LEFT + share * (WIDTH - LEFT - MARGIN)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - MARGIN - position(value, self.low, self.high) * (HEIGHT - 2.0 * MARGIN)
    }
}

/// Writes the lowest and the highest value, with a line at each.
fn scale(frame: &Frame<'_>, out: &mut String) {
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
fn bands(points: &[Point], frame: &Frame<'_>, out: &mut String) {
    let has_band = |point: &Point| point.lower.is_some() || point.upper.is_some();
    let is_one_run =
        |a: &Point, b: &Point| has_band(a) == has_band(b) && !frame.axis.has_gap(a.at, b.at);
    for run in points.chunk_by(is_one_run) {
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
            write!(out, "{:.1},{y:.1} ", frame.x(point.at)).ok();
        }
        out.push_str("\"/>");
    }
    polylines(points, frame, "edge", |point| point.lower, out);
    polylines(points, frame, "edge", |point| point.upper, out);
}

/// Draws one line for each run of known values, so that a gap stays a gap.
fn polylines(
    points: &[Point],
    frame: &Frame<'_>,
    class: &str,
    of: fn(&Point) -> Option<f64>,
    out: &mut String,
) {
    let is_one_run = |a: &Point, b: &Point| {
        of(a).is_some() == of(b).is_some() && !frame.axis.has_gap(a.at, b.at)
    };
    for run in points.chunk_by(is_one_run) {
        let known = run.iter().filter_map(|p| of(p).map(|value| (p, value)));
        let mut path = String::new();
        for (point, value) in known {
            // A single value is a line without length, drawn as a dot.
            for _ in 0..if run.len() == 1 { 2 } else { 1 } {
                write!(path, "{:.1},{:.1} ", frame.x(point.at), frame.y(value)).ok();
            }
        }
        if !path.is_empty() {
            write!(out, "<polyline class=\"{class}\" points=\"{path}\"/>").ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Axis, words};
    use crate::judge::Band;
    use crate::metric::Timestamp;
    use std::time::Duration;

    use crate::publish::snapshot::Point;
    use crate::publish::{Signal, Snapshot};

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

    fn chart(signal: &Signal, id: &str, name: &str) -> String {
        let last = signal.points.last().unwrap().at;
        let snapshot = Snapshot {
            at: last,
            interval: Duration::from_secs(1),
            ..Snapshot::default()
        };
        let axis = Axis::of(std::iter::once(signal), &snapshot);
        super::chart(signal, id, name, &axis)
    }

    #[test]
    fn a_time_without_points_is_drawn_as_a_gap() {
        let mut gap = signal(&[Some(0.95), Some(0.95), Some(0.95), Some(0.95)]);
        for point in &mut gap.points[2..] {
            point.at = Timestamp::from_secs_f64(point.at.as_secs_f64() + 20.0);
        }
        let svg = chart(&gap, "x", "Accuracy");
        assert_eq!(svg.matches("<polyline class=\"value\"").count(), 2, "{svg}");
        assert_eq!(svg.matches("class=\"gap\"").count(), 1, "{svg}");
    }

    #[test]
    fn a_value_that_is_gone_leaves_a_gap_up_to_now() {
        let gone = signal(&[Some(0.95), Some(0.95), None, None, None, None]);
        let svg = chart(&gone, "x", "Accuracy");
        assert_eq!(svg.matches("class=\"gap\"").count(), 1, "{svg}");
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
        assert!(chart(&signal(&[Some(1.0)]), "x", "A").contains("the chart begins"));
    }
}
