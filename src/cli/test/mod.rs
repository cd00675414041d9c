//! `sidewatch test`: unit tests of rules in promtool's format, and tests of verdicts and saved
//! scrapes.
//!
//! A [`ModelMonitor`](crate::ModelMonitor) evaluates the samples of a test, tick by tick.

mod assertion;
mod diff;
mod fields;
mod file;
mod outcome;
mod rules;
mod run;
mod scrape;

pub(crate) use self::outcome::Outcome;
pub use self::outcome::Report;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use regex::Regex;
use serde_json::json;

use self::file::File;
use super::error::Error;
use crate::config::{Problem, Problems};

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line for each file, and the failures
    Text,
    /// One object with every test
    Json,
}

/// Run unit tests of rules: exit code 0 if all tests pass, 1 if one fails or a file is invalid
#[derive(Debug, clap::Args)]
pub struct Test {
    /// Test files, in the format of promtool
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Run only tests whose name matches
    #[arg(long, value_name = "REGEX")]
    pub run: Option<Regex>,
    /// Fail if an optional folder of snapshots is missing
    #[arg(long)]
    pub require_snapshots: bool,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

impl Test {
    /// Runs the tests of all files and prints the reports.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn run(&self, out: &mut dyn Write) -> Result<ExitCode, Error> {
        let passed = self
            .print_reports(out)
            .map_err(|error| Error::unprintable(&error))?;
        Ok(if passed {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// Returns whether all tests passed.
    fn print_reports(&self, out: &mut dyn Write) -> io::Result<bool> {
        let (mut json_reports, mut passed) = (Vec::new(), true);
        for path in &self.files {
            let report = self.report(path);
            passed &= report.passed();
            match self.format {
                Format::Text => writeln!(out, "{}", report.text())?,
                Format::Json => json_reports.push(report.json()),
            }
        }
        if self.format == Format::Json {
            writeln!(out, "{}", json!({"files": json_reports}))?;
        }
        Ok(passed)
    }

    /// Runs the tests of one file.
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
            let is_selected = |test: &&file::Test| {
                let pattern = self.run.as_ref();
                pattern.is_none_or(|pattern| pattern.is_match(&test.name))
            };
            Ok(file
                .tests
                .iter()
                .filter(is_selected)
                .map(|test| self.outcome(&file, test, &loaded))
                .collect())
        });
        report
    }

    fn outcome(&self, file: &File, test: &file::Test, loaded: &rules::LoadedRules) -> Outcome {
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

/// Remarks about alert names that no rule has. promtool lets such a test pass if it expects no
/// alert.
fn unknown_alerts(file: &File, loaded: &rules::LoadedRules) -> Vec<String> {
    let known = loaded.alerts();
    file.tests
        .iter()
        .flat_map(|test| &test.alerts)
        .filter(|assertion| !known.contains(assertion.test.alertname.as_str()))
        .map(|assertion| {
            format!(
                "{}:{}: no rule has the name {}",
                file.name, assertion.line, assertion.test.alertname
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
