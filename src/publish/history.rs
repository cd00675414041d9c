//! The last values of each signal, kept for the charts.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::snapshot::{Point, Signal, Snapshot};
use crate::metric::{Labels, Timestamp};

/// Points of one signal: an hour at the usual interval of 15 s.
const MAX_POINTS: usize = 240;
/// Signals with a history; more are shown without a chart.
const MAX_SIGNALS: usize = 256;
/// How long the history of a signal outlives the signal, so that a short gap does not empty its chart.
const KEEP: Duration = Duration::from_secs(600);

/// What tells one signal from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    rule: Option<String>,
    metric: Option<String>,
    labels: Labels,
}

/// A bounded ring of points for each signal.
#[derive(Debug, Default)]
pub(super) struct History {
    rings: HashMap<Key, VecDeque<Point>>,
}

impl History {
    /// Adds the snapshot's values and hands each signal its points, oldest first.
    pub(super) fn record(&mut self, snapshot: &mut Snapshot) {
        let at = snapshot.at;
        self.rings
            .retain(|_, ring| ring.back().is_some_and(|last| at.since(last.at) < KEEP));
        for signal in &mut snapshot.signals {
            let key = Key {
                rule: signal.rule.clone(),
                metric: signal.metric.clone(),
                labels: signal.labels.clone(),
            };
            if self.rings.len() >= MAX_SIGNALS && !self.rings.contains_key(&key) {
                continue;
            }
            let ring = self.rings.entry(key).or_default();
            push(ring, point(signal, at));
            signal.points = ring.iter().copied().collect();
        }
    }
}

fn point(signal: &Signal, at: Timestamp) -> Point {
    Point {
        at,
        value: signal.value,
        lower: signal.expected.lower,
        upper: signal.expected.upper,
        score: signal.score,
        state: signal.state,
    }
}

/// A snapshot of the same time replaces the point; one from before it (a clock set back) starts afresh.
fn push(ring: &mut VecDeque<Point>, point: Point) {
    if ring.back().is_some_and(|last| last.at > point.at) {
        ring.clear();
    }
    if ring.back().is_some_and(|last| last.at == point.at) {
        ring.pop_back();
    }
    if ring.len() == MAX_POINTS {
        ring.pop_front();
    }
    ring.push_back(point);
}

#[cfg(test)]
mod tests {
    use super::{History, MAX_POINTS, MAX_SIGNALS};
    use crate::metric::{Labels, Timestamp};
    use crate::publish::{Signal, Snapshot};

    fn snapshot(seconds: f64, signals: usize) -> Snapshot {
        let signal = |index: usize| Signal {
            metric: Some("m".to_owned()),
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
        history.record(&mut next);
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
        history.record(&mut snapshot(300.0, 0));
        assert_eq!(values(&mut history, 400.0).len(), 2);
        history.record(&mut snapshot(1000.0, 0));
        assert_eq!(values(&mut history, 1001.0).len(), 1);
    }

    #[test]
    fn points_and_signals_are_bounded() {
        let mut history = History::default();
        let mut last = snapshot(0.0, 0);
        for second in 0..300_u32 {
            last = snapshot(f64::from(second), MAX_SIGNALS + 10);
            history.record(&mut last);
        }
        assert_eq!(history.rings.len(), MAX_SIGNALS);
        assert_eq!(last.signals[0].points.len(), MAX_POINTS);
        assert!(last.signals[MAX_SIGNALS].points.is_empty());
    }
}
