//! The definition of an estimate.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::describe::worded;
use crate::map::drift::parse_bound;
use crate::metric::Labels;
use crate::promql::Expr;

/// What is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimated {
    /// The share of predictions that are right.
    #[default]
    Accuracy,
    /// The share of predictions of class 1 that are right.
    Precision,
    /// The share of class 1 that is predicted.
    Recall,
    /// Expected accuracy minus that of the labels, as far as chance does not explain it.
    Gap,
}

worded! {
    Estimated {
        "accuracy" => Self::Accuracy, "The share of predictions that are right.";
        "precision" => Self::Precision, "The share of predictions of class 1 that are right.";
        "recall" => Self::Recall, "The share of class 1 that is predicted.";
        "gap" => Self::Gap, "Expected accuracy minus that of the labels, as far as chance does not explain the difference.";
    }
}

/// What the estimate is made from.
#[derive(Debug, Clone, PartialEq)]
pub enum Evidenced {
    /// The cumulative buckets of calibrated scores: probabilities of class 1.
    Scores {
        /// A selector of the buckets.
        buckets: Expr,
        /// From this score on the prediction is class 1.
        threshold: f64,
        /// The measured shares of class 1.
        calibration: Vec<Calibration>,
    },
    /// A sum and a count of confidences: probabilities that the prediction is right.
    Confidence {
        /// A selector of the count.
        count: Expr,
        /// A selector of the sum.
        sum: Expr,
    },
}

/// Counters of labelled predictions.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// Selectors of those that are right; what they select is added up.
    pub good: Vec<Expr>,
    /// Selectors of all of them.
    pub total: Vec<Expr>,
}

/// The shares of class 1 that were measured for one series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The series.
    #[serde(default)]
    pub labels: Labels,
    /// The share of class 1 in each bucket, by its upper bound.
    pub shares: Vec<(f64, f64)>,
}

impl Calibration {
    /// A calibration from shares by the upper bound as exposed.
    #[must_use]
    pub fn new(labels: Labels, shares: &BTreeMap<String, f64>) -> Self {
        let shares = shares.iter();
        let shares = shares.filter_map(|(bound, share)| Some((parse_bound(bound)?, *share)));
        Self {
            labels,
            shares: shares.collect(),
        }
    }
}

/// An estimate.
#[derive(Debug, Clone, PartialEq)]
pub struct EstimateRule {
    /// What is estimated.
    pub of: Estimated,
    /// What it is made from.
    pub from: Evidenced,
    /// Selectors of the buckets of labelled predictions, of all and of class 1, on which the
    /// calibration is measured.
    pub labelled: Option<(Expr, Expr)>,
    /// The file of the calibration and its contents: a change of it is a change of the rule.
    pub calibration_file: Option<(String, String)>,
    /// The labels that it is compared with.
    pub truth: Option<Truth>,
    /// The labels of an estimate; counters that are equal in them are added up.
    pub by: Vec<String>,
    /// The time that the value covers.
    pub window: Duration,
    /// Fewest predictions in the window, and fewest labels for a comparison.
    pub min_samples: u64,
}

/// What determines the counts of a rule. Two rules for which it is equal can exchange them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct CountedBy {
    selectors: Vec<String>,
    by: Vec<String>,
}

impl EstimateRule {
    /// The selectors: the buckets, or count and sum; then the labels that are right, then all.
    #[must_use]
    pub fn expressions(&self) -> Vec<&Expr> {
        let mut all = match &self.from {
            Evidenced::Scores { buckets, .. } => vec![buckets],
            Evidenced::Confidence { count, sum } => vec![count, sum],
        };
        if let Some(truth) = &self.truth {
            all.extend(truth.good.iter().chain(&truth.total));
        }
        all
    }

    /// The first selector.
    #[must_use]
    pub fn first(&self) -> &Expr {
        match &self.from {
            Evidenced::Scores { buckets, .. } => buckets,
            Evidenced::Confidence { count, .. } => count,
        }
    }

    pub(super) fn counted(&self) -> CountedBy {
        CountedBy {
            selectors: self
                .expressions()
                .into_iter()
                .map(Expr::normalized)
                .collect(),
            by: self.by.clone(),
        }
    }

    /// Whether an earlier version of the rule counted the same.
    #[must_use]
    pub fn counts_as(&self, other: &Self) -> bool {
        self.counted() == other.counted() && self.window == other.window
    }
}
