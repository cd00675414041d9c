//! The output of `--format json`: one object, serialized while it is written.

use std::io;

use serde::ser::{SerializeSeq as _, SerializeStruct as _};
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use super::compare::{Comparison, Pair};
use crate::cli::delivery_log::Delivery;
use crate::cli::replay::{Fired, Judged, Point, Replay};
use crate::metric::Timestamp;

/// Prints the object.
pub(super) fn print(
    out: &mut dyn io::Write,
    replay: &Replay,
    comparison: Option<&Comparison<'_>>,
) -> io::Result<()> {
    let output = Output { replay, comparison };
    serde_json::to_writer(io::BufWriter::with_capacity(1 << 16, &mut *out), &output)?;
    writeln!(out)
}

struct Output<'a> {
    replay: &'a Replay,
    comparison: Option<&'a Comparison<'a>>,
}

impl Serialize for Output<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let replay = self.replay;
        let mut output = to.serialize_struct("Backtest", 9)?;
        output.serialize_field("alerts", &alerts(replay.fired.iter()))?;
        output.serialize_field("signals", &Signals(&replay.judged))?;
        output.serialize_field("deliveries", &deliveries(replay))?;
        output.serialize_field("steps", &replay.scrapes)?;
        output.serialize_field("start", &replay.span.map(|(first, _)| seconds(first)))?;
        output.serialize_field("end", &replay.span.map(|(_, last)| seconds(last)))?;
        output.serialize_field("silent", &replay.silent)?;
        output.serialize_field("unjudged", &replay.unjudged)?;
        output.serialize_field("failed_scrapes", &replay.failed.count)?;
        if let Some(comparison) = self.comparison {
            output.serialize_field("comparison", &compare(comparison))?;
        }
        output.end()
    }
}

fn alerts<'a>(fired: impl Iterator<Item = &'a Fired>) -> Vec<Json> {
    fired.map(alert).collect()
}

fn alert(fired: &Fired) -> Json {
    let alert = &fired.alert;
    let explanation = alert.explanation.as_ref();
    json!({
        "rule": &*alert.rule,
        "labels": alert.labels,
        "pending_at": seconds(alert.active_at),
        "fired_at": alert.fired_at.map(seconds),
        "resolved_at": fired.resolved_at.map(seconds),
        "resolved": fired.resolved,
        "value": finite(alert.value),
        "score": explanation.and_then(|explanation| explanation.score).and_then(finite),
        "why": explanation.map_or_else(|| alert.summary(), |explanation| explanation.why.clone()),
        "summary": alert.summary(),
    })
}

fn deliveries(replay: &Replay) -> Vec<Json> {
    replay
        .deliveries
        .iter()
        .map(|delivery| match delivery {
            Delivery::Alert {
                alert,
                at,
                times,
                last_at,
            } => json!({
                "at": seconds(*at),
                "receiver": "alertmanager",
                "rule": &*alert.rule,
                "labels": alert.labels,
                "state": alert.state.as_str(),
                "times": times,
                "last_at": seconds(*last_at),
            }),
            Delivery::Retrain { request, to } => json!({
                "at": seconds(request.requested_at),
                "receiver": to,
                "rule": request.rule,
                "labels": request.labels,
                "id": request.id,
                "reason": request.reason,
            }),
        })
        .collect()
}

fn compare(comparison: &Comparison<'_>) -> Json {
    let (before, after) = (comparison.before, comparison.after);
    let pairs = |pairs: &[Pair<'_>]| -> Vec<Json> {
        pairs
            .iter()
            .map(|pair| json!({"before": alert(pair.before), "after": alert(pair.after)}))
            .collect()
    };
    json!({
        "only_before": alerts(comparison.only_before.iter().copied()),
        "only_after": alerts(comparison.only_after.iter().copied()),
        "moved": pairs(&comparison.moved),
        "relabelled": pairs(&comparison.relabelled),
        "unchanged": comparison.unchanged,
        "alerts": {"before": before.fired.len(), "after": after.fired.len()},
        "posts": {"before": before.posts(), "after": after.posts()},
        "retraining_requests": {"before": before.requests(), "after": after.requests()},
        "deliveries": deliveries(after),
    })
}

struct Signals<'a>(&'a [Judged]);

impl Serialize for Signals<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(self.0.len()))?;
        for judged in self.0 {
            list.serialize_element(&Signal(judged))?;
        }
        list.end()
    }
}

struct Signal<'a>(&'a Judged);

impl Serialize for Signal<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Judged {
            rule,
            metric,
            labels,
            points,
        } = self.0;
        let mut signal = to.serialize_struct("Signal", 4)?;
        signal.serialize_field("rule", &**rule)?;
        signal.serialize_field("metric", &metric.to_string())?;
        signal.serialize_field("labels", labels)?;
        signal.serialize_field("points", &Points(points))?;
        signal.end()
    }
}

struct Points<'a>(&'a [Point]);

impl Serialize for Points<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(Row))
    }
}

struct Row<'a>(&'a Point);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let point = self.0;
        let mut row = to.serialize_struct("Point", 6)?;
        row.serialize_field("t", &seconds(point.at))?;
        row.serialize_field("value", &finite(point.value))?;
        row.serialize_field("lower", &finite(point.lower))?;
        row.serialize_field("upper", &finite(point.upper))?;
        row.serialize_field("score", &finite(point.score))?;
        row.serialize_field("state", point.state.as_str())?;
        row.end()
    }
}

fn seconds(at: Timestamp) -> f64 {
    at.as_secs_f64()
}

/// The value, or null: JSON has no NaN and no infinity.
fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite())
}
