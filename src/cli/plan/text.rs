//! The output of `--format text`.

use std::io::{self, Write};
use std::path::Path;

use super::install;
use super::planned::Planned;
use super::replayed::ReplayedModel;
use crate::cli::backtest::text::{count, line};
use crate::metric::{format_duration, rounded};
use crate::runtime::one_line;

/// Maximum number of alerts printed for one model; the report has all.
const MAX_ALERTS: usize = 10;

/// `2 targets in namespace ml, job chat`.
pub(super) fn location(model: &ReplayedModel) -> String {
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

/// `3 alerts (1.5 a week), 1 retraining request`.
pub(super) fn result(model: &ReplayedModel) -> String {
    if model.found.is_empty() {
        return "nothing could be judged".to_owned();
    }
    format!(
        "{} ({} a week), {}",
        count(model.replay.fired.len(), "alert", "alerts"),
        rounded(model.alerts_per_week()),
        count(
            model.replay.requests(),
            "retraining request",
            "retraining requests"
        ),
    )
}

/// `2 models on http://prometheus:9090: 7d of history, evaluated every 5m`.
pub(super) fn title(planned: &Planned) -> String {
    format!(
        "{} on {}: {} of history, evaluated every {}",
        count(planned.models.len(), "model", "models"),
        planned.server,
        format_duration(planned.range.end.since(planned.range.start)),
        format_duration(planned.range.step),
    )
}

/// The limits of a plan.
pub(super) const CAVEAT: &str = "Incidents shorter than the time between two evaluations may be missed, and `for` lasts at least that long. Strategies warm up at the start of the history.";

/// A message if the server has no series at all.
pub(super) fn empty_message(planned: &Planned) -> Option<String> {
    let fleet = &planned.fleet;
    let is_empty = planned.models.is_empty()
        && planned.not_replayed.is_empty()
        && fleet.without_pack.is_empty()
        && fleet.other_jobs == 0;
    is_empty.then(|| {
        format!(
            "There is no series of any target between {} and {}: is the path of the URL complete, is a tenant header missing, or is \
             the server new?",
            planned.range.start, planned.range.end
        )
    })
}

/// Prints a paragraph for each model.
pub(super) fn print(out: &mut dyn Write, planned: &Planned, dir: Option<&Path>) -> io::Result<()> {
    writeln!(out, "{}", one_line(&title(planned)))?;
    for model in &planned.models {
        print_model(out, model, dir)?;
    }
    for program in &planned.fleet.without_pack {
        let (name, reason) = (one_line(&program.name), one_line(&program.reason));
        writeln!(out, "\n{name}: {reason}")?;
    }
    for entry in &planned.not_replayed {
        let (name, reason) = (one_line(&entry.model.name), one_line(&entry.reason));
        let pack = entry.model.pack;
        writeln!(out, "\n{name}  pack {pack}, not replayed: {reason}")?;
    }
    if let Some(message) = empty_message(planned) {
        return writeln!(out, "\n{message}");
    }
    let other_jobs = count(planned.fleet.other_jobs, "other job", "other jobs");
    let skipped = match planned.fleet.skipped_jobs {
        0 => String::new(),
        count => format!(", and {count} that were not inspected because there are too many"),
    };
    writeln!(
        out,
        "\n{other_jobs} without a model server{skipped}. {CAVEAT}"
    )
}

fn print_model(out: &mut dyn Write, model: &ReplayedModel, dir: Option<&Path>) -> io::Result<()> {
    let found = &model.model;
    writeln!(
        out,
        "\n{}  pack {}, because of {}",
        one_line(&found.name),
        found.pack,
        one_line(&found.because)
    )?;
    writeln!(out, "  {}", one_line(&location(model)))?;
    writeln!(out, "  {}", result(model))?;
    let names: Vec<&str> = model
        .found
        .iter()
        .map(|watch| watch.name.as_str())
        .collect();
    writeln!(
        out,
        "  {} {}",
        count(names.len(), "signal found:", "signals found:"),
        names.join(", ")
    )?;
    for watch in &model.missing {
        let reason = one_line(&watch.reason);
        writeln!(out, "  missing {}: {reason}", watch.name)?;
    }
    for fired in model.replay.fired.iter().take(MAX_ALERTS) {
        writeln!(out, "  {}", one_line(&line(fired)))?;
    }
    let more = model.replay.fired.len().saturating_sub(MAX_ALERTS);
    if more > 0 {
        writeln!(out, "  and {more} more")?;
    }
    if let Some(dir) = dir {
        writeln!(out, "  files: {}", install::folder(dir, model).display())?;
    }
    Ok(())
}
