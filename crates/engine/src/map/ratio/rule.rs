//! The definition of a ratio.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::metric::{Labels, Matcher, Selector};
use crate::promql::Expr;

/// A ratio of two counts.
#[derive(Debug, Clone, PartialEq)]
pub struct RatioRule {
    /// What is counted.
    pub parts: Parts,
    /// The labels of a ratio; counters that are equal in them are added up.
    pub by: Vec<String>,
    /// The time that the value covers.
    pub window: Duration,
    /// How late observations are counted, where labels arrive late.
    pub delay: Option<Duration>,
    /// Selectors of series that show that the numerator is counted at all. Until one of them is
    /// there, the ratio is unknown; counting goes on.
    pub requires: Vec<Expr>,
}

/// The numerator and the denominator.
#[derive(Debug, Clone, PartialEq)]
pub enum Parts {
    /// Counters of good or bad observations over counters of all.
    Counters {
        /// Whether the numerator counts good observations.
        is_good: bool,
        /// Selectors of the numerator; what they select is added up.
        numerator: Vec<Expr>,
        /// Selectors of the denominator; what they select is added up.
        total: Vec<Expr>,
    },
    /// Observations above a bucket bound over all observations of a histogram.
    Histogram {
        /// A selector of cumulative buckets.
        buckets: Expr,
        /// The bound.
        above: Above,
    },
}

/// Which bucket bound observations must exceed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Above {
    /// The least bucket bound that is not below this.
    Value(f64),
    /// The bucket bound nearest this quantile of the first hour.
    Usual(f64),
}

/// What determines the counts of a rule. Two rules for which it is equal can exchange them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    selectors: Vec<String>,
    numerators: usize,
    is_good: bool,
    above: Option<Above>,
    by: Vec<String>,
}

impl RatioRule {
    /// The first selector of the denominator.
    #[must_use]
    pub(in crate::map) fn total(&self) -> &Expr {
        match &self.parts {
            // The configuration has at least one.
            Parts::Counters {
                numerator, total, ..
            } => total.first().unwrap_or(&numerator[0]),
            Parts::Histogram { buckets, .. } => buckets,
        }
    }

    /// The selectors: those of the denominator, of the numerator, and what must be there.
    #[must_use]
    pub fn expressions(&self) -> Vec<&Expr> {
        let mut all = self.counters();
        all.extend(&self.requires);
        all
    }

    /// The selectors of what is counted, those of the denominator first.
    pub(super) fn counters(&self) -> Vec<&Expr> {
        match &self.parts {
            Parts::Counters {
                numerator, total, ..
            } => total.iter().chain(numerator).collect(),
            Parts::Histogram { buckets, .. } => vec![buckets],
        }
    }

    /// The keys of the two sides, or of the histogram, with their selectors.
    #[must_use]
    pub fn sides(&self) -> Vec<(&'static str, &[Expr])> {
        match &self.parts {
            Parts::Counters {
                is_good,
                numerator,
                total,
            } => {
                let key = if *is_good { "good" } else { "bad" };
                vec![(key, numerator), ("total", total)]
            }
            Parts::Histogram { buckets, .. } => vec![("histogram", std::slice::from_ref(buckets))],
        }
    }

    /// Whether the numerator counts good observations.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(&self.parts, Parts::Counters { is_good: true, .. })
    }

    /// What determines the counts of the rule.
    #[must_use]
    pub fn counted(&self) -> Counted {
        let selectors = self.counters().into_iter().map(Expr::normalized);
        let (numerators, above) = match &self.parts {
            Parts::Counters { numerator, .. } => (numerator.len(), None),
            Parts::Histogram { above, .. } => (0, Some(*above)),
        };
        Counted {
            selectors: selectors.collect(),
            numerators,
            is_good: self.is_good(),
            above,
            by: self.by.clone(),
        }
    }

    /// Why the ratio is unknown while nothing of what it requires is there.
    pub(super) fn unproven(&self) -> String {
        let required: Vec<&str> = self.requires.iter().map(Expr::text).collect();
        format!(
            "no series of {}: the target may not count them",
            required.join(" or ")
        )
    }

    /// The name of what is counted, or the pattern for its names.
    fn counted_name(&self) -> &str {
        let selector = self.total().selector();
        let matchers = selector.map(Selector::matchers);
        let name = matchers
            .into_iter()
            .flatten()
            .find(|matcher| matcher.name() == Labels::NAME);
        name.map_or("", Matcher::value)
    }

    /// What the bad observations are.
    pub(super) fn what(&self) -> String {
        let name = self.counted_name();
        let (is_good, noun) = match &self.parts {
            Parts::Counters { is_good, .. } => (*is_good, name),
            Parts::Histogram { .. } => return "observations".to_owned(),
        };
        let noun = ["requests", "predictions"]
            .into_iter()
            .find(|word| noun.contains(word.trim_end_matches('s')))
            .unwrap_or_default();
        let verb = match (noun, is_good) {
            ("requests", _) => "failed",
            (_, true) => "wrong",
            (_, false) => "bad",
        };
        format!("{noun} {verb}").trim_start().to_owned()
    }

    /// The unit of the bucket bounds, with a blank before it, where the name has it.
    pub(super) fn unit(&self) -> &'static str {
        let name = self.counted_name();
        match name.trim_end_matches("_bucket").rsplit('_').next() {
            Some("seconds") => " s",
            Some("milliseconds" | "ms") => " ms",
            _ => "",
        }
    }
}
