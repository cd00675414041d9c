//! The state machine of one label set.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::metric::{Labels, Timestamp};

use super::absence::Absence;
use super::{Alert, AlertState, Annotations, Explanation};

/// How long a resolved alert is remembered and re-sent.
pub(super) const RESOLVED_RETENTION: Duration = Duration::from_secs(15 * 60);

/// Name of the alert about a limit on alerts.
pub(super) const ALERT_LIMIT: &str = "SidewatchAlertLimitReached";
/// Name of the alert about the hourly limit on requests for retraining.
pub(super) const RETRAINING_LIMIT: &str = "SidewatchRetrainingLimited";
/// Name of the alert about retraining that does not help.
pub(super) const RETRAINING_USELESS: &str = "SidewatchRetrainingDoesNotHelp";
/// Name of the alert about observations that are expected and do not come.
pub(super) const MISSING: &str = "SidewatchObservationsMissing";
/// The names of the alerts about a rule, not about a series. Each has a page in `docs/runbooks`.
pub const NOTICES: [&str; 4] = [ALERT_LIMIT, RETRAINING_LIMIT, RETRAINING_USELESS, MISSING];

/// The state of one label set of one rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) labels: Labels,
    pub(super) series: Labels,
    pub(super) annotations: Annotations,
    pub(super) state: AlertState,
    #[serde(with = "number")]
    pub(super) value: f64,
    pub(super) active_at: Timestamp,
    pub(super) fired_at: Option<Timestamp>,
    pub(super) resolved_at: Option<Timestamp>,
    pub(super) keep_firing_since: Option<Timestamp>,
    pub(super) no_data_since: Option<Timestamp>,
    pub(super) last_sent: Option<Timestamp>,
    pub(super) explanation: Option<Arc<Explanation>>,
    /// Represents "the whole expression returned nothing" or the limit, not a series.
    pub(super) synthetic: bool,
    #[serde(default)]
    pub(super) absence: Absence,
}

/// The effect of an evaluation on an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The state is unchanged.
    Same,
    /// The state changed.
    Changed,
    /// The entry can be dropped: a pending alert whose condition ended, or one resolved long ago.
    Gone,
}

impl Entry {
    pub(super) fn pending(labels: Labels, series: Labels, at: Timestamp) -> Self {
        Self {
            labels,
            series,
            annotations: Annotations::default(),
            state: AlertState::Pending,
            value: f64::NAN,
            active_at: at,
            fired_at: None,
            resolved_at: None,
            keep_firing_since: None,
            no_data_since: None,
            last_sent: None,
            explanation: None,
            synthetic: false,
            absence: Absence::default(),
        }
    }

    /// Whether it is about the rule, such as a limit, and not about a series.
    pub(super) fn is_notice(&self) -> bool {
        let name = self.labels.get("alertname");
        self.synthetic && name.is_some_and(|name| NOTICES.contains(&name))
    }

    pub(super) fn is_active(&self) -> bool {
        self.state != AlertState::Resolved
    }

    /// The condition holds at `at`.
    pub(super) fn seen(&mut self, at: Timestamp, hold: Duration) -> Step {
        self.keep_firing_since = None;
        self.no_data_since = None;
        let held = at.since(self.active_at) >= hold;
        match self.state {
            AlertState::Pending if held => {
                self.state = AlertState::Firing;
                self.fired_at = Some(at);
                Step::Changed
            }
            AlertState::Pending | AlertState::Firing | AlertState::Resolved => Step::Same,
        }
    }

    /// Makes a firing alert pending again if the condition has not held for `hold`; returns its end.
    pub(super) fn back_to_pending(&mut self, at: Timestamp, hold: Duration) -> Option<Self> {
        if self.state != AlertState::Firing || at.since(self.active_at) >= hold {
            return None;
        }
        let mut end = self.clone();
        end.resolve(at);
        self.state = AlertState::Pending;
        self.fired_at = None;
        self.last_sent = None;
        Some(end)
    }

    /// The condition holds, but it must not fire yet.
    pub(super) fn held(&mut self) -> Step {
        self.keep_firing_since = None;
        self.no_data_since = None;
        Step::Same
    }

    /// The condition does not hold at `at`.
    pub(super) fn unseen(&mut self, at: Timestamp, keep_firing_for: Duration) -> Step {
        self.no_data_since = None;
        match self.state {
            AlertState::Pending => Step::Gone,
            AlertState::Resolved => self.aged(at),
            AlertState::Firing => {
                if !keep_firing_for.is_zero() {
                    let since = *self.keep_firing_since.get_or_insert(at);
                    if at.since(since) < keep_firing_for {
                        return Step::Same;
                    }
                }
                self.resolve(at);
                Step::Changed
            }
        }
    }

    /// It is unknown whether the condition holds.
    pub(super) fn unknown(&mut self, at: Timestamp) -> Step {
        if self.state == AlertState::Resolved {
            return self.aged(at);
        }
        self.no_data_since.get_or_insert(at);
        Step::Same
    }

    /// Moves all times back after the clock went back.
    pub(super) fn set_back(&mut self, by: Duration) {
        self.active_at = self.active_at - by;
        self.absence.set_back(by);
        for time in [
            &mut self.fired_at,
            &mut self.resolved_at,
            &mut self.keep_firing_since,
            &mut self.no_data_since,
            &mut self.last_sent,
        ] {
            *time = time.map(|at| at - by);
        }
    }

    fn aged(&self, at: Timestamp) -> Step {
        let old = self
            .resolved_at
            .is_none_or(|resolved| at.since(resolved) > RESOLVED_RETENTION);
        if old { Step::Gone } else { Step::Same }
    }

    pub(super) fn resolve(&mut self, at: Timestamp) {
        self.state = AlertState::Resolved;
        self.resolved_at = Some(at);
        // The end is to be sent even if the alert was sent at this very time.
        self.last_sent = None;
        self.keep_firing_since = None;
        self.no_data_since = None;
    }

    /// Whether to send it now: its state changed, or its lease must be renewed.
    pub(super) fn needs_sending(&self, at: Timestamp, resend_delay: Duration) -> bool {
        if self.state == AlertState::Pending {
            return false;
        }
        self.last_sent.is_none_or(|sent| sent + resend_delay < at)
    }

    pub(super) fn alert(&self, rule: &Arc<str>, generator_url: &Arc<str>) -> Alert {
        Alert {
            rule: Arc::clone(rule),
            labels: self.labels.clone(),
            series: self.series.clone(),
            annotations: self.annotations.clone(),
            state: self.state,
            value: self.value,
            active_at: self.active_at,
            fired_at: self.fired_at,
            resolved_at: self.resolved_at,
            keep_firing_since: self.keep_firing_since,
            no_data_since: self.no_data_since,
            ends_at: None,
            generator_url: Arc::clone(generator_url),
            explanation: self.explanation.clone(),
        }
    }
}

/// Numbers as text, because JSON has no NaN and no infinities.
mod number {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
