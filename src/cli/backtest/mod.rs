//! `sidewatch backtest`: replays history through rules, and shows the alerts and what would have
//! been sent.

mod auto_pack;
mod compare;
mod json;
pub(super) mod report;
mod source;
pub(super) mod text;
mod times;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;

use self::compare::Comparison;
use self::source::History;
pub use self::source::{Source, Span};
use super::error::Error;
use super::progress::Progress;
use super::replay::{Player, Replay, Rules};
use super::snapshots::DEFAULT_STEP;
use crate::config::Config;
use crate::metric::{Labels, Selector, parse_duration};
use crate::monitor::{Scraped, selectors};
use crate::rules::Rule;

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum Format {
    /// One line for each alert and delivery
    #[default]
    Text,
    /// One object with every alert, every judged value and every delivery
    Json,
}

/// Replay past metrics through rules, and show the alerts and what would have been sent
#[derive(Debug, Default, clap::Args)]
pub struct Backtest {
    /// Rule file, pack name, or auto for the pack that fits the metrics; may be repeated
    #[arg(
        long,
        value_name = "PACK|FILE",
        required_unless_present = "config_file"
    )]
    pub rules: Vec<String>,
    /// Configuration file: its model, labels, receivers and limits; also its rules if --rules is
    /// not given
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// The history to replay
    #[command(flatten)]
    pub source: Source,
    /// The part of the history to replay
    #[command(flatten)]
    pub span: Span,
    /// Time between two scrapes; the first one of a folder is then at 0 [default: that of the
    /// history, or 15s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub step: Option<Duration>,
    /// Other rules to compare with; may be repeated
    #[arg(long, value_name = "PACK|FILE")]
    pub compare: Vec<String>,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Write a report with charts to this file, as one self-contained HTML document
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

impl Backtest {
    /// Replays the history and prints the result.
    ///
    /// # Errors
    /// A mistake in a rule file, a source that cannot be read, or a report that cannot be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<ExitCode, Error> {
        let (replay, other) = self.replay()?;
        let comparison = other.as_ref().map(|other| Comparison::new(&replay, other));
        if let Some(path) = &self.report {
            self.write_report(path, &replay, comparison.as_ref())?;
        }
        let printed = match self.format {
            Format::Text => text::print(out, &replay, comparison.as_ref()),
            Format::Json => json::print(out, &replay, comparison.as_ref()),
        };
        printed.map_err(|error| Error::unprintable(&error))?;
        Ok(ExitCode::SUCCESS)
    }

    fn write_report(
        &self,
        path: &Path,
        replay: &Replay,
        comparison: Option<&Comparison<'_>>,
    ) -> Result<(), Error> {
        let rules = match &self.config_file {
            Some(path) if self.rules.is_empty() => vec![path.display().to_string()],
            _ => self.rules.clone(),
        };
        let inputs = report::Inputs {
            rules,
            other_rules: self.compare.clone(),
            source: self.source.name(),
        };
        std::fs::write(path, report::render(&inputs, replay, comparison))
            .map_err(|error| Error::unwritable(path, &error))
    }

    /// Reads the history once and replays it with the rules, and with the other rules if there are
    /// any.
    fn replay(&self) -> Result<(Replay, Option<Replay>), Error> {
        let rule_set = |files| Rules {
            files,
            config: self.config_file.as_deref(),
        };
        let rules = auto_pack::resolve_auto(&self.rules, &self.source)?;
        let other_rules = auto_pack::resolve_auto(&self.compare, &self.source)?;
        let mut rule_sets = vec![rule_set(rules.as_slice())];
        if !other_rules.is_empty() {
            rule_sets.push(rule_set(&other_rules));
        }
        let mut progress = Progress::new();
        let selectors = input_selectors(&rule_sets)?;
        let history = self
            .source
            .open(&self.span, self.step, &selectors, &mut progress)?;
        let mut players = Vec::new();
        for rules in &rule_sets {
            let config = rules.load(history.interval, &history.targets)?;
            players.push(Player::new(&config));
        }
        play(history, &mut players, &mut progress)?;
        let mut replays = players.into_iter().map(Player::finish);
        Ok((replays.next().unwrap_or_default(), replays.next()))
    }
}

/// The selectors of the series that the rules read and do not record themselves.
fn input_selectors(rule_sets: &[Rules<'_>]) -> Result<Vec<Selector>, Error> {
    let mut inputs = Vec::new();
    for rules in rule_sets {
        let config = rules.load(DEFAULT_STEP, &[Labels::empty()])?;
        let recorded = recorded_names(&config);
        for selector in selectors(&config.rules) {
            let is_recorded = selector
                .metric_name()
                .is_some_and(|name| recorded.contains(&name));
            if !is_recorded && !inputs.contains(&selector) {
                inputs.push(selector);
            }
        }
    }
    Ok(inputs)
}

fn recorded_names(config: &Config) -> Vec<&str> {
    config
        .rules
        .rules()
        .filter(|rule| matches!(rule, Rule::Record(_)))
        .map(Rule::name)
        .collect()
}

fn play(history: History, players: &mut [Player], progress: &mut Progress) -> Result<(), Error> {
    let total = history.step_count as u64;
    for (done, step) in (1..).zip(history.steps) {
        let step = step?;
        let scraped: Vec<Scraped> = step
            .scrapes
            .into_iter()
            .map(|result| Scraped {
                duration: result
                    .as_ref()
                    .map_or(Duration::ZERO, |exposition| exposition.duration),
                result: result.map_err(Into::into),
            })
            .collect();
        for player in players.iter_mut() {
            player.step(step.at, &scraped);
        }
        progress.show("replaying", done, total);
    }
    progress.clear();
    Ok(())
}

#[cfg(test)]
mod tests;
