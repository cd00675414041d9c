//! The server that has the history, and the queries to it.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::target_labels::TargetLabels;
use crate::config::settings::Backfill as Settings;
use crate::config::{Config, lint};
use crate::history::{Error, Limits, Prometheus, Range};
use crate::monitor::{Question, questions};
use crate::promql::Expr;
use crate::replay::Answers;
use crate::rules::{Rule, RuleSet};

/// Concurrent queries, few enough to leave the server capacity for other clients.
const CONCURRENCY: usize = 2;
/// Largest answer to one query, in bytes.
const MAX_ANSWER: u64 = 32 << 20;
/// Timeout of one query.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The server that has the history, and the queries to it.
pub(super) struct Server {
    pub(super) prometheus: Prometheus,
    pub(super) questions: Vec<Question>,
    /// The labels that each expression keeps, if it lists them.
    kept: HashMap<String, BTreeSet<String>>,
    here: TargetLabels,
}

impl Server {
    pub(super) fn new(config: &Config, settings: &Settings) -> Self {
        let limits = Limits {
            timeout: ANSWER_TIMEOUT,
            answer: MAX_ANSWER,
            attempts: 1,
            series: config.settings.scrape.limits(),
        };
        let questions = asked(&config.rules, settings);
        Self {
            prometheus: Prometheus::new(&settings.url, settings.http.clone()).with_limits(limits),
            kept: kept(&questions),
            questions,
            here: TargetLabels::of(&config.settings),
        }
    }

    /// Runs every query over a range. A refused expression is recorded as an error, not a failure.
    pub(super) async fn ask(&self, range: Range) -> Result<Answers, Error> {
        let questions: Vec<Question> = self.questions.clone();
        let asked =
            stream::iter(questions).map(|question| self.prometheus.ask_about(question, range));
        let mut asked = asked.buffered(CONCURRENCY);
        let mut answers = Answers::default();
        while let Some(answer) = asked.next().await {
            let (written, answer) = answer?;
            let kept = self.kept.get(&written);
            let answer = answer.map(|series| self.here.mapped(series, kept));
            answers.put(written, answer);
        }
        Ok(answers)
    }
}

/// The labels that expressions keep, by their text.
fn kept(questions: &[Question]) -> HashMap<String, BTreeSet<String>> {
    let kept = questions.iter().filter_map(|question| {
        let expr = Expr::parse(&question.written).ok()?;
        Some((question.written.clone(), lint::kept(&expr)?))
    });
    kept.collect()
}

/// The queries for records and watches; a plain alert learns nothing.
fn asked(rules: &RuleSet, settings: &Settings) -> Vec<Question> {
    let wanted: BTreeSet<&str> = rules
        .rules()
        .filter_map(|rule| match rule {
            Rule::Record(recording) => Some(recording.expr().text()),
            Rule::Watch(watch) => Some(watch.expr.text()),
            Rule::Alert { .. } => None,
        })
        .collect();
    let mut all = questions(rules, &settings.matchers);
    all.retain(|question| wanted.contains(question.written.as_str()));
    all
}
