//! What is valid and probably not meant: remarks about checked rules, each with its place and a remedy.
//!
//! A lint is a pure function over a rule and what is known around it. Each has a short stable name, so that it can be left out.

mod alerts;
mod calls;
mod exprs;
mod labels;
mod names;
mod selectors;
mod sets;
mod settings;
mod strategies;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

pub use labels::kept;
pub use names::{Lint, Lints};

use super::exposed::Exposed;
use super::problem::Problem;
use super::yaml::Document;
use super::{Config, Source};
use crate::map::Recording;
use crate::promql::Expr;
use crate::rules::{Group, Rule};

/// One remark.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// Where it is and what to do about it.
    pub problem: Problem,
    /// Which lint says so.
    pub lint: Lint,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.problem, self.lint)
    }
}

/// What rules are looked at in the light of.
#[derive(Debug, Clone, Copy)]
pub struct Around<'a> {
    /// Settings and rules.
    pub config: &'a Config,
    /// Whether the settings are the user's: targets and receivers count only then.
    pub whole: bool,
    /// What the target exposes, when that is known.
    pub exposed: Option<&'a Exposed>,
}

/// Every remark of the wanted lints, by file and line.
#[must_use]
pub fn remarks(around: &Around<'_>, wanted: &Lints) -> Vec<Remark> {
    let groups = &around.config.rules.groups;
    let known = Known::of(around);
    let mut found = Vec::new();
    for group in groups {
        for (index, rule) in group.rules.iter().enumerate() {
            let about = About {
                group,
                index,
                rule,
                known: &known,
            };
            for lint in [
                alerts::lint,
                exprs::lint,
                calls::lint,
                selectors::lint,
                strategies::lint,
                labels::lint,
            ] {
                lint(&about, &mut found);
            }
        }
    }
    sets::lint(groups, &known, &mut found);
    settings::lint(around, &mut found);
    let mut places = Places::new(&around.config.sources);
    let wanted = found.into_iter().filter(|found| wanted.has(found.lint));
    let mut remarks: Vec<Remark> = wanted.map(|found| places.locate(found)).collect();
    remarks.sort();
    remarks.dedup();
    remarks
}

/// What a lint knows around the rule that it looks at.
struct Known<'a> {
    around: &'a Around<'a>,
    /// Time between scrapes.
    interval: Duration,
    /// Every record by its name.
    recorded: BTreeMap<&'a str, &'a Recording>,
    /// Every selected metric that is pinned by its name, or may be matched by a pattern.
    used: Vec<crate::metric::Selector>,
}

impl<'a> Known<'a> {
    fn of(around: &'a Around<'a>) -> Self {
        let groups = &around.config.rules.groups;
        let rules = || groups.iter().flat_map(|group| &group.rules);
        let recorded = rules().filter_map(|rule| match rule {
            Rule::Record(recording) => Some((recording.name.as_str(), recording)),
            Rule::Alert { .. } | Rule::Watch(_) => None,
        });
        Self {
            around,
            interval: around.config.settings.global.scrape_interval,
            recorded: recorded.collect(),
            used: rules()
                .flat_map(Rule::expressions)
                .flat_map(Expr::selectors)
                .collect(),
        }
    }
}

/// A rule that is looked at.
struct About<'a> {
    group: &'a Group,
    index: usize,
    rule: &'a Rule,
    known: &'a Known<'a>,
}

impl<'a> About<'a> {
    /// Time between evaluations.
    fn interval(&self) -> Duration {
        self.group.interval.unwrap_or(self.known.interval)
    }

    /// Every expression and the key it stands under.
    fn expressions(&self) -> impl Iterator<Item = (&'static str, &'a Expr)> {
        let watch = matches!(self.rule, Rule::Watch(_));
        let all = self.rule.expressions().into_iter().enumerate();
        all.map(move |(n, expr)| {
            (
                if watch && n > 0 {
                    "retrain.unless"
                } else {
                    "expr"
                },
                expr,
            )
        })
    }

    /// The expression whose value the rule is about.
    fn expr(&self) -> Option<&'a Expr> {
        self.rule.expressions().into_iter().next()
    }

    fn remark(&self, lint: Lint, below: &str, message: impl Into<String>) -> Found {
        let path = format!("{}.rules[{}]", self.group.place.path, self.index);
        Found {
            lint,
            file: self.group.file.clone(),
            document: self.group.place.document,
            path: if below.is_empty() {
                path
            } else {
                format!("{path}.{below}")
            },
            message: message.into(),
        }
    }
}

/// A remark before its line is known.
struct Found {
    lint: Lint,
    file: String,
    document: usize,
    path: String,
    message: String,
}

/// The lines of every file.
struct Places<'a> {
    sources: &'a [Source],
    read: BTreeMap<String, Vec<Document>>,
    seen: BTreeSet<String>,
}

impl<'a> Places<'a> {
    fn new(sources: &'a [Source]) -> Self {
        Self {
            sources,
            read: BTreeMap::new(),
            seen: BTreeSet::new(),
        }
    }

    fn locate(&mut self, found: Found) -> Remark {
        if self.seen.insert(found.file.clone())
            && let Some(source) = self.sources.iter().find(|one| one.file == found.file)
            && let Ok(documents) = Document::parse_all(&source.file, &source.text)
        {
            self.read.insert(found.file.clone(), documents);
        }
        let documents = self.read.get(&found.file);
        let document = documents.and_then(|all| all.get(found.document));
        let line = document.map_or(0, |document| document.line(&found.path));
        Remark {
            lint: found.lint,
            problem: Problem {
                file: found.file,
                line,
                path: found.path,
                message: found.message,
            },
        }
    }
}

#[cfg(test)]
mod tests;
