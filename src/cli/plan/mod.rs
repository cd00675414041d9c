//! `sidewatch plan`: before anything is installed, which models a Prometheus knows, and what would have been said about them.

mod find;
mod install;
mod replayed;
mod report;
mod text;

use std::cmp::Reverse;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;

use self::find::{Fleet, Model};
use self::replayed::Replayed;
use super::backtest::progress::Progress;
use super::{Error, runtime};
use crate::config::http_client_settings;
use crate::history::{Limits, Prometheus, Range};
use crate::metric::{format_duration, parse_duration};
use crate::runtime::{clock, http};

/// Steps of a replay that a person waits for.
const MOST_STEPS: u64 = 2100;
/// Distances of steps that people can read, in seconds.
const STEPS: [u64; 9] = [15, 30, 60, 120, 300, 600, 900, 1800, 3600];

/// The shape of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum Format {
    /// A paragraph for each model.
    #[default]
    Text,
    /// One object.
    Json,
}

/// Find the models that a Prometheus knows, and what packs would have said about them; installs nothing.
#[derive(Debug, Default, clap::Args)]
pub struct Plan {
    /// Prometheus, Thanos, Mimir or VictoriaMetrics
    #[arg(long, value_name = "URL")]
    pub prometheus: String,
    /// How far back
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "7d")]
    pub range: Duration,
    /// Time between two evaluations; longer for a longer range by default
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub step: Option<Duration>,
    /// File with http_config keys (basic_auth, authorization, tls_config, http_headers for a tenant, …)
    #[arg(long = "http.config.file", value_name = "FILE")]
    pub http_config: Option<PathBuf>,
    /// Most models that are replayed, those with the most targets first; the others are only named
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub models: usize,
    /// Write a report with charts to this file, one HTML document without anything from elsewhere
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write the files to install below this folder: rules.yaml, sidewatch.yaml and values.yaml of each model
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Shape of the answer
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// What a plan says.
struct Planned {
    range: Range,
    /// The server, without a password.
    server: String,
    fleet: Fleet,
    models: Vec<Replayed>,
    /// Models that were found and not replayed, and why.
    left: Vec<(Model, String)>,
}

impl Plan {
    /// Looks, replays and prints.
    ///
    /// # Errors
    /// When the server does not answer, or a file cannot be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<ExitCode, Error> {
        let runtime = runtime(2)?;
        let planned = runtime.block_on(self.plan())?;
        if let Some(path) = &self.report {
            write(path, &report::render(&planned))?;
        }
        if let Some(dir) = &self.out {
            for model in &planned.models {
                install::write(dir, &self.prometheus, self.range, model)?;
            }
        }
        let printed = match self.format {
            Format::Text => text::print(out, &planned, self.out.as_deref()),
            Format::Json => text::json(out, &planned),
        };
        printed.map_err(|error| Error::new(format!("cannot print the answer: {error}")))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn plan(&self) -> Result<Planned, Error> {
        let settings = match &self.http_config {
            Some(path) => {
                http_client_settings(path).map_err(|problems| Error::new(problems.to_string()))?
            }
            None => http::Settings::default(),
        };
        let step = self.step.unwrap_or_else(|| step(self.range));
        if step.is_zero() || step > self.range {
            return Err(Error::new(format!(
                "--step: must be more than 0s and at most the range of {}",
                format_duration(self.range)
            )));
        }
        let limits = Limits {
            answer: 128 << 20,
            ..Limits::default()
        };
        let prometheus = Prometheus::new(&self.prometheus, settings).with_limits(limits);
        let end = clock::now();
        let range = Range {
            start: end - self.range,
            end,
            step,
        }
        .aligned();
        let mut progress = Progress::new();
        let mut fleet = find::fleet(&prometheus, range, &mut progress).await?;
        let mut found = std::mem::take(&mut fleet.models);
        found.sort_by_key(|model| Reverse(model.targets.len()));
        let others = found.split_off(found.len().min(self.models));
        let why = format!("there are more than {} models; see --models", self.models);
        let mut left: Vec<(Model, String)> = others
            .into_iter()
            .map(|model| (model, why.clone()))
            .collect();
        let all = found.len() as u64;
        let mut models = Vec::new();
        for (index, model) in (0..).zip(found) {
            progress.show("replaying", index, all);
            match replayed::replay(&prometheus, &self.prometheus, model.clone(), range).await {
                Ok(replayed) => models.push(replayed),
                // The next may go better, and what was found is worth something without it.
                Err(error) => left.push((model, error.to_string())),
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
            left,
        })
    }
}

/// The finest step with which a range is replayed while somebody waits.
fn step(range: Duration) -> Duration {
    let fine = |step: &&u64| range.as_secs() / **step <= MOST_STEPS;
    let step = STEPS.iter().find(fine).copied();
    Duration::from_secs(step.unwrap_or(range.as_secs() / MOST_STEPS))
}

fn write(path: &std::path::Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text)
        .map_err(|error| Error::new(format!("{}: cannot be written: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::step;

    #[test]
    fn a_longer_range_is_looked_at_more_coarsely() {
        let days = |days: u64| step(Duration::from_secs(days * 86_400)).as_secs();
        assert_eq!(step(Duration::from_secs(3600)).as_secs(), 15);
        assert_eq!(
            [days(1), days(7), days(30), days(365)],
            [60, 300, 1800, 15_017]
        );
    }
}
