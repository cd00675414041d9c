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
    let job = match model.job.as_str() {
        "" => "without a job".to_owned(),
        job => format!("job {job}"),
    };
    match &model.namespace {
        Some(namespace) => format!("{targets} in namespace {namespace}, {job}"),
        None => format!("{targets}, {job}"),
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

/// What is to be said where nothing was found at all.
pub(super) fn nothing(planned: &Planned) -> Option<String> {
    let fleet = &planned.fleet;
    let something = !planned.models.is_empty()
        || !planned.left.is_empty()
        || !fleet.without_pack.is_empty()
        || fleet.others > 0;
    (!something).then(|| {
        format!(
            "There is no series of any target between {} and {}: is the path of the URL complete, is a tenant's header missing, or is \
             the server new?",
            planned.range.start, planned.range.end
        )
    })
}

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
    for (model, why) in &planned.left {
        writeln!(
            out,
            "\n{}  pack {}, not replayed: {why}",
            model.name, model.pack
        )?;
    }
    if let Some(nothing) = nothing(planned) {
        return writeln!(out, "\n{nothing}");
    }
    let others = count(planned.fleet.others, "other job", "other jobs");
    let skipped = match planned.fleet.skipped {
        0 => String::new(),
        some => format!(", and {some} that were not looked at, since there are too many"),
    };
    writeln!(out, "\n{others} without a model server{skipped}. {CAVEAT}")
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
            "job": Some(&found.job).filter(|job| !job.is_empty()),
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
        "not_replayed": planned.left.iter().map(|(model, why)| json!({"name": model.name, "namespace": model.namespace, "pack": model.pack, "why": why})).collect::<Vec<_>>(),
        "other_jobs": planned.fleet.others,
        "skipped_jobs": planned.fleet.skipped,
    });
    writeln!(out, "{answer}")
}
