//! A test file as written → what is to be tested, or every problem at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::assertion::{
    AlertTest, At, ExprTest, ScrapeTest, VerdictTest, alert_test, at, expr_test, metric,
    scrape_test, verdict_test,
};
use crate::config::{Document, Problems};
use crate::describe::{Fields, Node};
use crate::history::parse_time;
use crate::metric::{Labels, Timestamp};
use crate::promql::notation::parse_values;

/// promtool's default.
const EVALUATION_INTERVAL: Duration = Duration::from_secs(60);

/// A test file.
#[derive(Debug)]
pub(super) struct File {
    /// As the user named it.
    pub(super) name: String,
    /// What the paths in it are relative to.
    pub(super) dir: PathBuf,
    /// Paths and globs as written, with their lines.
    pub(super) rule_files: Vec<(String, usize)>,
    /// Time between evaluations.
    pub(super) evaluation_interval: Duration,
    /// Groups that are evaluated in this order.
    pub(super) group_eval_order: Vec<String>,
    /// Values may differ in their last bit.
    pub(super) fuzzy_compare: bool,
    pub(super) tests: Vec<Test>,
}

/// Samples, and what is expected of them.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) name: String,
    pub(super) line: usize,
    /// Time between two values of a series.
    pub(super) interval: Duration,
    pub(super) series: Vec<(Labels, Vec<f64>)>,
    pub(super) external_labels: Labels,
    pub(super) external_url: String,
    /// The time of the first value and the first evaluation.
    pub(super) start: Timestamp,
    pub(super) alerts: Vec<At<AlertTest>>,
    pub(super) exprs: Vec<At<ExprTest>>,
    pub(super) verdicts: Vec<At<VerdictTest>>,
    pub(super) scrapes: Vec<ScrapeTest>,
}

impl Test {
    /// Whether it has nothing to evaluate but saved scrapes.
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
    /// Every problem of the file.
    pub(super) fn read(path: &Path, text: &str) -> Result<Self, Problems> {
        let name = path.display().to_string();
        let document = Document::parse(&name, text)?;
        let reader = document.reader();
        let file = reader.root().fields().map(|mut fields| {
            let evaluation_interval = interval(&mut fields, "evaluation_interval");
            let evaluation_interval = evaluation_interval.unwrap_or(EVALUATION_INTERVAL);
            let rule_files = fields.list("rule_files");
            let rule_files = rule_files
                .iter()
                .filter_map(|node| Some((node.text()?, node.line())));
            let file = Self {
                name: name.clone(),
                dir: path.parent().unwrap_or(Path::new("")).to_owned(),
                rule_files: rule_files.collect(),
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

/// A duration; 0 counts as absent, as in promtool.
pub(super) fn interval(fields: &mut Fields<'_>, key: &'static str) -> Option<Duration> {
    fields.duration(key).filter(|interval| !interval.is_zero())
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
    let nodes = fields.list("tests");
    let tests = nodes.iter().enumerate();
    tests
        .filter_map(|(number, node)| test(node, number, evaluation_interval))
        .collect()
}

fn test(node: &Node<'_>, number: usize, evaluation_interval: Duration) -> Option<Test> {
    let mut fields = node.fields()?;
    let name = fields.text("name").filter(|name| !name.is_empty());
    let start = fields.get("start_timestamp").and_then(|node| start(&node));
    let ignore_annotations = fields.boolean("ignore_annotations").unwrap_or(false);
    let test = Test {
        // promtool's way of naming it.
        name: name.unwrap_or_else(|| format!("unnamed#{number}")),
        line: node.line(),
        interval: interval(&mut fields, "interval").unwrap_or(evaluation_interval),
        series: each(&mut fields, "input_series", input),
        external_labels: fields.labels("external_labels"),
        external_url: fields.text("external_url").unwrap_or_default(),
        start: start.unwrap_or_default(),
        alerts: each(&mut fields, "alert_rule_test", |node| {
            at(node, |fields| alert_test(fields, ignore_annotations))
        }),
        exprs: each(&mut fields, "promql_expr_test", |node| at(node, expr_test)),
        verdicts: each(&mut fields, "verdict_test", |node| at(node, verdict_test)),
        scrapes: each(&mut fields, "scrape_test", scrape_test),
    };
    fields.finish();
    Some(test)
}

/// The items of a list that can be read.
pub(super) fn each<T>(
    fields: &mut Fields<'_>,
    key: &'static str,
    read: impl Fn(&Node<'_>) -> Option<T>,
) -> Vec<T> {
    fields.list(key).iter().filter_map(read).collect()
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

fn input(node: &Node<'_>) -> Option<(Labels, Vec<f64>)> {
    let mut fields = node.fields()?;
    let labels = fields.required("series").and_then(|node| metric(&node));
    // No values are a series without samples, as in promtool.
    let values = fields.get("values").map_or(Some(Vec::new()), |node| {
        let values = parse_values(&node.text()?);
        values.map_err(|error| node.problem(error)).ok()
    });
    fields.finish();
    let labels = labels?;
    if labels.is_empty() {
        node.problem_below(
            "series",
            "has neither a name nor labels; write name{label=\"value\"}",
        );
    }
    Some((labels, values?))
}
