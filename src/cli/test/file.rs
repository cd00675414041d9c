//! Reads a test file, or reports all its problems at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::assertion::{
    AlertTest, ExprTest, ScrapeTest, TimedAssertion, VerdictTest, alert_test, expr_test,
    scrape_test, timed, verdict_test,
};
use super::fields::{duration, list_of, metric};
use crate::config::{Document, Problems};
use crate::describe::{Fields, Node};
use crate::history::parse_time;
use crate::metric::{Labels, Timestamp};
use crate::promql::notation::parse_first_values;

/// The default interval of promtool.
const EVALUATION_INTERVAL: Duration = Duration::from_secs(60);

/// A test file.
#[derive(Debug)]
pub(super) struct File {
    /// The path as given on the command line.
    pub(super) name: String,
    /// The folder that paths in the file are relative to.
    pub(super) dir: PathBuf,
    /// Paths and globs as written, with their lines.
    pub(super) rule_files: Vec<(String, usize)>,
    /// Time between evaluations.
    pub(super) evaluation_interval: Duration,
    /// The order in which groups are evaluated.
    pub(super) group_eval_order: Vec<String>,
    /// Whether values may differ in their last bit.
    pub(super) fuzzy_compare: bool,
    pub(super) tests: Vec<Test>,
}

/// Input samples and assertions.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) name: String,
    pub(super) line: usize,
    /// Time between two values of a series.
    pub(super) interval: Duration,
    pub(super) series: Vec<InputSeries>,
    pub(super) external_labels: Labels,
    pub(super) external_url: String,
    /// The time of the first value and the first evaluation.
    pub(super) start: Timestamp,
    pub(super) alerts: Vec<TimedAssertion<AlertTest>>,
    pub(super) exprs: Vec<TimedAssertion<ExprTest>>,
    pub(super) verdicts: Vec<TimedAssertion<VerdictTest>>,
    pub(super) scrapes: Vec<ScrapeTest>,
}

/// A series with the values that a test gives it, one each interval.
#[derive(Debug)]
pub(super) struct InputSeries {
    pub(super) labels: Labels,
    /// Special NaN values stand for a missing sample and for the end of the series.
    pub(super) values: Vec<f64>,
}

impl Test {
    /// Whether all assertions are about saved scrapes.
    pub(super) fn only_scrapes(&self) -> bool {
        !self.scrapes.is_empty()
            && self.series.is_empty()
            && self.alerts.is_empty()
            && self.exprs.is_empty()
            && self.verdicts.is_empty()
    }
}

impl File {
    /// Reads the text of a test file.
    ///
    /// # Errors
    /// All problems of the file.
    pub(super) fn read(path: &Path, text: &str) -> Result<Self, Problems> {
        let name = path.display().to_string();
        let document = Document::parse(&name, text)?;
        let reader = document.reader();
        let file = reader.root().fields().map(|mut fields| {
            let evaluation_interval =
                duration(&mut fields, "evaluation_interval").unwrap_or(EVALUATION_INTERVAL);
            let file = Self {
                name: name.clone(),
                dir: path.parent().unwrap_or(Path::new("")).to_owned(),
                rule_files: list_of(&mut fields, "rule_files", |node| {
                    Some((node.text()?, node.line()))
                }),
                evaluation_interval,
                group_eval_order: group_order(&mut fields),
                fuzzy_compare: fields.boolean("fuzzy_compare").unwrap_or(false),
                tests: tests(&mut fields, evaluation_interval),
            };
            fields.finish();
            file
        });
        let problems = document.problems(reader.finish());
        match file {
            Some(file) => problems.into_result(file),
            None => Err(problems),
        }
    }
}

fn group_order(fields: &mut Fields<'_>) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    for node in fields.list("group_eval_order") {
        let Some(group) = node.text() else { continue };
        if order.contains(&group) {
            node.problem(format!(
                "the group {group:?} is in the order twice; remove one"
            ));
        }
        order.push(group);
    }
    order
}

fn tests(fields: &mut Fields<'_>, evaluation_interval: Duration) -> Vec<Test> {
    fields
        .list("tests")
        .iter()
        .enumerate()
        .filter_map(|(number, node)| test(node, number, evaluation_interval))
        .collect()
}

fn test(node: &Node<'_>, number: usize, evaluation_interval: Duration) -> Option<Test> {
    let mut fields = node.fields()?;
    let name = fields.text("name").filter(|name| !name.is_empty());
    let start = fields.get("start_timestamp").and_then(|node| start(&node));
    let ignore_annotations = fields.boolean("ignore_annotations").unwrap_or(false);
    let interval = duration(&mut fields, "interval").unwrap_or(evaluation_interval);
    let alerts = list_of(&mut fields, "alert_rule_test", |node| {
        timed(node, |fields| alert_test(fields, ignore_annotations))
    });
    let exprs = list_of(&mut fields, "promql_expr_test", |node| {
        timed(node, expr_test)
    });
    let verdicts = list_of(&mut fields, "verdict_test", |node| {
        timed(node, verdict_test)
    });
    let needed = needed_values(interval, end(&alerts, &exprs, &verdicts));
    let test = Test {
        // The same name as in promtool.
        name: name.unwrap_or_else(|| format!("unnamed#{number}")),
        line: node.line(),
        interval,
        series: list_of(&mut fields, "input_series", |node| input(node, needed)),
        external_labels: fields.labels("external_labels"),
        external_url: fields.text("external_url").unwrap_or_default(),
        start: start.unwrap_or_default(),
        alerts,
        exprs,
        verdicts,
        scrapes: list_of(&mut fields, "scrape_test", scrape_test),
    };
    fields.finish();
    Some(test)
}

/// The time of the last assertion.
fn end(
    alerts: &[TimedAssertion<AlertTest>],
    exprs: &[TimedAssertion<ExprTest>],
    verdicts: &[TimedAssertion<VerdictTest>],
) -> Duration {
    let alerts = alerts.iter().map(|at| at.eval_time);
    let exprs = exprs.iter().map(|at| at.eval_time);
    let verdicts = verdicts.iter().map(|at| at.eval_time);
    let all = alerts.chain(exprs).chain(verdicts);
    all.max().unwrap_or_default()
}

/// How many values of a series come before the end of a test.
fn needed_values(interval: Duration, end: Duration) -> usize {
    let steps = end.as_nanos() / interval.as_nanos().max(1);
    usize::try_from(steps).map_or(usize::MAX, |steps| steps.saturating_add(1))
}

impl Test {
    /// The time of the last assertion.
    pub(super) fn end(&self) -> Duration {
        end(&self.alerts, &self.exprs, &self.verdicts)
    }
}

/// Unix seconds or RFC 3339.
fn start(node: &Node<'_>) -> Option<Timestamp> {
    let text = node.text()?;
    let time = parse_time(&text);
    if time.is_none() {
        node.problem(format!(
            "not a time: {text:?}; write Unix seconds or RFC 3339"
        ));
    }
    time
}

/// Reads an input series as far as an assertion needs it.
fn input(node: &Node<'_>, needed: usize) -> Option<InputSeries> {
    let mut fields = node.fields()?;
    let labels = fields.required("series").and_then(|node| metric(&node));
    // Without values, the series has no samples, as in promtool.
    let values = fields.get("values").map_or(Some(Vec::new()), |node| {
        parse_first_values(&node.text()?, needed)
            .map_err(|error| node.problem(error))
            .ok()
    });
    fields.finish();
    let labels = labels?;
    if labels.is_empty() {
        node.problem_below(
            "series",
            "has neither a name nor labels; write name{label=\"value\"}",
        );
    }
    Some(InputSeries {
        labels,
        values: values?,
    })
}
