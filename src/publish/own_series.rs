//! Sidewatch's own series for the query API: what `/metrics` shows of each signal, with the points
//! of its chart, and the alerts of now.

use super::catalogue;
use super::signals::labels_of_signals;
use super::snapshot::{Alert, Point, Snapshot};
use crate::metric::{Labels, Timestamp};
use crate::promql::Samples;
use crate::series::STALE;

/// A family, and what a point says about it; `None` while it is unknown.
type Read = (&'static str, fn(&Point) -> Option<f64>);

const FAMILIES: [Read; 5] = [
    (catalogue::METRIC_VALUE.name, |point| point.value),
    (catalogue::ANOMALY.name, |point| match point.state? {
        "ok" => Some(0.0),
        "anomalous" => Some(1.0),
        _ => None,
    }),
    (catalogue::ANOMALY_SCORE.name, |point| point.score),
    (catalogue::EXPECTED_LOWER.name, |point| point.lower),
    (catalogue::EXPECTED_UPPER.name, |point| point.upper),
];

const ALERTS: &str = "ALERTS";
const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

/// The names of these series.
pub(crate) const OWN_SERIES: [&str; FAMILIES.len() + 2] = [
    FAMILIES[0].0,
    FAMILIES[1].0,
    FAMILIES[2].0,
    FAMILIES[3].0,
    FAMILIES[4].0,
    ALERTS,
    ALERTS_FOR_STATE,
];

/// The series of a snapshot whose signals have their points. A signal without a chart has its
/// present value.
pub(super) fn own_series(snapshot: &Snapshot) -> Vec<(Labels, Samples)> {
    let mut found = Vec::new();
    for (signal, labels) in snapshot.signals.iter().zip(labels_of_signals(snapshot)) {
        let now = Point {
            at: snapshot.at,
            value: signal.current(),
            lower: signal.expected.lower,
            upper: signal.expected.upper,
            score: signal.score,
            state: signal.state,
        };
        let points = if signal.points.is_empty() {
            std::slice::from_ref(&now)
        } else {
            &signal.points
        };
        for (name, read) in FAMILIES {
            let samples = samples(points, read);
            if !samples.is_empty() {
                found.push((labels.with(Labels::NAME, name), samples));
            }
        }
    }
    let alerts = snapshot.alerts.iter();
    found.extend(alerts.flat_map(|alert| of_alert(alert, snapshot.at)));
    found
}

/// The known values. Where one becomes unknown, the series ends, so that nothing takes its last
/// value for the present one.
fn samples(points: &[Point], read: fn(&Point) -> Option<f64>) -> Samples {
    let mut samples = Samples::new();
    let mut known = false;
    for point in points {
        let value = read(point);
        if value.is_some() || known {
            samples.push((point.at, value.unwrap_or(STALE)));
        }
        known = value.is_some();
    }
    samples
}

/// `ALERTS` and `ALERTS_FOR_STATE` of a pending or firing alert, now.
fn of_alert(alert: &Alert, at: Timestamp) -> [(Labels, Samples); 2] {
    let since = alert.active_at.as_secs_f64();
    [
        (
            alert
                .labels
                .with("alertstate", alert.state)
                .with(Labels::NAME, ALERTS),
            vec![(at, 1.0)],
        ),
        (
            alert.labels.with(Labels::NAME, ALERTS_FOR_STATE),
            vec![(at, since)],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::{OWN_SERIES, own_series};
    use crate::metric::{Labels, Timestamp};
    use crate::publish::catalogue;
    use crate::publish::snapshot::Point;
    use crate::publish::{Definition, RuleKind, Signal, Snapshot};
    use crate::series::is_stale;

    fn point(seconds: i64, value: Option<f64>, state: &'static str) -> Point {
        Point {
            at: Timestamp::from_millis(seconds * 1000),
            value,
            state: Some(state),
            ..Point::default()
        }
    }

    fn snapshot() -> Snapshot {
        let signal = |points| Signal {
            rule: Definition::new("g", "R", RuleKind::Watch, Vec::new()).into(),
            labels: Labels::new([("a", "b")]),
            value: Some(3.0),
            points,
            ..Signal::default()
        };
        Snapshot {
            model: Labels::new([("model_id", "m")]),
            signals: vec![signal(vec![
                point(15, Some(1.0), "ok"),
                point(30, None, "insufficient_data"),
                point(45, Some(3.0), "anomalous"),
            ])],
            ..Snapshot::default()
        }
    }

    #[test]
    fn a_signal_has_the_labels_of_metrics_and_ends_where_it_is_unknown() {
        let series = own_series(&snapshot());
        let labels = |name: &str| {
            let pairs = [("model_id", "m"), ("group", "g"), ("rule", "R"), ("a", "b")];
            Labels::named(name, pairs)
        };
        let names: Vec<&Labels> = series.iter().map(|(labels, _)| labels).collect();
        let value = labels(catalogue::METRIC_VALUE.name);
        let anomaly = labels(catalogue::ANOMALY.name);
        assert_eq!(names, [&value, &anomaly]);
        for (_, samples) in &series {
            assert!(is_stale(samples[1].1), "{samples:?}");
        }
        let values = series
            .iter()
            .map(|(_, samples)| (samples[0].1, samples[2].1));
        assert_eq!(values.collect::<Vec<_>>(), [(1.0, 3.0), (0.0, 1.0)]);
    }

    #[test]
    fn signals_that_would_be_one_series_are_told_apart() {
        let mut snapshot = snapshot();
        let copy = snapshot.signals[0].clone();
        snapshot.signals.push(Signal {
            labels: copy.labels.with(Labels::NAME, "other"),
            ..copy
        });
        let series = own_series(&snapshot);
        let labels: std::collections::HashSet<_> =
            series.iter().map(|(labels, _)| labels).collect();
        assert_eq!(labels.len(), series.len());
        assert!(
            series
                .iter()
                .all(|(labels, _)| labels.get("signal").is_some())
        );
        let known = |labels: &Labels| OWN_SERIES.contains(&labels.name().unwrap_or_default());
        assert!(series.iter().all(|(labels, _)| known(labels)));
    }
}
