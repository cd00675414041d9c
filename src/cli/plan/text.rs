//! A plan for a terminal and for programs.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::replayed::Replayed;
use super::{Planned, install};
use crate::cli::backtest::text::{count, line};
use crate::metric::{Timestamp, format_duration, rounded};

/// Incidents that are printed for one model; the report has all.
const INCIDENTS: usize = 10;

/// Where a model is, in words.
pub(super) fn place(model: &Replayed) -> String {
    let model = &model.model;
    let targets = count(model.targets.len(), "target", "targets");
    match &model.namespace {
        Some(namespace) => format!("{targets} in namespace {namespace}, job {}", model.job),
        None => format!("{targets}, job {}", model.job),
    }
}

/// What would have happened to a model, in words.
pub(super) fn verdict(model: &Replayed) -> String {
    if model.found.is_empty() {
        return "nothing could be judged".to_owned();
    }
    format!(
        "{} ({} a week), {}",
        count(model.replay.fired.len(), "alert", "alerts"),
        rounded(model.alerts_per_week()),
        count(
            model.retrainings(),
            "retraining request",
            "retraining requests"
        ),
    )
}

/// What the whole is about, in words.
pub(super) fn about(planned: &Planned) -> String {
    format!(
        "{} on {}: {} of history, evaluated every {}",
        count(planned.models.len(), "model", "models"),
        planned.server,
        format_duration(planned.range.end.since(planned.range.start)),
        format_duration(planned.range.step),
    )
}

/// What a plan cannot know.
pub(super) const CAVEAT: &str = "What is shorter than the time between two evaluations may be missed, and `for` lasts at least that long; strategies warm up at the start of the history.";

/// Prints a paragraph for each model.
pub(super) fn print(out: &mut dyn Write, planned: &Planned, dir: Option<&Path>) -> io::Result<()> {
    writeln!(out, "{}", about(planned))?;
    for model in &planned.models {
        let found = &model.model;
        writeln!(
            out,
            "\n{}  pack {}, because of {}",
            found.name, found.pack, found.because
        )?;
        writeln!(out, "  {}", place(model))?;
        writeln!(out, "  {}", verdict(model))?;
        let names: Vec<&str> = model.found.iter().map(|(name, _)| name.as_str()).collect();
        writeln!(
            out,
            "  {} {}",
            count(names.len(), "signal found:", "signals found:"),
            names.join(", ")
        )?;
        for (name, why) in &model.missing {
            writeln!(out, "  missing {name}: {why}")?;
        }
        for fired in model.replay.fired.iter().take(INCIDENTS) {
            writeln!(out, "  {}", line(fired))?;
        }
        let more = model.replay.fired.len().saturating_sub(INCIDENTS);
        if more > 0 {
            writeln!(out, "  and {more} more")?;
        }
        if let Some(dir) = dir {
            writeln!(out, "  files: {}", install::folder(dir, model).display())?;
        }
    }
    for (job, why) in &planned.fleet.without_pack {
        writeln!(out, "\n{job}: {why}")?;
    }
    let others = count(planned.fleet.others, "other job", "other jobs");
    writeln!(out, "\n{others} without a model server. {CAVEAT}")
}

/// Prints one object.
pub(super) fn json(out: &mut dyn Write, planned: &Planned) -> io::Result<()> {
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
            "job": found.job,
            "pack": found.pack,
            "because": found.because,
            "targets": found.targets.len(),
            "matchers": found.matchers.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "signals": model.found.iter().map(|(name, series)| json!({"rule": name, "series": series})).collect::<Vec<_>>(),
            "missing": model.missing.iter().map(|(name, why)| json!({"rule": name, "why": why})).collect::<Vec<_>>(),
            "alerts_per_week": model.alerts_per_week(),
            "retrainings": model.retrainings(),
            "incidents": incidents.collect::<Vec<_>>(),
        })
    });
    let answer = json!({
        "start": planned.range.start.as_secs_f64(),
        "end": planned.range.end.as_secs_f64(),
        "step": planned.range.step.as_secs_f64(),
        "models": models.collect::<Vec<_>>(),
        "without_pack": planned.fleet.without_pack.iter().map(|(job, why)| json!({"job": job, "why": why})).collect::<Vec<_>>(),
        "other_jobs": planned.fleet.others,
    });
    writeln!(out, "{answer}")
}
