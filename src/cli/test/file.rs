//! A test file as written → what is to be tested, or every problem at once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::score::read_time;
use crate::config::{Document, Fields, Node, Problems, Reader, Value};
use crate::metric::{Labels, Timestamp};
use crate::promql::Expr;
use crate::promql::notation::{parse_metric, parse_values};

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

/// An assertion about a moment.
#[derive(Debug)]
pub(super) struct At<T> {
    pub(super) line: usize,
    /// Since the start.
    pub(super) eval_time: Duration,
    pub(super) test: T,
}

/// The firing alerts of a name, exactly.
#[derive(Debug)]
pub(super) struct AlertTest {
    pub(super) alertname: String,
    /// Only labels are compared.
    pub(super) ignore_annotations: bool,
    /// Labels and annotations.
    pub(super) expected: Vec<(Labels, Labels)>,
}

/// The samples of an expression, exactly.
#[derive(Debug)]
pub(super) struct ExprTest {
    pub(super) expr: Expr,
    pub(super) expected: Vec<(Labels, f64)>,
}

/// The verdicts of a watch, exactly.
#[derive(Debug)]
pub(super) struct VerdictTest {
    pub(super) rule: String,
    pub(super) expected: Vec<ExpectedVerdict>,
}

/// What a strategy should say of a series.
#[derive(Debug)]
pub(super) struct ExpectedVerdict {
    pub(super) labels: Labels,
    pub(super) state: String,
    /// The score and the decimals it was written with.
    pub(super) score: Option<(f64, i32)>,
}

/// Saved scrapes and the alerts that fire on them, exactly.
#[derive(Debug)]
pub(super) struct ScrapeTest {
    pub(super) line: usize,
    /// As written.
    pub(super) snapshots: String,
    pub(super) step: Option<Duration>,
    /// Skipped where the folder is missing.
    pub(super) optional: bool,
    pub(super) expected: Vec<ExpectedFiring>,
}

/// An alert that fires on saved scrapes.
#[derive(Debug)]
pub(super) struct ExpectedFiring {
    pub(super) line: usize,
    pub(super) rule: String,
    /// Labels that it has among others.
    pub(super) labels: Labels,
    /// Seconds, both included.
    pub(super) fired_between: Option<(f64, f64)>,
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
        let reader = Reader::new(&document);
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
        let problems = reader.finish();
        match file {
            Some(file) => problems.into_result(file),
            None => Err(problems),
        }
    }
}

/// A duration; 0 counts as absent, as in promtool.
fn interval(fields: &mut Fields<'_>, key: &'static str) -> Option<Duration> {
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

fn each<T>(
    fields: &mut Fields<'_>,
    key: &'static str,
    read: impl Fn(&Node<'_>) -> Option<T>,
) -> Vec<T> {
    fields.list(key).iter().filter_map(read).collect()
}

/// Unix seconds or RFC 3339.
fn start(node: &Node<'_>) -> Option<Timestamp> {
    let text = node.text()?;
    let time = read_time(&text);
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

fn metric(node: &Node<'_>) -> Option<Labels> {
    let text = node.text()?;
    let read = parse_metric(&text);
    read.map_err(|error| node.problem(error)).ok()
}

fn at<T>(node: &Node<'_>, read: impl Fn(&mut Fields<'_>) -> Option<T>) -> Option<At<T>> {
    let mut fields = node.fields()?;
    let eval_time = fields.duration("eval_time").unwrap_or_default();
    let test = read(&mut fields);
    fields.finish();
    Some(At {
        line: node.line(),
        eval_time,
        test: test?,
    })
}

fn alert_test(fields: &mut Fields<'_>, ignore_annotations: bool) -> Option<AlertTest> {
    let ignored = fields.boolean("ignore_annotations");
    let alertname = fields.required("alertname").and_then(|node| node.text());
    let expected = each(fields, "exp_alerts", |node| {
        let mut fields = node.fields()?;
        let labels = texts(&mut fields, "exp_labels");
        let annotations = texts(&mut fields, "exp_annotations");
        fields.finish();
        Some((labels, annotations))
    });
    let alertname = alertname?;
    // It is implied, and wins over what is written, as in promtool.
    let named = |labels: &Labels| labels.with("alertname", &alertname);
    let expected = expected.iter();
    let expected = expected.map(|(labels, annotations)| (named(labels), annotations.clone()));
    Some(AlertTest {
        ignore_annotations: ignored.unwrap_or(false) || ignore_annotations,
        expected: expected.collect(),
        alertname,
    })
}

fn texts(fields: &mut Fields<'_>, key: &'static str) -> Labels {
    let node = fields.get(key);
    Labels::new(node.and_then(|node| node.text_map()).unwrap_or_default())
}

fn expr_test(fields: &mut Fields<'_>) -> Option<ExprTest> {
    let expr = fields.required("expr").and_then(|node| {
        let text = node.text()?;
        Expr::parse(&text)
            .map_err(|error| node.problem(error.to_string()))
            .ok()
    });
    let expected = each(fields, "exp_samples", |node| {
        let mut fields = node.fields()?;
        let labels = fields
            .get("labels")
            .map_or(Some(Labels::empty()), |node| metric(&node));
        let value = fields.get("value").map_or(Some(0.0), |node| number(&node));
        if let Some(node) = fields.get("histogram") {
            node.problem("native histograms are not evaluated here; test a quantile or a bucket of a classic one");
        }
        fields.finish();
        Some((labels?, value?))
    });
    Some(ExprTest {
        expr: expr?,
        expected,
    })
}

fn verdict_test(fields: &mut Fields<'_>) -> Option<VerdictTest> {
    let rule = fields.required("rule").and_then(|node| node.text());
    let expected = each(fields, "exp_verdicts", |node| {
        let mut fields = node.fields()?;
        let labels = texts(&mut fields, "labels");
        let state = fields.required("state").and_then(|node| state(&node));
        let score = fields
            .get("score")
            .and_then(|node| Some((number(&node)?, decimals(&node.text()?))));
        fields.finish();
        Some(ExpectedVerdict {
            labels,
            state: state?,
            score,
        })
    });
    Some(VerdictTest {
        rule: rule?,
        expected,
    })
}

fn state(node: &Node<'_>) -> Option<String> {
    use crate::judge::State;
    const STATES: [State; 6] = [
        State::WarmingUp,
        State::Ok,
        State::Anomalous,
        State::InsufficientData,
        State::Stale,
        State::Frozen,
    ];
    let text = node.text()?;
    if !STATES.iter().any(|state| state.as_str() == text) {
        let known = STATES.map(State::as_str).join(", ");
        node.problem(format!("not a state: {text:?}; states are {known}"));
        return None;
    }
    Some(text)
}

/// How many decimals a number was written with.
fn decimals(text: &str) -> i32 {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    i32::try_from(digits).unwrap_or(i32::MAX)
}

fn scrape_test(node: &Node<'_>) -> Option<ScrapeTest> {
    let mut fields = node.fields()?;
    let snapshots = fields.required("snapshots").and_then(|node| node.text());
    let step = interval(&mut fields, "step");
    let optional = fields.boolean("optional").unwrap_or(false);
    let expected = each(&mut fields, "exp_alerts", firing);
    fields.finish();
    Some(ScrapeTest {
        line: node.line(),
        snapshots: snapshots?,
        step,
        optional,
        expected,
    })
}

fn firing(node: &Node<'_>) -> Option<ExpectedFiring> {
    let mut fields = node.fields()?;
    let rule = fields.required("rule").and_then(|node| node.text());
    let labels = texts(&mut fields, "labels");
    let between = fields.get("fired_between");
    fields.finish();
    let fired_between = match between {
        None => None,
        Some(node) => {
            let bounds: Option<Vec<f64>> = node.list()?.iter().map(number).collect();
            let [from, to] = bounds?[..] else {
                node.problem("must be two times in seconds: [from, to]");
                return None;
            };
            if to < from {
                node.problem(format!("ends before it begins: {from} is after {to}"));
            }
            Some((from, to))
        }
    };
    Some(ExpectedFiring {
        line: node.line(),
        rule: rule?,
        labels,
        fired_between,
    })
}

/// A number; `NaN` and `+Inf` may also be written as Prometheus writes them.
fn number(node: &Node<'_>) -> Option<f64> {
    let parsed = match node.value() {
        Value::Number(value, _) => Some(*value),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => None,
    };
    if parsed.is_none() {
        node.problem(format!("must be a number, got {}", node.value().describe()));
    }
    parsed
}
