//! What came of test files, and how it is told.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::config::Problems;
use crate::metric::format_duration;

/// What came of one file.
#[derive(Debug)]
pub struct Report {
    /// As the user named it.
    pub file: String,
    /// Its tests, or what is wrong with it or its rules.
    pub result: Result<Vec<Outcome>, Problems>,
    /// What looks like a slip and is none for promtool.
    pub remarks: Vec<String>,
}

/// What came of one test.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The test's name.
    pub name: String,
    /// What did not hold.
    pub failures: Vec<Failure>,
    /// Line and reason of what was not tested.
    pub skipped: Vec<(usize, String)>,
}

/// An assertion that does not hold.
#[derive(Debug)]
pub struct Failure {
    /// Where it stands.
    pub line: usize,
    /// The kind of test and what it is about.
    pub what: String,
    /// When, since the start of the test.
    pub eval_time: Option<Duration>,
    /// What is wrong, in a sentence.
    pub message: String,
    /// `-` expected, `+` not expected.
    pub diff: Vec<String>,
}

impl Report {
    /// Whether everything that was tested holds.
    #[must_use]
    pub fn passed(&self) -> bool {
        let outcomes = self.result.as_ref();
        outcomes.is_ok_and(|outcomes| outcomes.iter().all(|test| test.failures.is_empty()))
    }

    /// Lines for people.
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

    /// The same for programs.
    #[must_use]
    pub fn json(&self) -> Json {
        match &self.result {
            Err(problems) => {
                let problems = problems.as_slice().iter();
                let problems = problems.map(|problem| {
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
            lines.push(format!("  {file}:{line}: {}: {what}: {message}", self.name));
            lines.extend(failure.diff.iter().map(|line| format!("      {line}")));
        }
        let skipped = self.skipped.iter();
        lines.extend(
            skipped.map(|(line, why)| format!("  {file}:{line}: {}: skipped: {why}", self.name)),
        );
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
        let skipped = self.skipped.iter();
        let skipped = skipped.map(|(line, why)| json!({"line": line, "why": why}));
        json!({
            "name": self.name,
            "verdict": if self.failures.is_empty() { "pass" } else { "fail" },
            "failures": failures.collect::<Vec<_>>(),
            "skipped": skipped.collect::<Vec<_>>(),
        })
    }
}
