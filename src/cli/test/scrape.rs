//! Runs a `scrape_test`: replays saved scrapes and compares the alerts that fired.

use super::assertion::{ExpectedFiring, ScrapeTest, TimeRange};
use super::file::File;
use super::outcome::{Failure, Outcome, Skipped};
use super::rules::LoadedRules;
use crate::alert::Alert;
use crate::cli::replay::replay;
use crate::promql::format_value;

/// Replays one folder. A missing optional folder is skipped unless `required`.
pub(super) fn run(
    file: &File,
    test: &ScrapeTest,
    loaded: &LoadedRules,
    required: bool,
    outcome: &mut Outcome,
) {
    let dir = file.dir.join(&test.snapshots);
    let fail = |message: String, diff: Vec<String>| Failure {
        line: test.line,
        what: format!("scrape_test of {}", test.snapshots),
        eval_time: None,
        message,
        diff,
    };
    if !dir.is_dir() {
        let message = format!("{} is not a folder", dir.display());
        if test.optional && !required {
            outcome.skipped.push(Skipped {
                line: test.line,
                reason: message,
            });
        } else {
            outcome.failures.push(fail(message, Vec::new()));
        }
        return;
    }
    let replay = match replay(&loaded.paths, &dir, test.step) {
        Ok(replay) => replay,
        Err(error) => {
            outcome.failures.push(fail(error.to_string(), Vec::new()));
            return;
        }
    };
    let fired: Vec<&Alert> = replay.fired.iter().map(|fired| &fired.alert).collect();
    let missing = test
        .expected
        .iter()
        .filter(|expected| !fired.iter().any(|alert| expected.matches(alert)))
        .map(|expected| format!("- {}:{}: {expected}", file.name, expected.line));
    let unexpected = fired
        .iter()
        .filter(|alert| !test.expected.iter().any(|expected| expected.matches(alert)))
        .map(|alert| format!("+ {}", describe(alert)));
    let diff: Vec<String> = missing.chain(unexpected).collect();
    if !diff.is_empty() {
        outcome.failures.push(fail(
            "other alerts fired (- expected, + got)".to_owned(),
            diff,
        ));
    }
}

fn fired_at(alert: &Alert) -> f64 {
    alert.fired_at.unwrap_or(alert.active_at).as_secs_f64()
}

fn describe(alert: &Alert) -> String {
    let at = format_value(fired_at(alert));
    format!("{} fired at {at}: {}", alert.labels, alert.summary())
}

impl ExpectedFiring {
    /// Whether an alert has the expected rule, labels and time.
    fn matches(&self, alert: &Alert) -> bool {
        let at = fired_at(alert);
        let is_in_time = self
            .fired_between
            .is_none_or(|TimeRange { from, to }| (from..=to).contains(&at));
        let mut labels = self.labels.iter();
        is_in_time
            && *alert.rule == *self.rule
            && labels.all(|(name, value)| alert.labels.get(name) == Some(value))
    }
}

impl std::fmt::Display for ExpectedFiring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.rule, self.labels)?;
        if let Some(TimeRange { from, to }) = self.fired_between {
            let (from, to) = (format_value(from), format_value(to));
            write!(f, " fired between {from} and {to}")?;
        }
        Ok(())
    }
}
