//! One test: samples in, tick by tick through the whole monitor, and what it says beside what is expected.

use std::collections::BTreeSet;
use std::time::Duration;

use super::assertion::{AlertTest, At, ExprTest, VerdictTest};
use super::diff::{Detail, Item, diff};
use super::file::{File, Test};
use super::outcome::Failure;
use super::rules::{self, Loaded};
use crate::alert::AlertState;
use crate::judge::Registry;
use crate::metric::{Labels, Timestamp, format_duration};
use crate::monitor::ModelMonitor;

/// Runs the parts of a test that have samples of their own.
pub(super) fn run(file: &File, test: &Test, loaded: &Loaded) -> Vec<Failure> {
    let mut monitor = rules::for_test(loaded, file, test).offline_monitor(&Registry::default());
    let watches: BTreeSet<&str> = loaded.watches();
    let mut failures = Vec::new();
    let mut feed = Feed::new(test);
    let mut elapsed = Duration::ZERO;
    let end = end(test);
    while elapsed <= end {
        let now = test.start + elapsed;
        feed.until(now, &mut monitor);
        monitor.observe(now, &[]);
        let failed = monitor.failures().map(|(rule, error)| Failure {
            line: test.line,
            what: format!("evaluation of {rule}"),
            eval_time: Some(elapsed),
            message: format!("failed at {}: {error}", format_duration(elapsed)),
            diff: Vec::new(),
        });
        failures.extend(failed);
        if monitor.failures().next().is_some() {
            return failures;
        }
        // What holds at a time is what the last evaluation before it said.
        let is_now = |at: Duration| at >= elapsed && at < elapsed + file.evaluation_interval;
        let alerts = test.alerts.iter().filter(|at| is_now(at.eval_time));
        failures.extend(alerts.filter_map(|at| alerts_differ(at, loaded, &monitor)));
        let verdicts = test.verdicts.iter().filter(|at| is_now(at.eval_time));
        failures.extend(verdicts.filter_map(|at| verdicts_differ(at, &monitor, &watches)));
        elapsed += file.evaluation_interval;
    }
    let exprs = test.exprs.iter();
    failures.extend(exprs.filter_map(|at| samples_differ(at, file, test, &monitor)));
    failures
}

/// The last time at which something is asserted.
fn end(test: &Test) -> Duration {
    let alerts = test.alerts.iter().map(|at| at.eval_time);
    let exprs = test.exprs.iter().map(|at| at.eval_time);
    let verdicts = test.verdicts.iter().map(|at| at.eval_time);
    alerts
        .chain(exprs)
        .chain(verdicts)
        .max()
        .unwrap_or_default()
}

/// The samples of a test that were not given yet.
struct Feed<'a> {
    test: &'a Test,
    next: usize,
    length: usize,
}

impl<'a> Feed<'a> {
    fn new(test: &'a Test) -> Self {
        let lengths = test.series.iter().map(|(_, values)| values.len());
        Self {
            test,
            next: 0,
            length: lengths.max().unwrap_or(0),
        }
    }

    /// Gives what lies up to a time, step by step.
    fn until(&mut self, now: Timestamp, monitor: &mut ModelMonitor) {
        while self.next < self.length {
            let steps = u32::try_from(self.next).unwrap_or(u32::MAX);
            let at = self.test.start + self.test.interval.saturating_mul(steps);
            if at > now {
                return;
            }
            for (number, (labels, values)) in self.test.series.iter().enumerate() {
                if let Some(value) = values.get(self.next) {
                    monitor.give(number, at, labels, *value);
                }
            }
            self.next += 1;
        }
    }
}

fn alerts_differ(at: &At<AlertTest>, loaded: &Loaded, monitor: &ModelMonitor) -> Option<Failure> {
    let AlertTest {
        alertname,
        ignore_annotations,
        expected,
    } = &at.test;
    let mut compared = loaded.annotations(alertname);
    // A watch explains itself in more annotations than its rule has; a test may name them.
    let named = expected
        .iter()
        .flat_map(|(_, annotations)| annotations.iter());
    compared.extend(named.map(|(name, _)| name));
    if *ignore_annotations {
        compared.clear();
    }
    let item = |labels: &Labels, annotations: &Labels| Item {
        labels: labels.clone(),
        details: annotations
            .iter()
            .filter(|(name, _)| compared.contains(name))
            .map(|(name, text)| (name.to_owned(), Detail::Text(format!("{text:?}"))))
            .collect(),
    };
    let got = monitor.alerts();
    let got = got
        .iter()
        .filter(|alert| alert.state == AlertState::Firing && *alert.rule == **alertname);
    let got = got.map(|alert| item(&alert.labels, &alert.annotations));
    let expected = expected.iter();
    let expected = expected.map(|(labels, annotations)| item(labels, annotations));
    let diff = diff(expected.collect(), got.collect())?;
    Some(failure(at, format!("alert_rule_test of {alertname}"), diff))
}

fn verdicts_differ(
    at: &At<VerdictTest>,
    monitor: &ModelMonitor,
    watches: &BTreeSet<&str>,
) -> Option<Failure> {
    let VerdictTest { rule, expected } = &at.test;
    let what = format!("verdict_test of {rule}");
    if !watches.contains(rule.as_str()) {
        let known: Vec<&str> = watches.iter().copied().collect();
        let message = format!("no watch has this name; watches are {}", known.join(", "));
        return Some(Failure {
            message,
            ..failure(at, what, Vec::new())
        });
    }
    let scored: Vec<_> = expected
        .iter()
        .filter(|verdict| verdict.score.is_some())
        .collect();
    let expected = expected.iter().map(|verdict| {
        let score = verdict
            .score
            .map(|(score, decimals)| Detail::Rounded(score, decimals));
        item(&verdict.labels, &verdict.state, score)
    });
    let got = monitor.judged().filter(|(watch, ..)| watch == rule);
    let got = got.map(|(_, sample, verdict)| {
        let labels = sample.labels.without_name();
        let asked = scored.iter().any(|expected| expected.labels == labels);
        let score = verdict.score.filter(|_| asked);
        let score = score.map(|value| Detail::Value {
            value,
            fuzzy: false,
        });
        item(&labels, verdict.state.as_str(), score)
    });
    let diff = diff(expected.collect(), got.collect())?;
    Some(failure(at, what, diff))
}

fn item(labels: &Labels, state: &str, score: Option<Detail>) -> Item {
    let state = ("state".to_owned(), Detail::Text(state.to_owned()));
    let score = score.map(|score| ("score".to_owned(), score));
    Item {
        labels: labels.clone(),
        details: std::iter::once(state).chain(score).collect(),
    }
}

fn samples_differ(
    at: &At<ExprTest>,
    file: &File,
    test: &Test,
    monitor: &ModelMonitor,
) -> Option<Failure> {
    let ExprTest { expr, expected } = &at.test;
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
    let got = match monitor.eval(expr, test.start + at.eval_time, file.evaluation_interval) {
        Ok(samples) => samples,
        Err(error) => {
            return Some(Failure {
                message: error.to_string(),
                ..failure(at, what, Vec::new())
            });
        }
    };
    let expected = expected.iter().map(|(labels, value)| item(labels, *value));
    let got = got.iter().map(|sample| item(&sample.labels, sample.value));
    let diff = diff(expected.collect(), got.collect())?;
    Some(failure(at, what, diff))
}

fn failure<T>(at: &At<T>, what: String, diff: Vec<String>) -> Failure {
    Failure {
        line: at.line,
        what,
        eval_time: Some(at.eval_time),
        message: format!(
            "differs at {} (- expected, + got)",
            format_duration(at.eval_time)
        ),
        diff,
    }
}
