//! The last values of each signal, kept for the charts.

use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::definition::{Definition, RuleKind};
use super::snapshot::{Point, STATES, Signal, Snapshot};
use crate::metric::{Keyed, Labels, Timestamp};

/// Maximum number of points of one signal: an hour at the default interval of 15 s.
const MAX_POINTS: usize = 240;
/// The length of a span of the coarse history.
const SPAN_MILLIS: i64 = 300_000;
/// Maximum number of spans of one signal: 24 hours.
const MAX_SPANS: usize = 288;
/// Maximum number of points, and of spans, of all signals, about 3 and 7 MB. More signals have shorter charts.
const BUDGET: usize = 100_000;
/// Maximum number of judged signals with a history.
const MAX_JUDGED: usize = 4_000;
/// Maximum number of metrics that nothing judges with a history.
const MAX_RECORDS: usize = 100;
/// The history of a signal is kept this long after its last value, so that a short gap does not
/// empty the chart.
const RETENTION: Duration = Duration::from_secs(600);

/// The identity of a signal.
#[derive(Debug, Clone)]
struct Key {
    rule: Arc<Definition>,
    labels: Labels,
}

impl Key {
    fn of(signal: &Signal) -> Self {
        Self {
            rule: Arc::clone(&signal.rule),
            labels: signal.labels.clone(),
        }
    }
}

impl PartialEq for Key {
    /// Compares pointers first, so it is cheap between two reloads.
    fn eq(&self, other: &Self) -> bool {
        self.labels == other.labels
            && (Arc::ptr_eq(&self.rule, &other.rule) || self.rule.key == other.rule.key)
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rule.name().hash(state);
        self.labels.hash(state);
    }
}

/// A [`Point`] in a third of its size: NaN means unknown, and band and score have seven digits.
#[derive(Debug, Clone, Copy)]
struct StoredPoint {
    at: Timestamp,
    value: f64,
    lower: f32,
    upper: f32,
    score: f32,
    /// The index in [`STATES`]; its length means no state.
    state: u8,
}

impl StoredPoint {
    fn of(signal: &Signal, at: Timestamp) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a chart needs no more digits"
        )]
        let known = |value: Option<f64>| value.map_or(f32::NAN, |value| value as f32);
        let state = STATES.iter().position(|state| signal.state == Some(state));
        Self {
            at,
            value: signal.current().unwrap_or(f64::NAN),
            lower: known(signal.expected.lower),
            upper: known(signal.expected.upper),
            score: known(signal.score),
            state: u8::try_from(state.unwrap_or(STATES.len())).unwrap_or(u8::MAX),
        }
    }

    fn is_anomalous(self) -> bool {
        STATES.get(usize::from(self.state)) == Some(&"anomalous")
    }

    fn point(self) -> Point {
        let known = |value: f32| Some(f64::from(value)).filter(|value| !value.is_nan());
        Point {
            at: self.at,
            value: Some(self.value).filter(|value| !value.is_nan()),
            lower: known(self.lower),
            upper: known(self.upper),
            score: known(self.score),
            state: STATES.get(usize::from(self.state)).copied(),
        }
    }
}

/// The lowest and the highest value of five minutes, and their last band.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// Its first millisecond, a multiple of [`SPAN_MILLIS`].
    start: i64,
    low: f64,
    high: f64,
    last: StoredPoint,
    is_anomalous: bool,
}

impl Span {
    fn of(point: StoredPoint) -> Self {
        Self {
            start: point.at.as_millis().div_euclid(SPAN_MILLIS) * SPAN_MILLIS,
            low: point.value,
            high: point.value,
            last: point,
            is_anomalous: point.is_anomalous(),
        }
    }

    fn points(&self) -> [Point; 2] {
        let point = self.last.point();
        let at = |share: i64, value: f64| Point {
            at: Timestamp::from_millis(self.start + SPAN_MILLIS * share / 4),
            value: Some(value).filter(|value| !value.is_nan()),
            state: if self.is_anomalous {
                Some("anomalous")
            } else {
                point.state
            },
            ..point
        };
        [at(1, self.low), at(3, self.high)]
    }
}

/// A signal with its last points and the spans of its last 24 hours.
type Chart = (Key, VecDeque<StoredPoint>, VecDeque<Span>);

/// A bounded ring of points for each signal, in the order in which the signals came.
#[derive(Debug, Default)]
pub(super) struct History {
    charts: Vec<Chart>,
    places: HashMap<Key, usize, Keyed>,
    /// How many of the charts are of metrics that nothing judges.
    records: usize,
}

impl History {
    /// Adds the values of a snapshot.
    pub(super) fn record(&mut self, snapshot: &Snapshot) {
        let at = snapshot.at;
        self.forget(at);
        let limit = (BUDGET / self.charts.len().max(1)).min(MAX_POINTS);
        let most = (BUDGET / self.charts.len().max(1)).min(MAX_SPANS);
        // The order of the signals seldom changes between ticks.
        let mut next = 0;
        for signal in &snapshot.signals {
            let expected = self.charts.get(next);
            let place = if expected.is_some_and(|(key, ..)| *key == Key::of(signal)) {
                Some(next)
            } else {
                self.place(signal)
            };
            let Some(place) = place else { continue };
            let (_, ring, spans) = &mut self.charts[place];
            let point = StoredPoint::of(signal, at);
            push(ring, point, limit);
            widen(spans, point, most);
            next = place + 1;
        }
    }

    /// Gives each signal its points, oldest first.
    pub(super) fn fill(&self, signals: &mut [Signal]) {
        for signal in signals {
            if let Some(place) = self.places.get(&Key::of(signal)) {
                let ring = &self.charts[*place].1;
                signal.points = ring.iter().map(|stored| stored.point()).collect();
            }
        }
    }

    /// The last 24 hours of a signal, two points for each span, its lowest and its highest value.
    pub(super) fn day(&self, signal: &Signal) -> Vec<Point> {
        let Some(place) = self.places.get(&Key::of(signal)) else {
            return Vec::new();
        };
        let spans = self.charts[*place].2.iter();
        spans.flat_map(Span::points).collect()
    }

    /// The index of the chart of a signal. A new signal gets one while there are fewer of its kind
    /// than [`MAX_JUDGED`] or [`MAX_RECORDS`].
    fn place(&mut self, signal: &Signal) -> Option<usize> {
        let key = Key::of(signal);
        if let Some(place) = self.places.get(&key) {
            return Some(*place);
        }
        let judged = self.charts.len() - self.records;
        if is_record(&key) {
            if self.records >= MAX_RECORDS {
                return None;
            }
            self.records += 1;
        } else if judged >= MAX_JUDGED {
            return None;
        }
        self.places.insert(key.clone(), self.charts.len());
        self.charts.push((key, VecDeque::new(), VecDeque::new()));
        Some(self.charts.len() - 1)
    }

    /// Drops the charts of signals without a recent value.
    fn forget(&mut self, at: Timestamp) {
        let before = self.charts.len();
        self.charts.retain(|(_, ring, _)| {
            ring.back()
                .is_some_and(|last| at.since(last.at) < RETENTION)
        });
        if self.charts.len() < before {
            let keys = self.charts.iter().map(|(key, ..)| key.clone());
            self.places = keys.zip(0..).collect();
            let records = self.charts.iter().filter(|(key, ..)| is_record(key));
            self.records = records.count();
        }
    }
}

/// Adds a point to the span of its time. An earlier one (a clock set back) starts a new day.
fn widen(spans: &mut VecDeque<Span>, point: StoredPoint, most: usize) {
    let fresh = Span::of(point);
    if spans.back().is_some_and(|last| last.start > fresh.start) {
        spans.clear();
    }
    if let Some(last) = spans.back_mut().filter(|last| last.start == fresh.start) {
        // The lower and the higher of a number and NaN is the number.
        last.low = last.low.min(point.value);
        last.high = last.high.max(point.value);
        last.last = point;
        last.is_anomalous |= fresh.is_anomalous;
        return;
    }
    while spans.len() >= most.max(1) {
        spans.pop_front();
    }
    spans.push_back(fresh);
}

fn is_record(key: &Key) -> bool {
    key.rule.kind == RuleKind::Record
}

/// A point of the same time replaces the last one; an earlier one (a clock set back) starts a new
/// chart. A gap has two points, its first and its last, so that it never pushes the values before
/// it out of the chart.
fn push(ring: &mut VecDeque<StoredPoint>, point: StoredPoint, limit: usize) {
    if ring.back().is_some_and(|last| last.at > point.at) {
        ring.clear();
    }
    if ring.back().is_some_and(|last| last.at == point.at) {
        ring.pop_back();
    }
    let is_gap = |other: Option<&StoredPoint>| {
        other.is_some_and(|other| other.value.is_nan() && other.state == point.state)
    };
    let before_last = ring.len().checked_sub(2).and_then(|index| ring.get(index));
    if point.value.is_nan() && is_gap(ring.back()) && is_gap(before_last) {
        ring.pop_back();
    }
    while ring.len() >= limit.max(2) {
        ring.pop_front();
    }
    ring.push_back(point);
}

#[cfg(test)]
mod tests {
    use super::{BUDGET, History, MAX_POINTS, MAX_RECORDS};
    use crate::metric::{Labels, Timestamp};
    use crate::publish::{Definition, RuleKind, Signal, Snapshot};

    fn snapshot(seconds: f64, signals: usize) -> Snapshot {
        let signal = |index: usize| Signal {
            labels: Labels::new([("i", index.to_string())]),
            value: Some(seconds),
            ..Signal::default()
        };
        Snapshot {
            at: Timestamp::from_secs_f64(seconds),
            signals: (0..signals).map(signal).collect(),
            ..Snapshot::default()
        }
    }

    fn values(history: &mut History, seconds: f64) -> Vec<f64> {
        let mut next = snapshot(seconds, 1);
        history.record(&next);
        history.fill(&mut next.signals);
        let points = &next.signals[0].points;
        points.iter().filter_map(|point| point.value).collect()
    }

    #[test]
    fn points_come_oldest_first_and_one_for_each_time() {
        let mut history = History::default();
        values(&mut history, 15.0);
        values(&mut history, 30.0);
        assert_eq!(values(&mut history, 30.0), [15.0, 30.0]);
    }

    #[test]
    fn a_clock_set_back_starts_a_new_chart() {
        let mut history = History::default();
        values(&mut history, 30.0);
        assert_eq!(values(&mut history, 15.0), [15.0]);
    }

    #[test]
    fn a_chart_survives_a_short_gap_and_not_a_long_one() {
        let mut history = History::default();
        values(&mut history, 0.0);
        history.record(&snapshot(300.0, 0));
        assert_eq!(values(&mut history, 400.0).len(), 2);
        history.record(&snapshot(1000.0, 0));
        assert_eq!(values(&mut history, 1001.0).len(), 1);
    }

    fn with_rule(mut snapshot: Snapshot, kind: RuleKind, name: &str) -> Snapshot {
        let rule = std::sync::Arc::new(Definition::new("", name, kind, Vec::new()));
        for signal in &mut snapshot.signals {
            signal.rule = std::sync::Arc::clone(&rule);
        }
        snapshot
    }

    #[test]
    fn judged_signals_of_any_number_have_points_and_all_points_together_are_bounded() {
        let mut history = History::default();
        let (records, judged) = (400, 600);
        let mut last = Snapshot::default();
        for second in 0..300_u32 {
            let at = |count| snapshot(f64::from(second), count);
            last = with_rule(at(records), RuleKind::Record, "r");
            let watched = with_rule(at(judged), RuleKind::Watch, "w");
            last.signals.extend(watched.signals);
            history.record(&last);
        }
        history.fill(&mut last.signals);
        let lengths: Vec<usize> = last.signals.iter().map(|s| s.points.len()).collect();
        assert!(lengths[records..].iter().all(|length| *length > 100));
        let charted = lengths[..records].iter().filter(|length| **length > 0);
        assert_eq!(charted.count(), MAX_RECORDS);
        assert!(lengths.iter().all(|length| *length <= MAX_POINTS));
        assert!(lengths.iter().sum::<usize>() <= BUDGET);
    }

    #[test]
    fn a_day_has_the_lowest_and_the_highest_value_of_every_five_minutes() {
        let mut history = History::default();
        let mut last = Snapshot::default();
        // 30 hours of one point a minute; the value is the minute within its span.
        for minute in 0..1800_u32 {
            last = snapshot(f64::from(minute) * 60.0, 1);
            last.signals[0].value = Some(f64::from(minute % 5));
            history.record(&last);
        }
        let day = history.day(&last.signals[0]);
        assert_eq!(day.len(), 576);
        let hours = day[575].at.since(day[0].at).as_secs_f64() / 3600.0;
        assert!((23.9..=24.0).contains(&hours), "{hours}");
        for pair in day.chunks(2) {
            assert_eq!([pair[0].value, pair[1].value], [Some(0.0), Some(4.0)]);
        }
    }

    #[test]
    fn a_long_gap_keeps_the_values_before_it() {
        let mut history = History::default();
        values(&mut history, 0.0);
        values(&mut history, 1.0);
        let mut last = Snapshot::default();
        for second in 2..1000_u32 {
            last = snapshot(f64::from(second), 1);
            last.signals[0].value = None;
            last.signals[0].state = Some("stale");
            history.record(&last);
        }
        history.fill(&mut last.signals);
        let points = last.signals[0].points.iter();
        let shown: Vec<_> = points.map(|p| (p.at.as_secs_f64(), p.value)).collect();
        let expected = [
            (0.0, Some(0.0)),
            (1.0, Some(1.0)),
            (2.0, None),
            (999.0, None),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn signals_that_come_in_another_order_keep_their_points() {
        let mut history = History::default();
        history.record(&snapshot(1.0, 3));
        let mut turned = snapshot(2.0, 3);
        turned.signals.reverse();
        turned.signals[0].value = None;
        turned.signals[0].state = Some("idle");
        history.record(&turned);
        history.fill(&mut turned.signals);
        let values = |index: usize| -> Vec<Option<f64>> {
            let points = &turned.signals[index].points;
            points.iter().map(|point| point.value).collect()
        };
        assert_eq!(values(0), [Some(1.0), None]);
        assert_eq!(turned.signals[0].points[1].state, Some("idle"));
        assert_eq!(values(2), [Some(1.0), Some(2.0)]);
    }

    #[test]
    fn after_charts_were_forgotten_the_others_are_found() {
        let mut history = History::default();
        history.record(&snapshot(0.0, 2));
        let mut one = snapshot(500.0, 2);
        one.signals.remove(0);
        history.record(&one);
        let mut last = snapshot(900.0, 2);
        history.record(&last);
        history.fill(&mut last.signals);
        let counts: Vec<usize> = last.signals.iter().map(|s| s.points.len()).collect();
        assert_eq!(counts, [1, 3]);
    }
}
