//! The findings of a check, as text and as JSON, and the exit code they lead to.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::ValueEnum;
use serde_json::{Value as Json, json};

use crate::cli::error::Error;
use crate::config::lint::{Lints, Remark};
use crate::config::{Problem, Problems};

/// The exit code when a file is invalid.
pub(super) const INVALID: u8 = 1;
/// The exit code when all files are valid and at least one has a remark.
pub(super) const REMARKS: u8 = 3;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct ReportOptions {
    /// Lints to apply: all, none, or names separated by commas; sidewatch check --help lists them
    #[arg(long, value_name = "LINTS", default_value = "all")]
    pub(super) lint: Lints,
    /// Treat remarks as mistakes: exit with 1 instead of 3
    #[arg(long)]
    lint_fatal: bool,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line for each mistake, remark and file
    Text,
    /// One object
    Json,
}

impl ReportOptions {
    /// Prints the report and returns its exit code.
    pub(super) fn print(&self, report: &Report, out: &mut dyn Write) -> Result<ExitCode, Error> {
        self.write(report, out)
            .map_err(|error| Error::unprintable(&error))?;
        Ok(ExitCode::from(self.exit_code(report)))
    }

    fn write(&self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        match self.format {
            Format::Text => write!(out, "{report}"),
            Format::Json => writeln!(out, "{}", report.to_json()),
        }
    }

    fn exit_code(&self, report: &Report) -> u8 {
        match (report.problems.is_empty(), report.remarks.is_empty()) {
            (true, true) => 0,
            (true, false) if !self.lint_fatal => REMARKS,
            _ => INVALID,
        }
    }
}

/// The findings in all files.
#[derive(Debug, Default)]
pub(super) struct Report {
    files: Vec<File>,
    notes: Vec<String>,
    pub(super) problems: Vec<Problem>,
    pub(super) remarks: Vec<Remark>,
}

/// A checked file.
#[derive(Debug)]
struct File {
    name: String,
    /// Number of rules; `None` if the file is invalid.
    rules: Option<usize>,
}

impl Report {
    /// Adds an invalid file.
    pub(super) fn invalid(&mut self, name: String, problems: &Problems) {
        self.problems.extend_from_slice(problems.as_slice());
        self.files.push(File { name, rules: None });
    }

    /// Adds a valid file.
    pub(super) fn valid(&mut self, name: String, rules: usize) {
        let rules = Some(rules);
        self.files.push(File { name, rules });
    }

    /// Adds a note that is neither a mistake nor a remark.
    pub(super) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// The output of `--format json`.
    pub(super) fn to_json(&self) -> Json {
        let location = |problem: &Problem| {
            json!({
                "file": problem.file,
                "line": (problem.line > 0).then_some(problem.line),
                "path": problem.path,
                "message": problem.message,
            })
        };
        let files = self.files.iter().map(
            |file| json!({"file": file.name, "valid": file.rules.is_some(), "rules": file.rules}),
        );
        let remarks = self.remarks.iter().map(|remark| {
            let mut json = location(&remark.problem);
            json["lint"] = remark.lint.name().into();
            json
        });
        json!({
            "files": files.collect::<Vec<_>>(),
            "problems": self.problems.iter().map(location).collect::<Vec<_>>(),
            "remarks": remarks.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        for remark in &self.remarks {
            writeln!(f, "{remark}")?;
        }
        for file in &self.files {
            match file.rules {
                Some(1) => writeln!(f, "{}: 1 rule is valid", file.name)?,
                Some(rules) => writeln!(f, "{}: {rules} rules are valid", file.name)?,
                None => {}
            }
        }
        Ok(())
    }
}
