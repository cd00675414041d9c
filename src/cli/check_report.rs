//! What a check found, for people and for programs.

use std::fmt;

use serde_json::{Value as Json, json};

use crate::config::lint::Remark;
use crate::config::{Problem, Problems};

/// Everything that was found in all files.
#[derive(Debug, Default)]
pub(super) struct Report {
    files: Vec<File>,
    notes: Vec<String>,
    pub(super) problems: Vec<Problem>,
    pub(super) remarks: Vec<Remark>,
}

/// A file that was read.
#[derive(Debug)]
struct File {
    name: String,
    /// How many rules it has; `None` when it is invalid.
    rules: Option<usize>,
}

impl Report {
    /// A file with mistakes.
    pub(super) fn invalid(&mut self, name: String, problems: &Problems) {
        self.problems.extend_from_slice(problems.as_slice());
        self.files.push(File { name, rules: None });
    }

    /// A file without.
    pub(super) fn valid(&mut self, name: String, rules: usize) {
        let rules = Some(rules);
        self.files.push(File { name, rules });
    }

    /// What the reader should know besides.
    pub(super) fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// The shape of `--format json`.
    pub(super) fn to_json(&self) -> Json {
        let place = |problem: &Problem| {
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
            let mut json = place(&remark.problem);
            json["lint"] = remark.lint.name().into();
            json
        });
        json!({
            "files": files.collect::<Vec<_>>(),
            "problems": self.problems.iter().map(place).collect::<Vec<_>>(),
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
