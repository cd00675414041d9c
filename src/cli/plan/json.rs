//! The output of `--format json`.

use std::io::{self, Write};

use serde_json::json;

use super::planned::Planned;
use crate::metric::Timestamp;

/// Prints one object.
pub(super) fn print(out: &mut dyn Write, planned: &Planned) -> io::Result<()> {
    let models = planned.models.iter().map(|model| {
        let found = &model.model;
        let incidents = model.replay.fired.iter().map(|fired| {
            json!({
                "rule": fired.alert.rule,
                "labels": fired.alert.labels,
                "fired_at": fired.alert.starts_at().as_secs_f64(),
                "resolved_at": fired.resolved_at.map(Timestamp::as_secs_f64),
                "summary": fired.alert.summary(),
            })
        });
        json!({
            "name": found.name,
            "namespace": found.namespace,
            "job": Some(&found.job).filter(|job| !job.is_empty()),
            "pack": found.pack,
            "because": found.because,
            "targets": found.targets.len(),
            "matchers": found.matchers.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "signals": model.found.iter().map(|watch| json!({"rule": watch.name, "series": watch.series})).collect::<Vec<_>>(),
            "missing": model.missing.iter().map(|watch| json!({"rule": watch.name, "why": watch.reason})).collect::<Vec<_>>(),
            "alerts_per_week": model.alerts_per_week(),
            "retrainings": model.replay.requests(),
            "incidents": incidents.collect::<Vec<_>>(),
        })
    });
    let without_pack = planned
        .fleet
        .without_pack
        .iter()
        .map(|program| json!({"job": program.name, "why": program.reason}));
    let not_replayed = planned.not_replayed.iter().map(|entry| {
        let model = &entry.model;
        json!({"name": model.name, "namespace": model.namespace, "pack": model.pack, "why": entry.reason})
    });
    let output = json!({
        "start": planned.range.start.as_secs_f64(),
        "end": planned.range.end.as_secs_f64(),
        "step": planned.range.step.as_secs_f64(),
        "models": models.collect::<Vec<_>>(),
        "without_pack": without_pack.collect::<Vec<_>>(),
        "not_replayed": not_replayed.collect::<Vec<_>>(),
        "other_jobs": planned.fleet.other_jobs,
        "skipped_jobs": planned.fleet.skipped_jobs,
    });
    writeln!(out, "{output}")
}
