//! `sidewatch backtest`: what rules would have said and sent about the past.

pub mod compare;
mod json;
pub(super) mod progress;
mod recognise;
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
use self::progress::Progress;
use self::source::History;
pub use self::source::{Source, Span};
use super::Error;
use super::replay::{DEFAULT_STEP, Player, Replay, Rules};
use crate::config::{Config, Problems};
use crate::metric::{Labels, Selector, parse_duration};
use crate::monitor::{Scraped, selectors};

/// The shape of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum Format {
    /// Alerts and deliveries, a line each.
    #[default]
    Text,
    /// One object with every alert, every judged value and every delivery.
    Json,
}

/// Replay the past through rules: which alerts they would have raised, and what would have been sent.
#[derive(Debug, Default, clap::Args)]
pub struct Backtest {
    /// Rule file, name of a pack, or auto for the pack of whatever the past is of; may be repeated
    #[arg(
        long,
        value_name = "PACK|FILE",
        required_unless_present = "config_file"
    )]
    pub rules: Vec<String>,
    /// Configuration file: its model, labels, receivers and limits, and its rules where --rules is not given
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Where the past comes from
    #[command(flatten)]
    pub source: Source,
    /// Which part of it
    #[command(flatten)]
    pub span: Span,
    /// Time between two scrapes; default: that of the history, or 15s. The first of a folder is then at 0
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub step: Option<Duration>,
    /// Other rules: show what they would change; may be repeated
    #[arg(long, value_name = "PACK|FILE")]
    pub compare: Vec<String>,
    /// Shape of the answer
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Write a report with charts to this file, one HTML document without anything from elsewhere
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

impl Backtest {
    /// Replays and prints.
    ///
    /// # Errors
    /// What is wrong with a rule file or the source.
    pub fn run(&self, out: &mut dyn Write) -> Result<ExitCode, Error> {
        let replays = self.replay()?;
        let Some((replay, others)) = replays.split_first() else {
            return Ok(ExitCode::SUCCESS);
        };
        let compared = others.first();
        let compared = compared.map(|after| (after, Comparison::new(replay, after)));
        if let Some(path) = &self.report {
            let compared = compared.as_ref().map(|(after, changes)| (*after, changes));
            self.write_report(path, replay, compared)?;
        }
        let printed = match self.format {
            Format::Text => text::print(out, replay).and_then(|()| match &compared {
                Some((after, comparison)) => {
                    text::print_comparison(out, (replay, after), comparison)
                }
                None => Ok(()),
            }),
            Format::Json => {
                let compared = compared.as_ref().map(|(after, changes)| (*after, changes));
                json::print(out, replay, compared)
            }
        };
        printed.map_err(|error| Error::new(format!("cannot print the answer: {error}")))?;
        Ok(ExitCode::SUCCESS)
    }

    /// The rules as the user named them.
    fn names(&self) -> Vec<String> {
        match &self.config_file {
            Some(path) if self.rules.is_empty() => vec![path.display().to_string()],
            _ => self.rules.clone(),
        }
    }

    fn write_report(
        &self,
        path: &Path,
        replay: &Replay,
        compared: Option<(&Replay, &Comparison<'_>)>,
    ) -> Result<(), Error> {
        let about = report::About {
            rules: self.names(),
            others: self.compare.clone(),
            source: self.source.name(),
        };
        let document = report::render(&about, replay, compared);
        std::fs::write(path, document)
            .map_err(|error| Error::new(format!("{}: cannot be written: {error}", path.display())))
    }

    /// One replay of the rules, and one of the other rules where there are some: the same past, read once.
    fn replay(&self) -> Result<Vec<Replay>, Error> {
        let set = |files| Rules {
            files,
            config: self.config_file.as_deref(),
        };
        let rules = recognise::named(&self.rules, &self.source)?;
        let others = recognise::named(&self.compare, &self.source)?;
        let mut sets = vec![set(rules.as_slice())];
        if !others.is_empty() {
            sets.push(set(&others));
        }
        let mut progress = Progress::new();
        let wanted = wanted(&sets)?;
        let history = self
            .source
            .open(&self.span, self.step, &wanted, &mut progress)?;
        let mut players = Vec::new();
        for set in &sets {
            let config = set.load(history.interval, &history.targets);
            players.push(Player::new(&config.map_err(|problems| told(&problems))?));
        }
        play(history, &mut players, &mut progress)?;
        Ok(players.into_iter().map(Player::finish).collect())
    }
}

fn told(problems: &Problems) -> Error {
    Error::new(problems.to_string())
}

/// What the rules read and do not record themselves.
fn wanted(sets: &[Rules<'_>]) -> Result<Vec<Selector>, Error> {
    let mut wanted = Vec::new();
    for set in sets {
        let config = set.load(DEFAULT_STEP, &[Labels::empty()]);
        let config = config.map_err(|problems| told(&problems))?;
        let recorded = recorded(&config);
        for selector in selectors(&config.rules) {
            let own = selector
                .metric_name()
                .is_some_and(|name| recorded.contains(&name.to_owned()));
            if !own && !wanted.contains(&selector) {
                wanted.push(selector);
            }
        }
    }
    Ok(wanted)
}

fn recorded(config: &Config) -> Vec<String> {
    let rules = config.rules.rules();
    let records = rules.filter(|rule| matches!(rule, crate::rules::Rule::Record(_)));
    records.map(|rule| rule.name().to_owned()).collect()
}

fn play(history: History, players: &mut [Player], progress: &mut Progress) -> Result<(), Error> {
    let all = history.steps as u64;
    for (done, step) in (1..).zip(history.walk) {
        let step = step?;
        let scraped: Vec<Scraped> = step
            .scrapes
            .into_iter()
            .map(|result| Scraped {
                duration: result.as_ref().map_or(Duration::ZERO, |e| e.duration),
                result: result.map_err(Into::into),
            })
            .collect();
        for player in players.iter_mut() {
            player.step(step.at, &scraped);
        }
        progress.show("replaying", done, all);
    }
    progress.clear();
    Ok(())
}

#[cfg(test)]
mod tests;
