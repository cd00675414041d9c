//! Runs one test: feeds its samples to a monitor, tick by tick, and checks the assertions.

use std::collections::BTreeSet;
use std::time::Duration;

use super::assertion::{AlertTest, ExprTest, TimedAssertion, VerdictTest};
use super::diff::{Detail, Item, diff};
use super::file::{File, InputSeries, Test};
use super::outcome::Failure;
use super::rules::{self, LoadedRules};
use crate::alert::{AlertState, Annotations};
use crate::judge::Registry;
use crate::metric::{Labels, Timestamp, format_duration};
use crate::monitor::ModelMonitor;
use crate::promql::Expr;
use crate::series::{is_absent, is_stale};

/// Runs all assertions of a test except those about saved scrapes.
pub(super) fn run(file: &File, test: &Test, loaded: &LoadedRules) -> Vec<Failure> {
    let mut monitor = rules::for_test(loaded, file, test).offline_monitor(&Registry::default());
    let watches: BTreeSet<&str> = loaded.watches();
    let mut failures = Vec::new();
    let mut input = InputSamples::new(test);
    let mut elapsed = Duration::ZERO;
    let end = test.end();
    while elapsed <= end {
        let now = test.start + elapsed;
        input.feed_until(now, &mut monitor);
        monitor.observe(now, &[]);
        let failed = monitor.failures().map(|(rule, error)| Failure {
            line: test.line,
            what: format!("evaluation of {rule}"),
            eval_time: Some(elapsed),
            message: format!("failed at {}: {error}", format_duration(elapsed)),
            diff: Vec::new(),
        });
        let mut failed: Vec<Failure> = failed.collect();
        failed.extend(recorded_twice(test, loaded, &monitor, elapsed));
        if !failed.is_empty() {
            failures.extend(failed);
            return failures;
        }
        // An assertion between two evaluations is about the earlier one.
        let is_now = |at: Duration| at >= elapsed && at < elapsed + file.evaluation_interval;
        for assertion in test.alerts.iter().filter(|at| is_now(at.eval_time)) {
            failures.extend(check_alerts(assertion, loaded, &monitor));
        }
        for assertion in test.verdicts.iter().filter(|at| is_now(at.eval_time)) {
            failures.extend(check_verdicts(assertion, &monitor, &watches));
        }
        elapsed += file.evaluation_interval;
    }
    for assertion in &test.exprs {
        failures.extend(check_samples(assertion, file, test, &monitor));
    }
    failures
}

/// A series that a rule records while the test gives it another value at the same time; in
/// Prometheus the rule fails.
fn recorded_twice(
    test: &Test,
    loaded: &LoadedRules,
    monitor: &ModelMonitor,
    elapsed: Duration,
) -> Option<Failure> {
    let step = elapsed.as_nanos() / test.interval.as_nanos().max(1);
    let given_at = |series: &InputSeries| {
        let value = *series.values.get(usize::try_from(step).ok()?)?;
        (!is_absent(value) && !is_stale(value)).then_some(value)
    };
    if !elapsed
        .as_nanos()
        .is_multiple_of(test.interval.as_nanos().max(1))
    {
        return None;
    }
    let records = loaded.records();
    let is_recorded = |series: &&InputSeries| {
        let name = series.labels.name();
        name.is_some_and(|name| records.contains(name))
    };
    let clash = test.series.iter().filter(is_recorded).find_map(|series| {
        // Of equal series the last one counts.
        let last = test
            .series
            .iter()
            .rfind(|one| one.labels == series.labels)?;
        let given = given_at(last)?;
        let expr = Expr::parse(&series.labels.to_string()).ok()?;
        let found = monitor
            .eval(&expr, test.start + elapsed, test.interval)
            .ok()?;
        let found = found.into_iter().find(|one| one.labels == series.labels)?;
        (found.value.to_bits() != given.to_bits()).then_some((&series.labels, given, found.value))
    });
    let (labels, given, recorded) = clash?;
    Some(Failure {
        line: test.line,
        what: format!("evaluation of {}", labels.name().unwrap_or_default()),
        eval_time: Some(elapsed),
        message: format!(
            "duplicate sample for timestamp {}: input_series gives {labels} the value {given}, and the rule records {recorded}; remove one of them",
            format_duration(elapsed)
        ),
        diff: Vec::new(),
    })
}

/// The input samples of a test.
struct InputSamples<'a> {
    test: &'a Test,
    /// Index of the next value of each series.
    next: usize,
    /// The length of the longest series.
    length: usize,
}

impl<'a> InputSamples<'a> {
    fn new(test: &'a Test) -> Self {
        let lengths = test.series.iter().map(|series| series.values.len());
        Self {
            test,
            next: 0,
            length: lengths.max().unwrap_or(0),
        }
    }

    /// Passes the samples up to a time to the monitor.
    fn feed_until(&mut self, now: Timestamp, monitor: &mut ModelMonitor) {
        while self.next < self.length {
            let steps = u32::try_from(self.next).unwrap_or(u32::MAX);
            let at = self.test.start + self.test.interval.saturating_mul(steps);
            if at > now {
                return;
            }
            for (number, series) in self.test.series.iter().enumerate() {
                if let Some(value) = series.values.get(self.next) {
                    monitor.give(number, at, &series.labels, *value);
                }
            }
            self.next += 1;
        }
    }
}

fn check_alerts(
    assertion: &TimedAssertion<AlertTest>,
    loaded: &LoadedRules,
    monitor: &ModelMonitor,
) -> Option<Failure> {
    let AlertTest {
        alertname,
        ignore_annotations,
        expected,
    } = &assertion.test;
    let mut compared = loaded.annotations(alertname);
    // A watch adds annotations to those of its rule; they are compared if the test names them.
    compared.extend(
        expected
            .iter()
            .flat_map(|alert| alert.annotations.iter())
            .map(|(name, _)| name),
    );
    if *ignore_annotations {
        compared.clear();
    }
    let item = |labels: &Labels, annotations: &Annotations| Item {
        labels: labels.clone(),
        details: annotations
            .iter()
            .filter(|(name, _)| compared.contains(name))
            .map(|(name, text)| (name.to_owned(), Detail::Text(format!("{text:?}"))))
            .collect(),
    };
    let got = monitor
        .alerts()
        .iter()
        .filter(|alert| alert.state == AlertState::Firing && *alert.rule == **alertname)
        .map(|alert| item(&alert.labels, &alert.annotations))
        .collect();
    let expected = expected
        .iter()
        .map(|alert| item(&alert.labels, &alert.annotations))
        .collect();
    let diff = diff(expected, got)?;
    let what = format!("alert_rule_test of {alertname}");
    Some(failure(assertion, what, diff))
}

fn check_verdicts(
    assertion: &TimedAssertion<VerdictTest>,
    monitor: &ModelMonitor,
    watches: &BTreeSet<&str>,
) -> Option<Failure> {
    let VerdictTest { rule, expected } = &assertion.test;
    let what = format!("verdict_test of {rule}");
    if !watches.contains(rule.as_str()) {
        let known: Vec<&str> = watches.iter().copied().collect();
        let message = format!("no watch has this name; watches are {}", known.join(", "));
        return Some(Failure {
            message,
            ..failure(assertion, what, Vec::new())
        });
    }
    // The score of a verdict is compared only if the test names it.
    let has_score = |labels: &Labels| {
        expected
            .iter()
            .any(|verdict| verdict.score.is_some() && verdict.labels == *labels)
    };
    let got = monitor
        .judged()
        .filter(|(watch, ..)| watch == rule)
        .map(|(_, sample, verdict)| {
            let labels = sample.labels.without_name();
            let score = verdict
                .score
                .filter(|_| has_score(&labels))
                .map(|value| Detail::Value {
                    value,
                    fuzzy: false,
                });
            item(&labels, verdict.state.as_str(), score)
        })
        .collect();
    let expected = expected
        .iter()
        .map(|verdict| {
            let score = verdict.score.map(|score| Detail::Rounded {
                value: score.value,
                decimals: score.decimals,
            });
            item(&verdict.labels, &verdict.state, score)
        })
        .collect();
    let diff = diff(expected, got)?;
    Some(failure(assertion, what, diff))
}

fn item(labels: &Labels, state: &str, score: Option<Detail>) -> Item {
    let state = ("state".to_owned(), Detail::Text(state.to_owned()));
    let score = score.map(|score| ("score".to_owned(), score));
    Item {
        labels: labels.clone(),
        details: std::iter::once(state).chain(score).collect(),
    }
}

fn check_samples(
    assertion: &TimedAssertion<ExprTest>,
    file: &File,
    test: &Test,
    monitor: &ModelMonitor,
) -> Option<Failure> {
    let ExprTest { expr, expected } = &assertion.test;
    let what = format!("promql_expr_test of {}", expr.text().trim());
    let item = |labels: &Labels, value: f64| Item {
        labels: labels.clone(),
        details: vec![(
            "value".to_owned(),
            Detail::Value {
                value,
                fuzzy: file.fuzzy_compare,
            },
        )],
    };
    let at = test.start + assertion.eval_time;
    let got = match monitor.eval(expr, at, file.evaluation_interval) {
        Ok(samples) => samples,
        Err(error) => {
            return Some(Failure {
                message: error.to_string(),
                ..failure(assertion, what, Vec::new())
            });
        }
    };
    let expected = expected
        .iter()
        .map(|sample| item(&sample.labels, sample.value))
        .collect();
    let got = got
        .iter()
        .map(|sample| item(&sample.labels, sample.value))
        .collect();
    let diff = diff(expected, got)?;
    Some(failure(assertion, what, diff))
}

fn failure<T>(assertion: &TimedAssertion<T>, what: String, diff: Vec<String>) -> Failure {
    Failure {
        line: assertion.line,
        what,
        eval_time: Some(assertion.eval_time),
        message: format!(
            "differs at {} (- expected, + got)",
            format_duration(assertion.eval_time)
        ),
        diff,
    }
}
