//! Saved scrapes through the rules: exactly the expected alerts fire.

use super::assertion::{ExpectedFiring, ScrapeTest};
use super::file::File;
use super::outcome::{Failure, Outcome};
use super::rules::Loaded;
use crate::alert::Alert;
use crate::cli::replay::replay;
use crate::promql::format_value;

/// Replays one folder. An optional one that is missing is skipped unless `required`.
pub(super) fn run(
    file: &File,
    test: &ScrapeTest,
    loaded: &Loaded,
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
            outcome.skipped.push((test.line, message));
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
    let missing = test.expected.iter();
    let missing = missing.filter(|expected| !fired.iter().any(|alert| expected.is(alert)));
    let mut diff: Vec<String> = missing
        .map(|expected| format!("- {}:{}: {expected}", file.name, expected.line))
        .collect();
    let unexpected = fired.iter();
    let unexpected = unexpected.filter(|alert| !test.expected.iter().any(|one| one.is(alert)));
    diff.extend(unexpected.map(|alert| format!("+ {}", shown(alert))));
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

fn shown(alert: &Alert) -> String {
    let at = format_value(fired_at(alert));
    format!("{} fired at {at}: {}", alert.labels, alert.summary())
}

impl ExpectedFiring {
    /// Whether this alert was expected: its rule, all of the expected labels, its time.
    fn is(&self, alert: &Alert) -> bool {
        let at = fired_at(alert);
        let in_time = self
            .fired_between
            .is_none_or(|(from, to)| (from..=to).contains(&at));
        let mut labels = self.labels.iter();
        in_time
            && *alert.rule == *self.rule
            && labels.all(|(name, value)| alert.labels.get(name) == Some(value))
    }
}

impl std::fmt::Display for ExpectedFiring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.rule, self.labels)?;
        if let Some((from, to)) = self.fired_between {
            let (from, to) = (format_value(from), format_value(to));
            write!(f, " fired between {from} and {to}")?;
        }
        Ok(())
    }
}
