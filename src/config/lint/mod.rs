//! Lints: remarks about rules that are valid but probably not what their author intended.
//!
//! A lint is a pure function of a rule and its context. [`Lint`] is the table of all lints; each
//! has a stable name, by which it can be left out. A remark has the place of the mistake and a
//! remedy.

mod alerts;
mod calls;
mod catalogue;
mod exprs;
mod intervals;
mod labels;
mod retraining;
mod selection;
mod selectors;
mod sets;
mod settings;
mod strategies;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

pub(crate) use catalogue::{Example, Lint};
pub(crate) use labels::kept;
pub(crate) use selection::Lints;

use super::exposed::Exposed;
use super::problem::Problem;
use super::yaml::Document;
use super::{Config, Source};
use crate::map::Recording;
use crate::promql::Expr;
use crate::rules::{Group, Rule};

/// One remark.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Remark {
    /// The place and the message.
    pub problem: Problem,
    /// The lint that found it.
    pub lint: Lint,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.problem, self.lint)
    }
}

/// What the lints look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LintContext<'a> {
    /// Settings and rules.
    pub config: &'a Config,
    /// Whether the settings are those of a configuration file. Without one, lints about targets and
    /// receivers are skipped.
    pub has_settings: bool,
    /// What the target exposes, if that is known.
    pub exposed: Option<&'a Exposed>,
}

/// The remarks of the selected lints, sorted by file and line.
#[must_use]
pub(crate) fn remarks(input: &LintContext<'_>, selected: &Lints) -> Vec<Remark> {
    let groups = &input.config.rules.groups;
    let set = SetContext::of(input);
    let mut findings = Vec::new();
    for group in groups {
        for (index, rule) in group.rules.iter().enumerate() {
            let context = RuleContext {
                group,
                index,
                rule,
                set: &set,
            };
            for lint in [
                alerts::lint,
                exprs::lint,
                calls::lint,
                selectors::lint,
                strategies::lint,
                labels::lint,
                retraining::lint,
            ] {
                lint(&context, &mut findings);
            }
        }
    }
    sets::lint(groups, &set, &mut findings);
    intervals::lint(groups, &set, &mut findings);
    settings::lint(input, &mut findings);
    let mut places = Places::new(&input.config.sources);
    let mut remarks: Vec<Remark> = findings
        .into_iter()
        .filter(|finding| selected.has(finding.lint))
        .map(|finding| places.locate(finding))
        .collect();
    remarks.sort();
    remarks.dedup();
    remarks
}

/// What a lint knows about all rules.
struct SetContext<'a> {
    input: &'a LintContext<'a>,
    /// Time between scrapes.
    interval: Duration,
    /// Every record by its name.
    recorded: BTreeMap<&'a str, &'a Recording>,
    /// Every selector of every rule.
    used: Vec<crate::metric::Selector>,
}

impl<'a> SetContext<'a> {
    fn of(input: &'a LintContext<'a>) -> Self {
        let groups = &input.config.rules.groups;
        let rules = || groups.iter().flat_map(|group| &group.rules);
        let recorded = rules().filter_map(|rule| match rule {
            Rule::Record(recording) => Some((recording.name.as_str(), recording)),
            Rule::Alert { .. } | Rule::Watch(_) => None,
        });
        Self {
            input,
            interval: input.config.settings.global.scrape_interval,
            recorded: recorded.collect(),
            used: rules()
                .flat_map(Rule::expressions)
                .flat_map(Expr::selectors)
                .collect(),
        }
    }
}

/// What a lint knows about one rule.
struct RuleContext<'a> {
    group: &'a Group,
    index: usize,
    rule: &'a Rule,
    set: &'a SetContext<'a>,
}

impl<'a> RuleContext<'a> {
    /// Time between evaluations.
    fn interval(&self) -> Duration {
        self.group.interval.unwrap_or(self.set.interval)
    }

    /// Every expression of the rule, with its key.
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

    /// The main expression: `expr`.
    fn expr(&self) -> Option<&'a Expr> {
        self.rule.expressions().into_iter().next()
    }

    fn remark(&self, lint: Lint, below: &str, message: impl Into<String>) -> Finding {
        let path = format!("{}.rules[{}]", self.group.place.path, self.index);
        Finding {
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

/// A remark whose line is not known yet.
struct Finding {
    lint: Lint,
    file: String,
    document: usize,
    path: String,
    message: String,
}

/// Finds the lines of findings; each file is parsed once.
struct Places<'a> {
    sources: &'a [Source],
    parsed: BTreeMap<String, Vec<Document>>,
    tried: BTreeSet<String>,
}

impl<'a> Places<'a> {
    fn new(sources: &'a [Source]) -> Self {
        Self {
            sources,
            parsed: BTreeMap::new(),
            tried: BTreeSet::new(),
        }
    }

    fn locate(&mut self, finding: Finding) -> Remark {
        if self.tried.insert(finding.file.clone())
            && let Some(source) = self.sources.iter().find(|one| one.file == finding.file)
            && let Ok(documents) = Document::parse_all(&source.file, &source.text)
        {
            self.parsed.insert(finding.file.clone(), documents);
        }
        let documents = self.parsed.get(&finding.file);
        let document = documents.and_then(|all| all.get(finding.document));
        let line = document.map_or(0, |document| document.line(&finding.path));
        Remark {
            lint: finding.lint,
            problem: Problem {
                file: finding.file,
                line,
                path: finding.path,
                message: finding.message,
            },
        }
    }
}

#[cfg(test)]
mod tests;
