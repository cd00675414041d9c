//! One signal over the whole replay: value, expected band, what was unknown, when an alert fired.

use std::fmt::Write as _;
use std::time::Duration;

use super::axis::{Axis, LEFT, WIDTH};
use crate::cli::replay::{Judged, Point};
use crate::judge::State;
use crate::metric::Timestamp;
use crate::publish::{escape, extremes, number, position};

const HEIGHT: f64 = 150.0;
/// Room above the highest and below the lowest value.
const MARGIN: f64 = 8.0;
/// Pieces into which a long history is cut; each shows its lowest and its highest value.
const PIECES: usize = 600;
/// How many times the span of the values the band may take.
const BAND_ROOM: f64 = 2.0;

/// Draws a signal; `firing` are the times at which its alert fired and ended.
pub(super) fn draw(
    judged: &Judged,
    axis: &Axis,
    firing: &[(Timestamp, Timestamp)],
    out: &mut String,
) {
    let stretches = stretches(&judged.points);
    let scale = Scale::of(&stretches);
    // Writing to a String cannot fail, here and below.
    write!(
        out,
        "<div class=\"scroll\"><svg viewBox=\"0 -2 {WIDTH} {:.0}\" role=\"img\"><title>{}</title>",
        HEIGHT + 24.0,
        escape(&words(judged))
    )
    .ok();
    unknown(&stretches, axis, out);
    for (from, to) in firing {
        block("firing", axis.x(*from), axis.x(*to), out);
    }
    axis.draw(HEIGHT, out);
    for points in &stretches {
        band(points, axis, &scale, out);
        line("edge", points, |point| point.lower, (axis, &scale), out);
        line("edge", points, |point| point.upper, (axis, &scale), out);
        line("value", points, |point| point.value, (axis, &scale), out);
        dots(points, axis, &scale, out);
    }
    scale.draw(out);
    out.push_str("</svg></div>");
}

/// What was warming up, had too little behind it, or was not there at all.
fn unknown(stretches: &[Vec<Point>], axis: &Axis, out: &mut String) {
    for points in stretches {
        for run in points.chunk_by(|a, b| is_unknown(a) == is_unknown(b)) {
            if let [first, .., last] = run
                && is_unknown(first)
            {
                block("unknown", axis.x(first.at), axis.x(last.at), out);
            }
        }
    }
    for pair in stretches.windows(2) {
        if let (Some(last), Some(first)) = (pair[0].last(), pair[1].first()) {
            block("unknown", axis.x(last.at), axis.x(first.at), out);
        }
    }
}

/// The chart in a sentence.
fn words(judged: &Judged) -> String {
    let anomalous = judged.points.iter().filter(|p| is_anomalous(p)).count();
    let values = judged.points.iter().map(|point| point.value);
    let (low, high) = extremes(values);
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
    match point.state {
        State::Anomalous => true,
        State::Frozen => point.score > 1.0,
        State::Ok | State::WarmingUp | State::InsufficientData | State::Stale | State::Idle => {
            false
        }
    }
}

/// Unknown is never shown as normal.
fn is_unknown(point: &Point) -> bool {
    matches!(
        point.state,
        State::WarmingUp | State::InsufficientData | State::Stale | State::Idle
    )
}

/// The points without holes between them, thinned where they are many.
fn stretches(points: &[Point]) -> Vec<Vec<Point>> {
    let distance = |a: &Point, b: &Point| b.at.since(a.at);
    let mut distances: Vec<Duration> = points.windows(2).map(|p| distance(&p[0], &p[1])).collect();
    let middle = distances.len() / 2;
    let usual = match distances.is_empty() {
        true => Duration::ZERO,
        false => *distances.select_nth_unstable(middle).1,
    };
    let piece = points.len().div_ceil(PIECES);
    points
        .chunk_by(|a, b| distance(a, b) <= usual * 2)
        .map(|stretch| thinned(stretch, piece))
        .collect()
}

/// The lowest and the highest point of each piece, so that no spike is lost.
fn thinned(points: &[Point], piece: usize) -> Vec<Point> {
    if piece <= 2 {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(2 * PIECES);
    for piece in points.chunks(piece) {
        let known = piece
            .iter()
            .enumerate()
            .filter(|(_, p)| p.value.is_finite());
        let order = |a: &(usize, &Point), b: &(usize, &Point)| a.1.value.total_cmp(&b.1.value);
        let (low, high) = (known.clone().min_by(order), known.max_by(order));
        let (low, high) = match (low, high) {
            (Some((low, _)), Some((high, _))) => (low.min(high), low.max(high)),
            _ => (0, 0),
        };
        kept.push(piece[low]);
        if high != low {
            kept.push(piece[high]);
        }
    }
    kept
}

fn block(class: &str, from: f64, to: f64, out: &mut String) {
    write!(
        out,
        "<rect class=\"{class}\" x=\"{from:.1}\" y=\"0\" width=\"{:.1}\" height=\"{HEIGHT}\"/>",
        (to - from).max(1.5)
    )
    .ok();
}

/// From values to heights.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// All values, and as much of the band as does not squeeze them.
    fn of(stretches: &[Vec<Point>]) -> Self {
        let points = || stretches.iter().flatten();
        let (low, high) = extremes(points().map(|point| point.value));
        let bands = points().flat_map(|point| [point.lower, point.upper]);
        let (floor, ceiling) = extremes(bands);
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
        let room = BAND_ROOM * span;
        Self {
            low: low.min(floor.max(low - room)),
            high: high.max(ceiling.min(high + room)),
        }
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - MARGIN - position(value, self.low, self.high) * (HEIGHT - 2.0 * MARGIN)
    }

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

/// One polygon for each run of points with a band; an open side reaches the edge.
fn band(points: &[Point], axis: &Axis, scale: &Scale, out: &mut String) {
    let has_band = |point: &Point| !point.lower.is_nan() || !point.upper.is_nan();
    for run in points.chunk_by(|a, b| has_band(a) == has_band(b)) {
        if run.len() < 2 || !run.iter().all(has_band) {
            continue;
        }
        let known = |value: f64, open: f64| if value.is_nan() { open } else { scale.y(value) };
        let upper = run.iter().map(|p| (p, known(p.upper, 0.0)));
        let lower = run.iter().rev().map(|p| (p, known(p.lower, HEIGHT)));
        out.push_str("<polygon class=\"band\" points=\"");
        for (point, y) in upper.chain(lower) {
            write!(out, "{:.1},{y:.1} ", axis.x(point.at)).ok();
        }
        out.push_str("\"/>");
    }
}

/// One line for each run of known numbers, so that a gap is seen as a gap.
fn line(
    class: &str,
    points: &[Point],
    of: fn(&Point) -> f64,
    (axis, scale): (&Axis, &Scale),
    out: &mut String,
) {
    for run in points.chunk_by(|a, b| of(a).is_finite() == of(b).is_finite()) {
        if !run.first().is_some_and(|point| of(point).is_finite()) {
            continue;
        }
        write!(out, "<polyline class=\"{class}\" points=\"").ok();
        for point in run {
            write!(out, "{:.1},{:.1} ", axis.x(point.at), scale.y(of(point))).ok();
        }
        out.push_str("\"/>");
    }
}

/// A dot for each anomaly, all in one path.
fn dots(points: &[Point], axis: &Axis, scale: &Scale, out: &mut String) {
    let hits = points
        .iter()
        .filter(|p| is_anomalous(p) && p.value.is_finite());
    let mut path = String::new();
    for point in hits {
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
    use super::{PIECES, draw, stretches};
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
            &Axis::new((Timestamp::default(), end)),
            &[],
            &mut svg,
        );
        svg
    }

    #[test]
    fn a_spike_survives_thinning() {
        let mut values = vec![0.5; 50_000];
        values[31_234] = 9.0;
        let kept = stretches(&judged(&values).points);
        assert_eq!(kept.len(), 1);
        let kept = &kept[0];
        assert!(kept.len() <= 2 * PIECES && kept.len() > PIECES / 2);
        assert_eq!(kept.iter().filter(|point| point.value > 1.0).count(), 1);
        assert!(kept.is_sorted_by_key(|point| point.at));
    }

    #[test]
    fn a_gap_is_a_gap_and_names_are_escaped() {
        let svg = svg(&[0.5, 0.5, f64::NAN, 0.5, 2.0]);
        assert_eq!(svg.matches("class=\"value\"").count(), 2, "{svg}");
        assert_eq!(svg.matches("h0").count(), 1, "{svg}");
        assert!(svg.contains("&lt;High&gt;") && !svg.contains("<High"));
    }

    #[test]
    fn a_time_without_points_is_a_hole_and_unknown() {
        let mut judged = judged(&[0.5; 40]);
        judged.points.drain(10..20);
        let mut svg = String::new();
        let axis = Axis::new((Timestamp::default(), judged.points[29].at));
        draw(&judged, &axis, &[], &mut svg);
        assert_eq!(svg.matches("class=\"value\"").count(), 2, "{svg}");
        assert_eq!(svg.matches("class=\"unknown\"").count(), 1, "{svg}");
    }

    #[test]
    fn extreme_and_flat_values_stay_inside() {
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
