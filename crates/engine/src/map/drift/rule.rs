//! What a drift rule says.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{DriftParams, LearntReference};
use crate::metric::Labels;
use crate::promql::Expr;

/// Where the distribution of now comes from, and what it is compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftRule {
    /// The counters: a selector of cumulative buckets, or of one counter per category.
    pub counters: Expr,
    /// The label that tells buckets apart: `le`, or that of the categories.
    pub bucket: String,
    /// The labels that tell distributions apart; counters that agree in them are added up.
    pub by: Vec<String>,
    /// How much of the past is now.
    pub window: Duration,
    /// What now is compared with.
    pub reference: Reference,
    /// The statistic and its limits.
    pub params: DriftParams,
}

/// What two rules must share so that what one has counted and learnt serves the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    counters: String,
    bucket: String,
    by: Vec<String>,
    window: Duration,
    learn: Option<Duration>,
}

impl DriftRule {
    /// What the rule counts and learns.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            counters: self.counters.text().to_owned(),
            bucket: self.bucket.clone(),
            by: self.by.clone(),
            window: self.window,
            learn: match self.reference {
                Reference::Learn(time) => Some(time),
                Reference::Inline(_) | Reference::File { .. } => None,
            },
        }
    }
}

/// References by the labels of a rule's `by`.
pub type References = Vec<(Labels, LearntReference)>;

/// What drift is measured against.
#[derive(Debug, Clone, PartialEq)]
pub enum Reference {
    /// The first observations, for this long.
    Learn(Duration),
    /// One distribution for every series.
    Inline(LearntReference),
    /// A distribution per series, recorded by `sidewatch baseline`.
    File {
        /// The file as read.
        file: String,
        /// Its text.
        text: String,
        /// The references of this rule.
        series: References,
    },
}
