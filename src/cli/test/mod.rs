//! `sidewatch test`: promtool's unit tests of rules, and tests of verdicts and of saved scrapes.
//!
//! Nothing is evaluated here: samples go through a [`ModelMonitor`](crate::ModelMonitor), tick by tick.

mod assertion;
mod diff;
mod file;
mod outcome;
mod rules;
mod run;
mod scrape;

pub use outcome::{Failure, Outcome, Report};

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use regex::Regex;
use serde_json::json;

use super::Error;
use crate::config::{Problem, Problems};
use file::File;

/// The shape of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line a file, and what failed.
    Text,
    /// One object with every test.
    Json,
}

/// Test rules: exit code 0 when all tests pass, 1 when one fails or a file is invalid
#[derive(Debug, clap::Args)]
pub struct Test {
    /// Test files, as for promtool
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Only tests whose name matches
    #[arg(long, value_name = "REGEX")]
    pub run: Option<Regex>,
    /// Fail where an optional folder of snapshots is missing
    #[arg(long)]
    pub require_snapshots: bool,
    /// Shape of the answer
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

impl Test {
    /// Runs every file and prints what came of it.
    ///
    /// # Errors
    /// When nothing can be printed.
    pub fn run(&self, out: &mut dyn Write) -> Result<ExitCode, Error> {
        let unprintable = |error| Error::new(format!("cannot print: {error}"));
        let (mut reports, mut passed) = (Vec::new(), true);
        for path in &self.files {
            let report = self.report(path);
            passed &= report.passed();
            match self.format {
                Format::Text => writeln!(out, "{}", report.text()).map_err(unprintable)?,
                Format::Json => reports.push(report.json()),
            }
        }
        if self.format == Format::Json {
            writeln!(out, "{}", json!({"files": reports})).map_err(unprintable)?;
        }
        Ok(if passed {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// What comes of one file.
    #[must_use]
    pub fn report(&self, path: &Path) -> Report {
        let mut report = Report {
            file: path.display().to_string(),
            result: Ok(Vec::new()),
            remarks: Vec::new(),
        };
        report.result = read(path).and_then(|file| {
            let loaded = rules::load(&file)?;
            report.remarks.clone_from(&loaded.remarks);
            report.remarks.extend(unknown_alerts(&file, &loaded));
            let wanted = |test: &&file::Test| {
                let run = self.run.as_ref();
                run.is_none_or(|regex| regex.is_match(&test.name))
            };
            let tests = file.tests.iter().filter(wanted);
            Ok(tests
                .map(|test| self.outcome(&file, test, &loaded))
                .collect())
        });
        report
    }

    fn outcome(&self, file: &File, test: &file::Test, loaded: &rules::Loaded) -> Outcome {
        let mut outcome = Outcome {
            name: test.name.clone(),
            ..Outcome::default()
        };
        if !test.only_scrapes() {
            outcome.failures = run::run(file, test, loaded);
        }
        for scrape in &test.scrapes {
            scrape::run(file, scrape, loaded, self.require_snapshots, &mut outcome);
        }
        outcome
    }
}

/// Alerts that no rule can fire: promtool takes their silence for a success.
fn unknown_alerts(file: &File, loaded: &rules::Loaded) -> Vec<String> {
    let known = loaded.alerts();
    let alerts = file.tests.iter().flat_map(|test| &test.alerts);
    let unknown = alerts.filter(|at| !known.contains(at.test.alertname.as_str()));
    unknown
        .map(|at| {
            format!(
                "{}:{}: no rule has the name {}",
                file.name, at.line, at.test.alertname
            )
        })
        .collect()
}

fn read(path: &Path) -> Result<File, Problems> {
    let text = std::fs::read_to_string(path).map_err(|error| Problem {
        file: path.display().to_string(),
        line: 0,
        path: String::new(),
        message: format!("cannot be read: {error}"),
    })?;
    File::read(path, &text)
}
