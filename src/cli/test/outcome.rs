//! The results of test files, as text and as JSON.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::config::Problems;
use crate::metric::format_duration;
use crate::runtime::one_line;

/// The results of one file.
#[derive(Debug)]
pub struct Report {
    /// The path as given on the command line.
    pub file: String,
    /// The results of its tests, or the problems of the file and its rules.
    pub result: Result<Vec<Outcome>, Problems>,
    /// Probable mistakes that promtool accepts.
    pub remarks: Vec<String>,
}

/// The result of one test.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The test's name.
    pub name: String,
    /// The assertions that failed.
    pub failures: Vec<Failure>,
    /// The assertions that were skipped.
    pub skipped: Vec<Skipped>,
}

/// An assertion that was not checked.
#[derive(Debug)]
pub struct Skipped {
    /// Its line in the file.
    pub line: usize,
    /// Why it was skipped.
    pub reason: String,
}

/// An assertion that failed.
#[derive(Debug)]
pub struct Failure {
    /// Its line in the file.
    pub line: usize,
    /// The kind of assertion and its subject.
    pub what: String,
    /// The evaluation time since the start of the test.
    pub eval_time: Option<Duration>,
    /// The error message.
    pub message: String,
    /// Lines with `-` are expected and missing, lines with `+` are unexpected.
    pub diff: Vec<String>,
}

impl Report {
    /// Whether the file is valid and all assertions passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.result
            .as_ref()
            .is_ok_and(|tests| tests.iter().all(|test| test.failures.is_empty()))
    }

    /// The report as lines of text.
    #[must_use]
    pub fn text(&self) -> String {
        let file = &self.file;
        let mut lines: Vec<String> = self
            .remarks
            .iter()
            .map(|text| format!("  {text}"))
            .collect();
        let summary = match &self.result {
            Err(problems) => {
                lines.extend(
                    problems
                        .as_slice()
                        .iter()
                        .map(|problem| format!("  {problem}")),
                );
                format!("{file}: FAILED (invalid)")
            }
            Ok(outcomes) => {
                lines.extend(outcomes.iter().flat_map(|outcome| outcome.lines(file)));
                let verdict = if self.passed() { "SUCCESS" } else { "FAILED" };
                let tests = outcomes.len();
                let plural = if tests == 1 { "" } else { "s" };
                format!("{file}: {verdict} ({tests} test{plural})")
            }
        };
        lines.insert(0, summary);
        lines.join("\n")
    }

    /// The report as a JSON object.
    #[must_use]
    pub fn json(&self) -> Json {
        match &self.result {
            Err(problems) => {
                let problems = problems.as_slice().iter().map(|problem| {
                    json!({"file": problem.file, "line": problem.line, "path": problem.path, "message": problem.message})
                });
                json!({
                    "file": self.file, "verdict": "invalid", "remarks": self.remarks,
                    "problems": problems.collect::<Vec<_>>(),
                })
            }
            Ok(outcomes) => json!({
                "file": self.file,
                "verdict": if self.passed() { "pass" } else { "fail" },
                "remarks": self.remarks,
                "tests": outcomes.iter().map(Outcome::json).collect::<Vec<_>>(),
            }),
        }
    }
}

impl Outcome {
    fn lines(&self, file: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for failure in &self.failures {
            let Failure {
                line,
                what,
                message,
                ..
            } = failure;
            let message = one_line(message);
            lines.push(format!("  {file}:{line}: {}: {what}: {message}", self.name));
            lines.extend(failure.diff.iter().map(|line| format!("      {line}")));
        }
        for Skipped { line, reason } in &self.skipped {
            let reason = one_line(reason);
            lines.push(format!("  {file}:{line}: {}: skipped: {reason}", self.name));
        }
        lines
    }

    fn json(&self) -> Json {
        let failures = self.failures.iter().map(|failure| {
            json!({
                "line": failure.line,
                "what": failure.what,
                "eval_time": failure.eval_time.map(format_duration),
                "message": failure.message,
                "diff": failure.diff,
            })
        });
        let skipped = self
            .skipped
            .iter()
            .map(|skipped| json!({"line": skipped.line, "why": skipped.reason}));
        json!({
            "name": self.name,
            "verdict": if self.failures.is_empty() { "pass" } else { "fail" },
            "failures": failures.collect::<Vec<_>>(),
            "skipped": skipped.collect::<Vec<_>>(),
        })
    }
}
