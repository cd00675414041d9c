//! The JSON API, in Prometheus' shapes where Prometheus has one.

use serde_json::{Value, json};

use super::page::anchor;
use super::snapshot::{Alert, Build, Point, Rule, RuleKind, Snapshot};
use crate::metric::Timestamp;

/// Go's zero time, which Prometheus prints for "never".
const NEVER: &str = "0001-01-01T00:00:00Z";

pub(super) fn success(data: &Value) -> String {
    json!({"status": "success", "data": data}).to_string()
}

pub(super) fn alerts(snapshot: &Snapshot) -> Value {
    json!({"alerts": snapshot.alerts.iter().map(alert).collect::<Vec<_>>()})
}

fn alert(alert: &Alert) -> Value {
    let mut value = json!({
        "labels": alert.labels,
        "annotations": alert.annotations,
        "state": alert.state,
        "activeAt": alert.active_at.to_string(),
        "value": go_float(alert.value),
    });
    if let Some(since) = alert.keep_firing_since {
        value["keepFiringSince"] = since.to_string().into();
    }
    value
}

/// Prometheus prints an alert's value as `%e`-like text with two exponent digits.
fn go_float(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        }
        .to_owned();
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = exponent
                .strip_prefix('-')
                .map_or(("+", exponent), |digits| ("-", digits));
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => text,
    }
}

pub(super) fn rules(snapshot: &Snapshot) -> Value {
    let groups = snapshot.groups.iter().map(|group| {
        json!({
            "name": group.name,
            "file": group.file,
            "interval": group.interval.as_secs_f64(),
            "limit": 0,
            "evaluationTime": group.took.as_secs_f64(),
            "lastEvaluation": time(group.last),
            "rules": group.rules.iter().map(|item| rule(item, snapshot)).collect::<Vec<_>>(),
        })
    });
    json!({"groups": groups.collect::<Vec<_>>()})
}

fn rule(rule: &Rule, snapshot: &Snapshot) -> Value {
    let health = match (rule.last, &rule.error) {
        (None, _) => "unknown",
        (Some(_), None) => "ok",
        (Some(_), Some(_)) => "err",
    };
    let map = |pairs: &[(String, String)]| {
        pairs
            .iter()
            .cloned()
            .map(|(k, v)| (k, Value::from(v)))
            .collect::<serde_json::Map<_, _>>()
    };
    let mut value = json!({
        "name": rule.definition.name,
        "query": rule.definition.query,
        "labels": map(&rule.definition.labels),
        "health": health,
        "evaluationTime": rule.took.as_secs_f64(),
        "lastEvaluation": time(rule.last),
    });
    if let Some(error) = &rule.error {
        value["lastError"] = error.clone().into();
    }
    if rule.definition.kind == RuleKind::Record {
        value["type"] = "recording".into();
        return value;
    }
    let of: Vec<&Alert> = snapshot
        .alerts
        .iter()
        .filter(|alert| alert.rule == rule.definition.name)
        .collect();
    let state = if of.iter().any(|alert| alert.state == "firing") {
        "firing"
    } else if of.is_empty() {
        "inactive"
    } else {
        "pending"
    };
    value["type"] = "alerting".into();
    value["state"] = state.into();
    value["duration"] = rule.definition.hold.as_secs_f64().into();
    value["keepFiringFor"] = rule.definition.keep_firing_for.as_secs_f64().into();
    value["annotations"] = map(&rule.definition.annotations).into();
    value["alerts"] = of.into_iter().map(alert).collect();
    value
}

fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| NEVER.to_owned(), |at| at.to_string())
}

pub(super) fn signals(snapshot: &Snapshot) -> Value {
    let signals = snapshot.signals.iter().map(|signal| {
        json!({
            "id": anchor(signal),
            "rule": signal.rule,
            "metric": signal.metric,
            "kind": signal.kind.as_str(),
            "labels": signal.labels,
            "value": signal.value,
            "state": signal.state,
            "score": signal.score,
            "expected": {"lower": signal.expected.lower, "centre": signal.expected.centre, "upper": signal.expected.upper},
            "why": signal.why,
            "points": signal.points.iter().map(point).collect::<Vec<_>>(),
        })
    });
    json!({"at": snapshot.at.as_secs_f64(), "signals": signals.collect::<Vec<_>>()})
}

fn point(point: &Point) -> Value {
    json!({
        "t": point.at.as_secs_f64(),
        "value": point.value,
        "lower": point.lower,
        "upper": point.upper,
        "score": point.score,
        "state": point.state,
    })
}

/// Prometheus' keys where they mean something here.
pub(super) fn build_info(_: &Snapshot) -> Value {
    json!({"version": Build::VERSION, "revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": ""})
}

pub(super) fn targets(snapshot: &Snapshot) -> Value {
    let targets = snapshot.targets.iter().map(|target| {
        let health = match target.up {
            None => "unknown",
            Some(true) => "up",
            Some(false) => "down",
        };
        json!({
            "scrapeUrl": target.url,
            "labels": target.labels,
            "health": health,
            "lastError": target.error.clone().unwrap_or_default(),
            "lastScrape": time(target.last_scrape),
            "lastScrapeDuration": target.duration.as_secs_f64(),
        })
    });
    json!({"activeTargets": targets.collect::<Vec<_>>(), "droppedTargets": []})
}

#[cfg(test)]
mod tests {
    use super::go_float;

    #[test]
    fn values_print_as_prometheus_prints_them() {
        assert_eq!(go_float(1.0), "1e+00");
        assert_eq!(go_float(0.05), "5e-02");
        assert_eq!(go_float(1234.5), "1.2345e+03");
        assert_eq!(go_float(f64::NAN), "NaN");
    }
}
