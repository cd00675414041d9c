//! The definition of a drift rule.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::histogram::Rises;
use super::{DriftParams, Histogram, LearntReference, Season};
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
    /// The time that the current distribution covers; the longest if there is `at_least`.
    pub window: Duration,
    /// The current distribution covers the newest part of `window` that holds so many observations.
    pub at_least: Option<u64>,
    /// What the current distribution is compared with.
    pub reference: Reference,
    /// The statistic and its parameters.
    pub params: DriftParams,
}

impl DriftRule {
    /// The distribution of increases.
    ///
    /// # Errors
    /// Why they are no distribution.
    pub(super) fn histogram(&self, rises: &Rises) -> Result<Histogram, String> {
        if self.params.ordered {
            return Histogram::buckets(rises);
        }
        Ok(Histogram::categories(rises))
    }
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
    #[serde(default)]
    at_least: Option<u64>,
    #[serde(default)]
    season: Season,
    #[serde(default)]
    rolling: Option<Duration>,
}

impl DriftRule {
    /// What determines the rule's counts and learned reference.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let learn = self.reference.learn();
        Counts {
            counters: self.counters.text().to_owned(),
            bucket: self.bucket.clone(),
            by: self.by.clone(),
            window: self.window,
            learn: learn.map(|learn| learn.time),
            at_least: self.at_least,
            season: learn.map(|learn| learn.season).unwrap_or_default(),
            rolling: learn.and_then(|learn| learn.rolling),
        }
    }
}

/// How a reference is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Learn {
    /// The time over which it is learned, from the first observation on.
    pub time: Duration,
    /// Whether each time of the day or of the week has a reference of its own.
    pub season: Season,
    /// The reference moves: it holds the windows of this time that were not beyond the limit.
    pub rolling: Option<Duration>,
}

/// References by the labels of a rule's `by`.
pub type References = Vec<(Labels, LearntReference)>;

/// What drift is measured against.
#[derive(Debug, Clone, PartialEq)]
pub enum Reference {
    /// The first observations, or the newest.
    Learn(Learn),
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

impl Reference {
    /// How it is learned; `None` for a reference that is given.
    #[must_use]
    pub fn learn(&self) -> Option<Learn> {
        match self {
            Self::Learn(learn) => Some(*learn),
            Self::Inline(_) | Self::File { .. } => None,
        }
    }
}
