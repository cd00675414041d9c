//! The definition of a drift rule.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{DriftParams, LearntReference};
use crate::metric::Labels;
use crate::promql::Expr;

/// Where the current distribution comes from, and what it is compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftRule {
    /// The counters: a selector of cumulative buckets, or of one counter per category.
    pub counters: Expr,
    /// The label whose value is the bucket: `le`, or the label of the categories.
    pub bucket: String,
    /// The labels of a distribution; counters that are equal in them are added up.
    pub by: Vec<String>,
    /// The time that the current distribution covers.
    pub window: Duration,
    /// What the current distribution is compared with.
    pub reference: Reference,
    /// The statistic and its parameters.
    pub params: DriftParams,
}

/// What determines the counts and the learned reference of a rule. Two rules for which it is equal
/// can exchange them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    counters: String,
    bucket: String,
    by: Vec<String>,
    window: Duration,
    learn: Option<Duration>,
}

impl DriftRule {
    /// What determines the rule's counts and learned reference.
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
    /// The observations of this time, from the first on.
    Learn(Duration),
    /// The same distribution for every series.
    Inline(LearntReference),
    /// A distribution per series, recorded by `sidewatch baseline`.
    File {
        /// The path of the file.
        file: String,
        /// Its contents.
        text: String,
        /// The references of this rule.
        series: References,
    },
}
