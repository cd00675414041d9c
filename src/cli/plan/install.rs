//! The files to install: the rules, a configuration that works at once, and the values of the chart.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::replayed::Replayed;
use crate::cli::Error;
use crate::config::packs;
use crate::metric::format_duration;

/// The folder of a model below the one for all.
pub(super) fn folder(dir: &Path, model: &Replayed) -> PathBuf {
    let model = &model.model;
    let name = match &model.namespace {
        Some(namespace) => format!("{namespace}-{}", model.name),
        None => model.name.clone(),
    };
    let plain = name.chars().map(|c| match c {
        c if c.is_ascii_alphanumeric() || c == '-' || c == '_' => c,
        _ => '-',
    });
    dir.join(plain.collect::<String>())
}

/// Writes the files of one model.
pub(super) fn write(
    dir: &Path,
    url: &str,
    range: Duration,
    replayed: &Replayed,
) -> Result<(), Error> {
    let folder = folder(dir, replayed);
    std::fs::create_dir_all(&folder)
        .map_err(|error| Error::new(format!("{}: cannot be made: {error}", folder.display())))?;
    let rules = packs::text(replayed.model.pack).unwrap_or_default();
    super::write(&folder.join("rules.yaml"), rules)?;
    super::write(
        &folder.join("sidewatch.yaml"),
        &configuration(url, range, replayed),
    )?;
    super::write(&folder.join("values.yaml"), &values(url, range, replayed))
}

/// JSON is YAML, and quotes everything.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn configuration(url: &str, range: Duration, replayed: &Replayed) -> String {
    let model = &replayed.model;
    let mut out = format!(
        "# One judge of this model, from the series that Prometheus has already: sidewatch run --config.file=sidewatch.yaml\n\
         model: {{id: {}}}\n\
         scrape:\n  source:\n    prometheus: {}\n    matchers:\n",
        quoted(&model.name),
        quoted(url),
    );
    for matcher in &model.matchers {
        writeln!(out, "    - {}", quoted(&matcher.to_string())).ok();
    }
    write!(
        out,
        "backfill: {{range: {}}}\nrule_files: [rules.yaml]\n\
         # alerting: {{alertmanagers: [{{url: \"http://alertmanager:9093\"}}]}}\n\
         # retraining: {{dry_run: true, webhooks: [{{url: \"http://…\"}}]}}\n\
         # storage: {{path: /var/lib/sidewatch}}\n",
        format_duration(range)
    )
    .ok();
    out
}

fn values(url: &str, range: Duration, replayed: &Replayed) -> String {
    let model = &replayed.model;
    let namespace = model.namespace.as_deref().unwrap_or("default");
    let mut out = format!(
        "# One judge for all replicas: helm install {name}-judge helm/sidewatch -n {namespace} -f values.yaml\n\
         model:\n  id: {id}\n\
         rules:\n  packs: [{pack}]\n\
         judge:\n  enabled: true\n  source:\n\
         \x20   # As it was reached from here; in the cluster it may have another name.\n\
         \x20   prometheus: {url}\n    matchers:\n",
        name = model.name,
        id = quoted(&model.name),
        pack = model.pack,
        url = quoted(url),
    );
    for matcher in &model.matchers {
        writeln!(out, "    - {}", quoted(&matcher.to_string())).ok();
    }
    write!(
        out,
        "  backfill: {{enabled: true, range: {}}}\n\
         alerting:\n  mode: direct\n  alertmanagers: []\n\
         retraining:\n  # Decides and records, and sends nothing until you say so.\n  dryRun: true\n  webhooks: []\n",
        format_duration(range)
    )
    .ok();
    out
}
