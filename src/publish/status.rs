//! What the process is and how it runs, in Prometheus' shapes.

use serde_json::{Map, Value, json};

use super::query::Query;
use super::snapshot::{Build, Snapshot};
use super::{catalogue, process};
use crate::metric::{Timestamp, format_duration};
use crate::runtime::{clock, host_name};

/// Prometheus' keys where they mean something here. `application` tells clients that the version is
/// not one of Prometheus.
pub(super) fn build_info() -> Value {
    json!({
        "application": "Sidewatch", "version": Build::VERSION,
        "revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": "",
    })
}

/// The state of the process.
pub(super) fn runtime_info(snapshot: &Snapshot) -> Value {
    let started = process::started().map(Timestamp::from_secs_f64);
    json!({
        "startTime": started.unwrap_or_default().to_string(),
        "serverTime": clock::now().to_string(),
        "hostname": host_name(),
        "CWD": "",
        "reloadConfigSuccess": snapshot.reload.error.is_none(),
        "lastConfigTime": snapshot.reload.succeeded_at.to_string(),
        "corruptionCount": 0,
        "goroutineCount": 0,
        "GOMAXPROCS": 0,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": format_duration(snapshot.window),
    })
}

/// Settings that Prometheus has as flags, as they are in force.
pub(super) fn flags(snapshot: &Snapshot) -> Value {
    json!({
        "scrape.interval": format_duration(snapshot.interval),
        "scrape.timeout": format_duration(snapshot.timeout),
        "storage.retention": format_duration(snapshot.retention),
    })
}

/// Type and text of Sidewatch's own families; the targets' are not stored.
///
/// # Errors
/// A limit that is no number.
pub(super) fn metadata(query: &Query) -> Result<Value, String> {
    let limit = match query.first("limit").filter(|text| !text.is_empty()) {
        Some(text) => text
            .parse::<i64>()
            .map_err(|_| "limit must be a number".to_owned())?,
        None => -1,
    };
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let wanted = query.first("metric").filter(|name| !name.is_empty());
    let families = catalogue::all().filter(|family| wanted.is_none_or(|name| name == family.name));
    let shown = families.take(most).map(|family| {
        let about = json!([{"type": family.kind.as_str(), "help": family.help, "unit": ""}]);
        (family.name.to_owned(), about)
    });
    Ok(shown.collect::<Map<_, _>>().into())
}

#[cfg(test)]
mod tests {
    use super::{Query, metadata};

    #[test]
    fn metadata_can_be_asked_for_one_metric_or_a_few() {
        let found = |text: &str| metadata(&Query::parse(Some(text)));
        let one = found("metric=sidewatch_anomaly").unwrap();
        assert_eq!(one.as_object().unwrap().len(), 1);
        assert_eq!(one["sidewatch_anomaly"][0]["type"], "gauge");
        assert_eq!(found("limit=3").unwrap().as_object().unwrap().len(), 3);
        assert!(found("limit=-1").unwrap().as_object().unwrap().len() > 3);
        assert!(
            found("metric=nothing")
                .unwrap()
                .as_object()
                .unwrap()
                .is_empty()
        );
        assert!(found("limit=few").is_err());
    }
}
