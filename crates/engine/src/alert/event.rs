//! An alert as subscribers, Alertmanager and the API see it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::metric::{Labels, Timestamp};

use super::{Annotations, Explanation};

/// The state of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// The condition holds, but not yet for the rule's `for`.
    Pending,
    /// The condition has held long enough.
    Firing,
    /// It was firing and the condition no longer holds.
    Resolved,
}

impl AlertState {
    /// The word for this state in labels and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

impl fmt::Display for AlertState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A snapshot of one alert, for subscribers, Alertmanager and the API.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// The rule's name, also the label `alertname`.
    pub rule: Arc<str>,
    /// Identity: the series' labels without its name, the rule's labels, the process' identity and
    /// `alertname`.
    pub labels: Labels,
    /// The labels of the series the rule's expression returned, name included.
    pub series: Labels,
    /// Texts for people, such as `summary`. They are not part of the alert's identity.
    pub annotations: Annotations,
    /// Its state.
    pub state: AlertState,
    /// The last value seen, in the unit of the expression; may be NaN.
    pub value: f64,
    /// Since when the condition holds.
    pub active_at: Timestamp,
    /// Since when it fires; `None` while pending.
    pub fired_at: Option<Timestamp>,
    /// When it resolved; `None` before.
    pub resolved_at: Option<Timestamp>,
    /// Since when only `keep_firing_for` keeps it firing.
    pub keep_firing_since: Option<Timestamp>,
    /// Since when there is no data, where missing data keeps the state.
    pub no_data_since: Option<Timestamp>,
    /// Until when a receiver treats it as firing unless it is re-sent; `None` if it was not
    /// prepared for sending.
    pub ends_at: Option<Timestamp>,
    /// A link to details for people.
    pub generator_url: Arc<str>,
    /// Why it fires, for judged alerts.
    pub explanation: Option<Arc<Explanation>>,
}

impl Alert {
    /// Alertmanager's fingerprint of the labels; print it as 16 hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.labels.fingerprint()
    }

    /// When it started for a receiver: when it fired, or since when it is pending.
    #[must_use]
    pub fn starts_at(&self) -> Timestamp {
        self.fired_at.unwrap_or(self.active_at)
    }

    /// One line for people: the summary, or the rule's name with the labels.
    #[must_use]
    pub fn summary(&self) -> String {
        match self.annotations.get("summary") {
            Some(summary) if !summary.is_empty() => summary.to_owned(),
            Some(_) | None => format!("{} {}", self.rule, self.labels.retain(|l| l != "alertname")),
        }
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.labels.retain(|name| name != "alertname");
        write!(f, "{} {} {labels}", self.rule, self.state)
    }
}
