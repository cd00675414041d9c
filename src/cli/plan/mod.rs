//! `sidewatch plan`: finds the models that a Prometheus scrapes and replays their history with
//! packs, before anything is installed.

mod discovery;
mod install;
mod json;
mod planned;
mod replayed;
mod report;
mod text;
mod workload;

use std::cmp::Reverse;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;

use self::planned::{NotReplayed, Planned};
use super::error::Error;
use super::executor;
use super::progress::Progress;
use crate::config::http_client_settings;
use crate::history::{Limits, Prometheus, Range};
use crate::metric::{format_duration, parse_duration};
use crate::runtime::{clock, http};

/// Maximum number of steps with the default step, so that a replay takes seconds.
const MAX_STEPS: u64 = 2100;
/// The default steps, in seconds.
const STEPS: [u64; 9] = [15, 30, 60, 120, 300, 600, 900, 1800, 3600];
/// Maximum size of a response of the server, in bytes.
const MAX_RESPONSE: u64 = 128 << 20;

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A paragraph for each model
    Text,
    /// One object
    Json,
}

/// Find the models that a Prometheus scrapes and replay their past through packs; installs nothing
#[derive(Debug, clap::Args)]
pub(crate) struct Plan {
    /// URL of a Prometheus, Thanos, Mimir or VictoriaMetrics
    #[arg(long, value_name = "URL")]
    prometheus: String,
    /// How far back to replay
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "7d")]
    range: Duration,
    /// Time between two evaluations [default: depends on the range]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    step: Option<Duration>,
    /// File with http_config keys (basic_auth, authorization, tls_config, http_headers for a
    /// tenant, …)
    #[arg(long = "http.config.file", value_name = "FILE")]
    http_config: Option<PathBuf>,
    /// Maximum number of models to replay, those with the most targets first; the others are only
    /// listed
    #[arg(long, value_name = "N", default_value_t = 50)]
    models: usize,
    /// Write a report with charts to this file, as one self-contained HTML document
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the files to install into this folder: rules.yaml, sidewatch.yaml and values.yaml of
    /// each model
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl Plan {
    /// Finds and replays the models, and prints the result.
    pub(super) fn run(&self, out: &mut dyn Write) -> Result<ExitCode, Error> {
        let runtime = executor::multi_thread(2)?;
        let planned = runtime.block_on(self.plan())?;
        if let Some(path) = &self.report {
            install::write_file(path, &report::render(&planned))?;
        }
        if let Some(dir) = &self.out {
            for model in &planned.models {
                install::write(dir, &self.prometheus, self.range, model)?;
            }
        }
        let printed = match self.format {
            Format::Text => text::print(out, &planned, self.out.as_deref()),
            Format::Json => json::print(out, &planned),
        };
        printed.map_err(|error| Error::unprintable(&error))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn plan(&self) -> Result<Planned, Error> {
        let step = self.step.unwrap_or_else(|| default_step(self.range));
        if step.is_zero() || step > self.range {
            return Err(Error::new(format!(
                "--step: must be more than 0s and at most the range of {}",
                format_duration(self.range)
            )));
        }
        let prometheus = self.prometheus()?;
        let end = clock::now();
        let range = Range {
            start: end - self.range,
            end,
            step,
        }
        .aligned();
        let mut progress = Progress::new();
        let mut fleet = discovery::find_models(&prometheus, range, &mut progress).await?;
        let mut found = std::mem::take(&mut fleet.models);
        found.sort_by_key(|model| Reverse(model.targets.len()));
        let over_limit = found.split_off(found.len().min(self.models));
        let mut not_replayed: Vec<NotReplayed> = over_limit
            .into_iter()
            .map(|model| NotReplayed {
                model,
                reason: format!("there are more than {} models; see --models", self.models),
            })
            .collect();
        let total = found.len() as u64;
        let mut models = Vec::new();
        for (index, model) in (0..).zip(found) {
            progress.show("replaying", index, total);
            match replayed::replay(&prometheus, &self.prometheus, model.clone(), range).await {
                Ok(replayed) => models.push(replayed),
                // One failure does not invalidate the other models.
                Err(error) => not_replayed.push(NotReplayed {
                    model,
                    reason: error.to_string(),
                }),
            }
        }
        models.sort_by(|a, b| {
            (&a.model.namespace, &a.model.name).cmp(&(&b.model.namespace, &b.model.name))
        });
        progress.clear();
        Ok(Planned {
            range,
            server: prometheus.url(),
            fleet,
            models,
            not_replayed,
        })
    }

    fn prometheus(&self) -> Result<Prometheus, Error> {
        let settings = match &self.http_config {
            Some(path) => http_client_settings(path)?,
            None => http::Settings::default(),
        };
        let limits = Limits {
            answer: MAX_RESPONSE,
            ..Limits::default()
        };
        Ok(Prometheus::new(&self.prometheus, settings).with_limits(limits))
    }
}

/// The finest step with which a replay of this range takes seconds.
fn default_step(range: Duration) -> Duration {
    let seconds = STEPS
        .into_iter()
        .find(|step| range.as_secs() / step <= MAX_STEPS)
        .unwrap_or(range.as_secs() / MAX_STEPS);
    Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::default_step;

    #[test]
    fn a_longer_range_has_a_longer_default_step() {
        let days = |days: u64| default_step(Duration::from_secs(days * 86_400)).as_secs();
        assert_eq!(default_step(Duration::from_secs(3600)).as_secs(), 15);
        assert_eq!(
            [days(1), days(7), days(30), days(365)],
            [60, 300, 1800, 15_017]
        );
    }
}
