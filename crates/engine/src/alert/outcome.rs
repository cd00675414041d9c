//! The input and the result of an evaluation.

use std::sync::Arc;

use crate::metric::Labels;

use super::{Alert, Explanation};

/// The condition of one series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It holds: the series is in the vector of a plain alert, or anomalous for a watch.
    Active,
    /// It holds, but the series is too new to alert about: the alert stays pending.
    Held,
    /// It does not hold.
    Healthy,
    /// The new level was accepted as normal: the alert ends at once.
    Accepted,
    /// There is a value, but no verdict yet (warming up, too few samples): the state stays.
    Unsure,
    /// There is no value: `no_data` decides.
    NoData,
}

/// One series in the outcome of an evaluation.
#[derive(Debug, Clone)]
pub struct Observation {
    /// The series' labels, name included.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
    /// Whether the condition holds.
    pub condition: Condition,
    /// The explanation, for a watch.
    pub explanation: Option<Arc<Explanation>>,
    /// Why the alert ends, if this ends it for another reason than recovery.
    pub ending: Option<String>,
}

impl Observation {
    /// A series in the result of a plain alert's expression.
    #[must_use]
    pub fn active(labels: Labels, value: f64) -> Self {
        Self {
            labels,
            value,
            condition: Condition::Active,
            explanation: None,
            ending: None,
        }
    }
}

/// The outcome of one evaluation of a rule.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// One observation per series; a series that is not listed is healthy for an alert and has no
    /// data for a watch.
    Observed(Vec<Observation>),
    /// No model runs: every state stays, and no data counts as missing.
    Idle,
    /// The expression could not be evaluated; every state stays.
    Failed(String),
}

/// The changes of an evaluation.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// The alerts whose state changed, for subscribers and the log.
    pub alerts: Vec<Alert>,
    /// Why the evaluation failed.
    pub error: Option<String>,
    /// Why its result needs attention: merged series, limit.
    pub remark: Option<String>,
    /// Series refused by the limit.
    pub refused: usize,
}
