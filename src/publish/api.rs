//! The JSON API, in Prometheus' shapes where Prometheus has one.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::definition::{RuleKey, RuleKind};
use super::events::{Event, events_of};
use super::page::anchor;
use super::query::Query;
use super::shared::Shared;
use super::snapshot::{Alert, Point, Rule, Signal, Snapshot};
use super::status;
use crate::metric::{Timestamp, format_duration};

/// Go's zero time, which Prometheus prints for "never".
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The data behind a path, or why there is none; `None` when there is no such path.
pub(super) fn data(path: &str, query: &Query, shared: &Shared) -> Option<Result<Value, String>> {
    let snapshot = shared.snapshot();
    let found = match path {
        "/api/v1/rules" => rules(query, &snapshot),
        "/api/v1/alerts" => Ok(alerts(&snapshot)),
        "/api/v1/signals" => Ok(signals(&shared.charted())),
        "/api/v1/events" => Ok(events(&shared.charted())),
        "/api/v1/targets" | "/api/v1/status/targets" => targets(query, &snapshot),
        "/api/v1/metadata" => status::metadata(query),
        // Samples are stored without exemplars.
        "/api/v1/query_exemplars" => Ok(json!([])),
        "/api/v1/status/buildinfo" => Ok(status::build_info()),
        "/api/v1/status/runtimeinfo" => Ok(status::runtime_info(&snapshot)),
        "/api/v1/status/flags" => Ok(status::flags(&snapshot)),
        "/api/v1/status/config" => Ok(configuration(&snapshot)),
        _ => return None,
    };
    Some(found)
}

pub(super) fn success(data: &Value) -> String {
    json!({"status": "success", "data": data}).to_string()
}

pub(super) fn error(kind: &str, message: &str) -> String {
    json!({"status": "error", "errorType": kind, "error": message}).to_string()
}

/// One of a few words, or none; Prometheus' own text when it is another.
fn word<'a>(query: &'a Query, name: &'a str, known: &[&str]) -> Result<&'a str, String> {
    let word = query.all(name).next().unwrap_or("");
    if word.is_empty() || known.contains(&word.to_ascii_lowercase().as_str()) {
        return Ok(word);
    }
    Err(format!(
        "invalid parameter {name:?}: not supported value {word:?}; one of {}",
        known.join(", ")
    ))
}

fn alerts(snapshot: &Snapshot) -> Value {
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

fn rules(query: &Query, snapshot: &Snapshot) -> Result<Value, String> {
    let kind = word(query, "type", &["alert", "record"])?.to_ascii_lowercase();
    let exclude = word(query, "exclude_alerts", &["true", "false"])? == "true";
    let wanted = |rule: &Rule| {
        let is_record = rule.definition.kind == RuleKind::Record;
        (kind.is_empty() || is_record == (kind == "record"))
            && query.admits("rule_name[]", rule.definition.name())
    };
    let mut active: HashMap<&RuleKey, Vec<&Alert>> = HashMap::new();
    for alert in &snapshot.alerts {
        active.entry(&alert.rule.key).or_default().push(alert);
    }
    let mut groups = Vec::new();
    for group in &snapshot.groups {
        if !query.admits("rule_group[]", &group.name) || !query.admits("file[]", &group.file) {
            continue;
        }
        let rules: Vec<Value> = group
            .rules
            .iter()
            .filter(|item| wanted(item))
            .map(|item| {
                let key = &item.definition.key;
                let active = active.get(key).map_or(&[][..], Vec::as_slice);
                rule(item, active, exclude)
            })
            .collect();
        if rules.is_empty() {
            continue;
        }
        let shown = json!({
            "name": group.name,
            "file": group.file,
            "interval": seconds(group.interval),
            "limit": group.limit,
            "evaluationTime": seconds(group.took),
            "lastEvaluation": time(group.last),
            "rules": rules,
        });
        groups.push(((&group.file, &group.name), shown));
    }
    groups.sort_by_key(|(place, _)| *place);
    let groups: Vec<Value> = groups.into_iter().map(|(_, group)| group).collect();
    Ok(json!({ "groups": groups }))
}

fn rule(rule: &Rule, active: &[&Alert], exclude_alerts: bool) -> Value {
    let health = match (rule.last, &rule.error) {
        _ if rule.unsupported.is_some() => "unsupported",
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
        "name": rule.definition.name(),
        "query": rule.definition.query,
        "health": health,
        "evaluationTime": seconds(rule.took),
        "lastEvaluation": time(rule.last),
    });
    // Prometheus leaves out what a record does not have.
    if rule.definition.kind != RuleKind::Record || !rule.definition.labels.is_empty() {
        value["labels"] = map(&rule.definition.labels).into();
    }
    if let Some(why) = rule.problem() {
        value["lastError"] = why.into();
    }
    if rule.definition.kind == RuleKind::Record {
        value["type"] = "recording".into();
        return value;
    }
    let state = if active.iter().any(|alert| alert.state == "firing") {
        "firing"
    } else if active.is_empty() {
        "inactive"
    } else {
        "pending"
    };
    value["type"] = "alerting".into();
    value["state"] = state.into();
    value["duration"] = seconds(rule.definition.hold);
    value["keepFiringFor"] = seconds(rule.definition.keep_firing_for);
    value["annotations"] = map(&rule.definition.annotations).into();
    if !exclude_alerts {
        value["alerts"] = active.iter().copied().map(alert).collect();
    }
    value
}

/// A whole number of seconds is printed as Go prints it, without a fraction.
fn seconds(duration: Duration) -> Value {
    if duration.subsec_nanos() == 0 {
        duration.as_secs().into()
    } else {
        duration.as_secs_f64().into()
    }
}

fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| NEVER.to_owned(), |at| at.to_string())
}

fn signals(snapshot: &Snapshot) -> Value {
    let signals = snapshot.signals.iter().map(one_signal);
    json!({"at": snapshot.at.as_secs_f64(), "signals": signals.collect::<Vec<_>>()})
}

fn one_signal(signal: &Signal) -> Value {
    json!({
        "id": anchor(signal),
        "group": signal.rule.key.group,
        "rule": signal.watch(),
        "rule_id": signal.rule.key.id(),
        "rule_labels": signal.rule.key.labels,
        "metric": signal.metric(),
        "kind": signal.kind.as_str(),
        "labels": signal.labels.without_name(),
        "value": signal.value,
        "since": signal.since.map(Timestamp::as_secs_f64),
        "state": signal.state,
        "score": signal.score,
        "expected": {"lower": signal.expected.lower, "centre": signal.expected.centre, "upper": signal.expected.upper},
        "why": signal.why,
        "release": signal.release.as_ref().map(|release| json!({
            "from": release.from,
            "result": release.result,
        })),
        "incident": signal.incident.map(|incident| json!({
            "since": incident.since.to_string(),
            "usual": incident.usual,
        })),
        "points": signal.points.iter().map(point).collect::<Vec<_>>(),
    })
}

/// One signal with its last 24 hours and what happened to its rule.
pub(super) fn signal(snapshot: &Snapshot, signal: &Signal, day: &[Point]) -> Value {
    let events = events_of(snapshot, signal).map(event);
    json!({
        "signal": one_signal(signal),
        "day": day.iter().map(point).collect::<Vec<_>>(),
        "events": events.collect::<Vec<_>>(),
    })
}

/// What happened, oldest first.
fn events(snapshot: &Snapshot) -> Value {
    let events = snapshot.events.iter().map(event);
    json!({"events": events.collect::<Vec<_>>()})
}

fn event(event: &Event) -> Value {
    let rule = event.rule.as_ref();
    json!({
        "at": event.at.to_string(),
        "kind": event.kind,
        "text": event.text,
        "rule": rule.map(|(name, _)| name),
        "rule_id": rule.map(|(_, id)| id),
    })
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

/// The configuration file as `yaml`, as Prometheus has it, and all files by name; no secrets.
fn configuration(snapshot: &Snapshot) -> Value {
    let main = snapshot.sources.iter().find(|source| source.is_settings);
    let files = snapshot
        .sources
        .iter()
        .map(|source| json!({"file": source.file, "text": source.text}));
    json!({
        "yaml": main.map_or("", |source| source.text.as_str()),
        "files": files.collect::<Vec<_>>(),
        "hash": snapshot.config_hash,
        "lastReloadSuccessful": snapshot.reload.error.is_none(),
        "lastReloadError": snapshot.reload.error.as_deref().unwrap_or(""),
    })
}

fn targets(query: &Query, snapshot: &Snapshot) -> Result<Value, String> {
    let state = word(query, "state", &["active", "dropped", "any"])?;
    if state.eq_ignore_ascii_case("dropped") {
        return Ok(json!({"activeTargets": [], "droppedTargets": []}));
    }
    let targets = snapshot.targets.iter().map(|target| {
        let health = match target.up {
            None => "unknown",
            Some(true) => "up",
            Some(false) => "down",
        };
        json!({
            "discoveredLabels": {},
            "labels": target.labels,
            "scrapePool": target.labels.get("job").unwrap_or("sidewatch"),
            "scrapeUrl": target.url,
            "globalUrl": target.url,
            "lastError": target.error.as_deref().unwrap_or(""),
            "lastScrape": time(target.last_scrape),
            "lastScrapeDuration": seconds(target.duration),
            "health": health,
            "idle": target.idle,
            "scrapeInterval": format_duration(snapshot.interval),
            "scrapeTimeout": format_duration(snapshot.timeout),
        })
    });
    let discovery = snapshot.discovery.as_ref().map(|discovery| {
        let state = match discovery.targets {
            None => "unknown",
            Some(0) => "idle",
            Some(_) => "found",
        };
        json!({
            "name": discovery.name,
            "state": state,
            "targets": discovery.targets,
            "lookups": discovery.lookups,
            "failures": discovery.failures,
            "lastError": discovery.error.as_deref().unwrap_or(""),
        })
    });
    Ok(
        json!({"activeTargets": targets.collect::<Vec<_>>(), "droppedTargets": [], "discovery": discovery}),
    )
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
