//! The chart of one signal: values, expected band, unknown periods, and firing alerts.

use std::fmt::Write as _;
use std::time::Duration;

use super::axis::{Axis, LEFT, WIDTH};
use crate::cli::replay::{Judged, Point};
use crate::judge::State;
use crate::metric::Timestamp;
use crate::publish::{escape, extremes, number, position};

const HEIGHT: f64 = 150.0;
/// Margin above the highest and below the lowest value.
const MARGIN: f64 = 8.0;
/// A long history is divided into at most this many chunks. Each shows its lowest and highest
/// value.
const MAX_CHUNKS: usize = 600;
/// The band may extend the vertical range by this many times the span of the values, on each side.
const MAX_BAND_EXTENSION: f64 = 2.0;

/// Draws a signal. `firing` has the start and the end of each firing alert.
pub(super) fn draw(
    judged: &Judged,
    axis: &Axis,
    firing: &[(Timestamp, Timestamp)],
    out: &mut String,
) {
    let segments = segments(&judged.points);
    let scale = Scale::of(&segments);
    // Writing to a String cannot fail, here and below.
    write!(
        out,
        "<div class=\"scroll\"><svg viewBox=\"0 -2 {WIDTH} {:.0}\" role=\"img\"><title>{}</title>",
        HEIGHT + 24.0,
        escape(&description(judged))
    )
    .ok();
    unknown(&segments, axis, out);
    for (from, to) in firing {
        block("firing", axis.x(*from), axis.x(*to), out);
    }
    axis.draw(HEIGHT, out);
    for points in &segments {
        band(points, axis, &scale, out);
        line("edge", points, |point| point.lower, axis, &scale, out);
        line("edge", points, |point| point.upper, axis, &scale, out);
        line("value", points, |point| point.value, axis, &scale, out);
        dots(points, axis, &scale, out);
    }
    scale.draw(out);
    out.push_str("</svg></div>");
}

/// Marks the periods without a known state and the gaps between segments.
fn unknown(segments: &[Vec<Point>], axis: &Axis, out: &mut String) {
    for points in segments {
        for run in points.chunk_by(|a, b| is_unknown(a) == is_unknown(b)) {
            if let [first, .., last] = run
                && is_unknown(first)
            {
                block("unknown", axis.x(first.at), axis.x(last.at), out);
            }
        }
    }
    for pair in segments.windows(2) {
        if let (Some(last), Some(first)) = (pair[0].last(), pair[1].first()) {
            block("unknown", axis.x(last.at), axis.x(first.at), out);
        }
    }
}

/// A text description of the chart, for screen readers.
fn description(judged: &Judged) -> String {
    let anomalous = judged.points.iter().filter(|p| is_anomalous(p)).count();
    let (low, high) = extremes(judged.points.iter().map(|point| point.value));
    format!(
        "{} from {} to {} {}; {anomalous} of {} evaluations anomalous",
        judged.rule,
        number(low),
        number(high),
        judged.metric.unit(),
        judged.points.len()
    )
}

pub(super) fn is_anomalous(point: &Point) -> bool {
    point.state == State::Anomalous
}

/// Whether the strategy did not know the state. Unknown is never shown as normal.
fn is_unknown(point: &Point) -> bool {
    matches!(
        point.state,
        State::WarmingUp | State::InsufficientData | State::Stale | State::Idle
    )
}

/// The points, split at gaps of more than twice the median interval, and downsampled.
fn segments(points: &[Point]) -> Vec<Vec<Point>> {
    let interval = |a: &Point, b: &Point| b.at.since(a.at);
    let mut intervals: Vec<Duration> = points
        .windows(2)
        .map(|pair| interval(&pair[0], &pair[1]))
        .collect();
    let middle = intervals.len() / 2;
    let median = if intervals.is_empty() {
        Duration::ZERO
    } else {
        *intervals.select_nth_unstable(middle).1
    };
    let chunk_size = points.len().div_ceil(MAX_CHUNKS);
    points
        .chunk_by(|a, b| interval(a, b) <= median * 2)
        .map(|segment| downsample(segment, chunk_size))
        .collect()
}

/// Keeps the lowest and the highest point of each chunk, so that no spike is lost.
fn downsample(points: &[Point], chunk_size: usize) -> Vec<Point> {
    if chunk_size <= 2 {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(2 * MAX_CHUNKS);
    for chunk in points.chunks(chunk_size) {
        let finite = chunk
            .iter()
            .enumerate()
            .filter(|(_, point)| point.value.is_finite());
        let order = |a: &(usize, &Point), b: &(usize, &Point)| a.1.value.total_cmp(&b.1.value);
        let (first, second) = match (finite.clone().min_by(order), finite.max_by(order)) {
            (Some((low, _)), Some((high, _))) => (low.min(high), low.max(high)),
            _ => (0, 0),
        };
        kept.push(chunk[first]);
        if second != first {
            kept.push(chunk[second]);
        }
    }
    kept
}

/// Draws a rectangle over the full height.
fn block(class: &str, from: f64, to: f64, out: &mut String) {
    write!(
        out,
        "<rect class=\"{class}\" x=\"{from:.1}\" y=\"0\" width=\"{:.1}\" height=\"{HEIGHT}\"/>",
        (to - from).max(1.5)
    )
    .ok();
}

/// Maps values to vertical positions.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// Contains all values, and the band as far as it does not flatten the values.
    fn of(segments: &[Vec<Point>]) -> Self {
        let points = || segments.iter().flatten();
        let (low, high) = extremes(points().map(|point| point.value));
        let (floor, ceiling) = extremes(points().flat_map(|point| [point.lower, point.upper]));
        if low > high {
            return Self {
                low: 0.0,
                high: 1.0,
            };
        }
        let span = if high > low {
            high - low
        } else {
            high.abs().max(1.0)
        };
        let extension = MAX_BAND_EXTENSION * span;
        Self {
            low: low.min(floor.max(low - extension)),
            high: high.max(ceiling.min(high + extension)),
        }
    }

    /// The vertical position of a value; the middle if all values are equal.
    fn y(&self, value: f64) -> f64 {
        HEIGHT - MARGIN - position(value, self.low, self.high) * (HEIGHT - 2.0 * MARGIN)
    }

    /// Writes the highest and the lowest value beside the chart.
    fn draw(&self, out: &mut String) {
        for value in [self.high, self.low] {
            write!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                self.y(value) + 4.0,
                number(value)
            )
            .ok();
            if self.high.total_cmp(&self.low).is_eq() {
                break;
            }
        }
    }
}

/// Draws a polygon for each run of points with a band. A band without a limit on one side reaches
/// the edge of the chart.
fn band(points: &[Point], axis: &Axis, scale: &Scale, out: &mut String) {
    let has_band = |point: &Point| !point.lower.is_nan() || !point.upper.is_nan();
    for run in points.chunk_by(|a, b| has_band(a) == has_band(b)) {
        if run.len() < 2 || !run.iter().all(has_band) {
            continue;
        }
        let y_or = |value: f64, edge: f64| if value.is_nan() { edge } else { scale.y(value) };
        let upper = run.iter().map(|p| (p, y_or(p.upper, 0.0)));
        let lower = run.iter().rev().map(|p| (p, y_or(p.lower, HEIGHT)));
        out.push_str("<polygon class=\"band\" points=\"");
        for (point, y) in upper.chain(lower) {
            write!(out, "{:.1},{y:.1} ", axis.x(point.at)).ok();
        }
        out.push_str("\"/>");
    }
}

/// Draws a line for each run of finite numbers, so that gaps stay visible.
fn line(
    class: &str,
    points: &[Point],
    number: fn(&Point) -> f64,
    axis: &Axis,
    scale: &Scale,
    out: &mut String,
) {
    let is_finite = |point: &Point| number(point).is_finite();
    for run in points.chunk_by(|a, b| is_finite(a) == is_finite(b)) {
        if !run.first().is_some_and(is_finite) {
            continue;
        }
        write!(out, "<polyline class=\"{class}\" points=\"").ok();
        for point in run {
            let y = scale.y(number(point));
            write!(out, "{:.1},{y:.1} ", axis.x(point.at)).ok();
        }
        out.push_str("\"/>");
    }
}

/// Draws a dot for each anomaly, all in one path.
fn dots(points: &[Point], axis: &Axis, scale: &Scale, out: &mut String) {
    let anomalies = points
        .iter()
        .filter(|point| is_anomalous(point) && point.value.is_finite());
    let mut path = String::new();
    for point in anomalies {
        write!(
            path,
            "M{:.1} {:.1}h0",
            axis.x(point.at),
            scale.y(point.value)
        )
        .ok();
    }
    if !path.is_empty() {
        write!(out, "<path class=\"hit\" d=\"{path}\"/>").ok();
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_CHUNKS, draw, segments};
    use crate::cli::backtest::report::axis::Axis;
    use crate::cli::replay::{Judged, Point};
    use crate::judge::State;
    use crate::metric::{Labels, Metric, Timestamp};

    fn judged(values: &[f64]) -> Judged {
        let points = (0..).zip(values).map(|(at, value)| Point {
            at: Timestamp::from_millis(at * 15_000),
            value: *value,
            lower: f64::NAN,
            upper: 1.0,
            score: *value,
            state: if *value > 1.0 {
                State::Anomalous
            } else {
                State::Ok
            },
        });
        Judged {
            rule: "<High>".into(),
            metric: Metric::Custom,
            labels: Labels::empty(),
            points: points.collect(),
        }
    }

    fn svg(values: &[f64]) -> String {
        let judged = judged(values);
        let end = judged.points.last().unwrap().at;
        let mut svg = String::new();
        draw(
            &judged,
            &Axis::new(Timestamp::default(), end),
            &[],
            &mut svg,
        );
        svg
    }

    #[test]
    fn downsampling_keeps_a_spike() {
        let mut values = vec![0.5; 50_000];
        values[31_234] = 9.0;
        let kept = segments(&judged(&values).points);
        assert_eq!(kept.len(), 1);
        let kept = &kept[0];
        assert!(kept.len() <= 2 * MAX_CHUNKS && kept.len() > MAX_CHUNKS / 2);
        assert_eq!(kept.iter().filter(|point| point.value > 1.0).count(), 1);
        assert!(kept.is_sorted_by_key(|point| point.at));
    }

    #[test]
    fn a_missing_value_leaves_a_gap_and_names_are_escaped() {
        let svg = svg(&[0.5, 0.5, f64::NAN, 0.5, 2.0]);
        assert_eq!(svg.matches("class=\"value\"").count(), 2, "{svg}");
        assert_eq!(svg.matches("h0").count(), 1, "{svg}");
        assert!(svg.contains("&lt;High&gt;") && !svg.contains("<High"));
    }

    #[test]
    fn a_period_without_points_is_drawn_as_a_gap_and_as_unknown() {
        let mut judged = judged(&[0.5; 40]);
        judged.points.drain(10..20);
        let mut svg = String::new();
        let axis = Axis::new(Timestamp::default(), judged.points[29].at);
        draw(&judged, &axis, &[], &mut svg);
        assert_eq!(svg.matches("class=\"value\"").count(), 2, "{svg}");
        assert_eq!(svg.matches("class=\"unknown\"").count(), 1, "{svg}");
    }

    #[test]
    fn extreme_and_constant_values_stay_inside_the_chart() {
        for values in [
            [f64::MAX, f64::MIN],
            [5.0, 5.0],
            [0.0, 1e-320],
            [f64::NAN, f64::INFINITY],
        ] {
            let svg = svg(&values);
            let drawn = svg.split("</title>").nth(1).unwrap();
            assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{svg}");
        }
    }
}
