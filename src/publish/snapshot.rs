//! What the monitor knows after a tick, as plain data.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::definition::{Definition, RuleKind};
use super::events::Event;
use crate::alert::Annotations;
use crate::judge::Band;
use crate::metric::{Labels, Metric, Quotient, Timestamp};

/// The states a signal can be in, as `sidewatch_signal_state` enumerates them.
pub const STATES: [&str; 6] = [
    "warming_up",
    "ok",
    "anomalous",
    "insufficient_data",
    "stale",
    "idle",
];

/// Everything that is served, as of one tick.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The tick's time.
    pub at: Timestamp,
    /// `model_id` and perhaps `model_version`.
    pub model: Labels,
    /// The targets.
    pub targets: Vec<Target>,
    /// Model metrics and judged values.
    pub signals: Vec<Signal>,
    /// Pending and firing alerts.
    pub alerts: Vec<Alert>,
    /// Rule groups.
    pub groups: Vec<Group>,
    /// Alertmanagers.
    pub peers: Vec<Peer>,
    /// Receivers of retraining requests.
    pub receivers: Vec<Receiver>,
    /// Series in the window.
    pub series: u64,
    /// How long the window keeps samples: as long as the rules look back.
    pub window: Duration,
    /// The longest that rules may look back, `storage.retention`.
    pub retention: Duration,
    /// Hash of the configuration.
    pub config_hash: String,
    /// How targets are found by name; `None` when they are all listed.
    pub discovery: Option<Discovery>,
    /// Whether alerts and outbox survive a restart.
    pub durable: bool,
    /// How the last reload of the configuration went.
    pub reload: Reload,
    /// The files of the configuration, without secrets.
    pub sources: Arc<[Source]>,
    /// The progress of the backfill; `None` without one.
    pub backfill: Option<Backfill>,
    /// How far the clock of the remote source is ahead, in seconds; `None` without a source.
    pub source_skew: Option<f64>,
    /// What happened, oldest first; filled only for the page and the API.
    pub events: Vec<Event>,
    /// Time between two ticks.
    pub interval: Duration,
    /// Limit for one scrape.
    pub timeout: Duration,
}

/// Strategies that learn from history before they judge.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Backfill {
    /// One of [`Backfill::STATES`].
    pub state: &'static str,
    /// Between 0 and 1.
    pub progress: f64,
    /// Why it does not progress, or why it ended early.
    pub error: Option<String>,
}

impl Backfill {
    /// The states, as `sidewatch_backfill_state` enumerates them.
    pub const STATES: [&str; 3] = ["running", "done", "failed"];
}

/// A file of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// Its name as written in the configuration.
    pub file: String,
    /// Its text, secrets replaced.
    pub text: String,
    /// Whether it is the configuration file; the others are rule files.
    pub is_settings: bool,
}

/// The last time that the configuration was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reload {
    /// When it was last read and taken up.
    pub succeeded_at: Timestamp,
    /// Why a later attempt failed, every problem on a line of its own; `None` when the last one
    /// succeeded.
    pub error: Option<String>,
    /// Whether `error` names what the configuration in force leaves out; otherwise the one from
    /// before is in force.
    pub is_partial: bool,
}

/// How targets are found by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Discovery {
    /// The name, with the port where there is one.
    pub name: String,
    /// Its addresses at the last answer; `None` before the first.
    pub targets: Option<u64>,
    /// Look-ups since the start.
    pub lookups: u64,
    /// Failed ones.
    pub failures: u64,
    /// Why the last one failed; the targets are those of the answer before.
    pub error: Option<String>,
}

/// One target.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Its URL, password redacted.
    pub url: String,
    /// Its labels.
    pub labels: Labels,
    /// Whether the last scrape was good; `None` before the first.
    pub up: Option<bool>,
    /// Whether it answers, but none of the counters that the rules use increases.
    pub idle: bool,
    /// When it was scraped last.
    pub last_scrape: Option<Timestamp>,
    /// Since when it is down; `None` for one that is not.
    pub down_since: Option<Timestamp>,
    /// How long that took.
    pub duration: Duration,
    /// Samples of the last scrape.
    pub samples: u64,
    /// Size of its body.
    pub body_bytes: u64,
    /// Why it failed.
    pub error: Option<String>,
    /// Failures by reason since the start; every reason is there.
    pub failures: Vec<(&'static str, u64)>,
    /// Samples refused by the limit on stored series since the start.
    pub refused: u64,
}

/// A model metric or a judged value of one series.
#[derive(Debug, Clone, Default)]
pub struct Signal {
    /// The rule that records or judges the value.
    pub rule: Arc<Definition>,
    /// What the value is about.
    pub kind: Metric,
    /// The series' own labels; its name, which it may have, is not shown.
    pub labels: Labels,
    /// The value, the last one of a stale signal; `None` when it is unknown or not finite.
    pub value: Option<f64>,
    /// Since when a stale signal has no value; `None` for another.
    pub since: Option<Timestamp>,
    /// The counts in the window of a ratio.
    pub counts: Option<Quotient>,
    /// The verdict, for a judged value.
    pub state: Option<&'static str>,
    /// 1 is exactly at the limit; `None` while unknown.
    pub score: Option<f64>,
    /// Where the value was expected.
    pub expected: Band,
    /// Why the state is what it is.
    pub why: Cow<'static, str>,
    /// The open incident in which a judged value is.
    pub incident: Option<Incident>,
    /// How the version of the model compares with the one before, for a judged value.
    pub release: Option<Release>,
    /// The last values, oldest first; filled only for the page and the API.
    pub points: Vec<Point>,
}

impl Signal {
    /// The watch that judges the value; `None` for a model metric.
    #[must_use]
    pub fn watch(&self) -> Option<&str> {
        (self.rule.kind != RuleKind::Record).then(|| self.rule.name())
    }

    /// The value, unless it is that of an earlier evaluation.
    #[must_use]
    pub fn current(&self) -> Option<f64> {
        self.value.filter(|_| self.since.is_none())
    }

    /// The record that gives the value its name; `None` for a judged value.
    #[must_use]
    pub fn metric(&self) -> Option<&str> {
        (self.rule.kind == RuleKind::Record).then(|| self.rule.name())
    }
}

/// An incident of a signal: its alert fires.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Incident {
    /// The time of its first anomalous value.
    pub since: Timestamp,
    /// The value that was usual before, by which the incident is judged. `None` for a fixed limit,
    /// which nothing can be learned about.
    pub usual: Option<f64>,
}

/// A new version of a model, compared with the one before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    /// The version before.
    pub from: String,
    /// `trial`, `worse` or `as_good`.
    pub result: &'static str,
}

impl Release {
    /// Every result.
    pub const RESULTS: [&'static str; 3] = ["trial", "worse", "as_good"];
}

/// A signal at one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// The value; `None` while unknown.
    pub value: Option<f64>,
    /// Lowest normal value.
    pub lower: Option<f64>,
    /// Highest normal value.
    pub upper: Option<f64>,
    /// 1 is exactly at the limit; `None` while unknown.
    pub score: Option<f64>,
    /// The verdict, for a judged value.
    pub state: Option<&'static str>,
}

/// A pending or firing alert.
#[derive(Debug, Clone)]
pub struct Alert {
    /// The rule.
    pub rule: Arc<Definition>,
    /// Identity.
    pub labels: Labels,
    /// Texts for people.
    pub annotations: Annotations,
    /// `pending` or `firing`.
    pub state: &'static str,
    /// Since when the condition holds.
    pub active_at: Timestamp,
    /// Since when only `keep_firing_for` keeps it.
    pub keep_firing_since: Option<Timestamp>,
    /// The last value.
    pub value: f64,
}

/// A rule group.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// Time between evaluations.
    pub interval: Duration,
    /// Most alerts of one rule that are pending or firing at once; 0 is no limit.
    pub limit: usize,
    /// When it was evaluated last.
    pub last: Option<Timestamp>,
    /// How long that took.
    pub took: Duration,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// A rule and its last evaluation.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// The rule as written.
    pub definition: Arc<Definition>,
    /// Why the last evaluation failed.
    pub error: Option<String>,
    /// Why the rule is not evaluated; `None` for one that is.
    pub unsupported: Option<String>,
    /// Whether its expression found nothing.
    pub is_empty: bool,
    /// When it was evaluated last.
    pub last: Option<Timestamp>,
    /// How long that took.
    pub took: Duration,
    /// Evaluations since the start.
    pub evaluations: u64,
    /// Evaluations that failed since the start.
    pub failures: u64,
    /// Alerts that began to fire since the start.
    pub fired: u64,
    /// The series of a watch, or the distributions of a drift rule; `None` for another rule.
    pub series: Option<HeldSeries>,
    /// New levels that a watch accepted as normal since the start; `None` for another rule.
    pub accepted: Option<u64>,
    /// Series whose retraining request the hourly limit holds back; `None` for a rule that never
    /// requests retraining.
    pub held_back: Option<u64>,
}

impl Rule {
    /// Why the rule has no present result.
    #[must_use]
    pub fn problem(&self) -> Option<&str> {
        self.error.as_deref().or(self.unsupported.as_deref())
    }
}

/// The series that a watch judges, or the distributions that a drift rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeldSeries {
    /// Series that it holds.
    pub held: u64,
    /// Samples that it did not judge, or distributions that it did not count, because of a limit,
    /// since the start.
    pub refused: u64,
}

/// Deliveries to one Alertmanager since the start.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    /// Its URL, password redacted.
    pub url: String,
    /// Alerts accepted.
    pub sent: u64,
    /// Alerts in failed attempts.
    pub failed: u64,
    /// Alerts given up.
    pub dropped: u64,
    /// Alerts that wait.
    pub queue_length: u64,
    /// The last failure; `None` after a success.
    pub last_error: Option<String>,
}

/// Retraining requests to one receiver since the start.
#[derive(Debug, Clone, Default)]
pub struct Receiver {
    /// Its name, usually its URL.
    pub name: String,
    /// Requests that arrived.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Requests that wait.
    pub waiting: u64,
    /// Requests that expired or were refused.
    pub dead: u64,
    /// The last failure; `None` after a success.
    pub last_error: Option<String>,
}

/// What was built.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Build;

impl Build {
    /// The version of the package.
    pub(crate) const VERSION: &'static str = env!("CARGO_PKG_VERSION");
}
