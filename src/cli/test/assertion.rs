//! The assertions of a test.

use std::time::Duration;

use super::fields::{duration, labels, list_of, metric, number, text_map};
use crate::alert::Annotations;
use crate::describe::{Fields, Node};
use crate::judge::State;
use crate::metric::Labels;
use crate::promql::Expr;

/// An assertion about one evaluation time.
#[derive(Debug)]
pub(super) struct TimedAssertion<T> {
    pub(super) line: usize,
    /// Time since the start of the test.
    pub(super) eval_time: Duration,
    pub(super) test: T,
}

/// The exact set of firing alerts with a name.
#[derive(Debug)]
pub(super) struct AlertTest {
    pub(super) alertname: String,
    /// Compares only labels.
    pub(super) ignore_annotations: bool,
    pub(super) expected: Vec<ExpectedAlert>,
}

/// A firing alert.
#[derive(Debug)]
pub(super) struct ExpectedAlert {
    pub(super) labels: Labels,
    pub(super) annotations: Annotations,
}

/// The exact set of samples of an expression.
#[derive(Debug)]
pub(super) struct ExprTest {
    pub(super) expr: Expr,
    pub(super) expected: Vec<ExpectedSample>,
}

/// A sample of an expression.
#[derive(Debug)]
pub(super) struct ExpectedSample {
    pub(super) labels: Labels,
    pub(super) value: f64,
}

/// The exact set of verdicts of a watch.
#[derive(Debug)]
pub(super) struct VerdictTest {
    pub(super) rule: String,
    pub(super) expected: Vec<ExpectedVerdict>,
}

/// The verdict about a series.
#[derive(Debug)]
pub(super) struct ExpectedVerdict {
    pub(super) labels: Labels,
    pub(super) state: String,
    pub(super) score: Option<ExpectedScore>,
}

/// A score, compared with the precision of its notation.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExpectedScore {
    pub(super) value: f64,
    /// The number of decimals it was written with.
    pub(super) decimals: i32,
}

/// The exact set of alerts that fire while a folder of saved scrapes is replayed.
#[derive(Debug)]
pub(super) struct ScrapeTest {
    pub(super) line: usize,
    /// The folder, as written.
    pub(super) snapshots: String,
    pub(super) step: Option<Duration>,
    /// Skips the test if the folder is missing.
    pub(super) optional: bool,
    pub(super) expected: Vec<ExpectedFiring>,
}

/// An alert that fires during a replay.
#[derive(Debug)]
pub(super) struct ExpectedFiring {
    pub(super) line: usize,
    pub(super) rule: String,
    /// Labels that the alert must have; it may have others.
    pub(super) labels: Labels,
    pub(super) fired_between: Option<TimeRange>,
}

/// Seconds, both ends included.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeRange {
    pub(super) from: f64,
    pub(super) to: f64,
}

/// Reads an assertion about one evaluation time.
pub(super) fn timed<T>(
    node: &Node<'_>,
    read: impl Fn(&mut Fields<'_>) -> Option<T>,
) -> Option<TimedAssertion<T>> {
    let mut fields = node.fields()?;
    let eval_time = fields.duration("eval_time").unwrap_or_default();
    let test = read(&mut fields);
    fields.finish();
    Some(TimedAssertion {
        line: node.line(),
        eval_time,
        test: test?,
    })
}

/// Reads the fields of an `alert_rule_test` except its time.
pub(super) fn alert_test(fields: &mut Fields<'_>, ignore_annotations: bool) -> Option<AlertTest> {
    let ignored = fields.boolean("ignore_annotations");
    let alertname = fields.required("alertname").and_then(|node| node.text());
    let mut expected = list_of(fields, "exp_alerts", |node| {
        let mut fields = node.fields()?;
        let alert = ExpectedAlert {
            labels: labels(&mut fields, "exp_labels"),
            annotations: Annotations::new(text_map(&mut fields, "exp_annotations")),
        };
        fields.finish();
        Some(alert)
    });
    let alertname = alertname?;
    for alert in &mut expected {
        // The label is implied and overrides a written one, as in promtool.
        alert.labels = alert.labels.with("alertname", &alertname);
    }
    Some(AlertTest {
        ignore_annotations: ignored.unwrap_or(false) || ignore_annotations,
        expected,
        alertname,
    })
}

/// Reads the fields of a `promql_expr_test` except its time.
pub(super) fn expr_test(fields: &mut Fields<'_>) -> Option<ExprTest> {
    let expr = fields.required("expr").and_then(|node| {
        let text = node.text()?;
        Expr::parse(&text)
            .map_err(|error| node.problem(error.to_string()))
            .ok()
    });
    let expected = list_of(fields, "exp_samples", |node| {
        let mut fields = node.fields()?;
        let labels = fields
            .get("labels")
            .map_or(Some(Labels::empty()), |node| metric(&node));
        let value = fields.get("value").map_or(Some(0.0), |node| number(&node));
        if let Some(node) = fields.get("histogram") {
            node.problem("native histograms are not evaluated here; test a quantile or a bucket of a classic one");
        }
        fields.finish();
        Some(ExpectedSample {
            labels: labels?,
            value: value?,
        })
    });
    Some(ExprTest {
        expr: expr?,
        expected,
    })
}

/// Reads the fields of a `verdict_test` except its time.
pub(super) fn verdict_test(fields: &mut Fields<'_>) -> Option<VerdictTest> {
    let rule = fields.required("rule").and_then(|node| node.text());
    let expected = list_of(fields, "exp_verdicts", |node| {
        let mut fields = node.fields()?;
        let labels = labels(&mut fields, "labels");
        let state = fields.required("state").and_then(|node| state(&node));
        let score = fields.get("score").and_then(|node| {
            Some(ExpectedScore {
                value: number(&node)?,
                decimals: decimals(&node.text()?),
            })
        });
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
    const STATES: [State; 5] = [
        State::WarmingUp,
        State::Ok,
        State::Anomalous,
        State::InsufficientData,
        State::Stale,
    ];
    let text = node.text()?;
    if !STATES.iter().any(|state| state.as_str() == text) {
        let known = STATES.map(State::as_str).join(", ");
        node.problem(format!("not a state: {text:?}; states are {known}"));
        return None;
    }
    Some(text)
}

/// The number of decimals in a number as written.
fn decimals(text: &str) -> i32 {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    i32::try_from(digits).unwrap_or(i32::MAX)
}

/// Reads a `scrape_test`.
pub(super) fn scrape_test(node: &Node<'_>) -> Option<ScrapeTest> {
    let mut fields = node.fields()?;
    let snapshots = fields.required("snapshots").and_then(|node| node.text());
    let step = duration(&mut fields, "step");
    let optional = fields.boolean("optional").unwrap_or(false);
    let expected = list_of(&mut fields, "exp_alerts", firing);
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
    let labels = labels(&mut fields, "labels");
    let between = fields.get("fired_between");
    fields.finish();
    let fired_between = match between {
        None => None,
        Some(node) => Some(time_range(&node)?),
    };
    Some(ExpectedFiring {
        line: node.line(),
        rule: rule?,
        labels,
        fired_between,
    })
}

fn time_range(node: &Node<'_>) -> Option<TimeRange> {
    let bounds: Option<Vec<f64>> = node.list()?.iter().map(number).collect();
    let [from, to] = bounds?[..] else {
        node.problem("must be two times in seconds: [from, to]");
        return None;
    };
    if to < from {
        node.problem(format!("ends before it begins: {from} is after {to}"));
    }
    Some(TimeRange { from, to })
}
