//! One ratio: its counts, in the window and since the start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rule::{Above, Parts, RatioRule};
use crate::map::drift::parse_bound;
use crate::map::sliding::{Increases, Sliding};
use crate::metric::{Counts, Evidence, Quotient, Timestamp, rounded};

/// How long the usual bound is learned, and from how many observations.
const LEARN: Duration = Duration::from_secs(3600);
const LEARN_COUNT: f64 = 200.0;
/// Numerators beyond the denominator that torn reads explain: a count, and a share.
const TORN: (f64, f64) = (3.0, 0.01);

/// Why a share of right answers that is more than 1 is not judged.
pub(crate) const MORE_RIGHT_THAN_ALL: &str =
    "more right answers than answers: do labels and predictions come from the same window?";

/// Increases of cumulative buckets, by the bound as exposed.
pub(super) type Buckets = BTreeMap<String, f64>;

/// The increases of one ratio in one evaluation.
#[derive(Debug, Default)]
pub(super) struct Risen {
    pub(super) counts: Quotient,
    /// The buckets of each server, of a histogram.
    pub(super) buckets: Vec<Buckets>,
}

/// One ratio.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) seen: Timestamp,
    total: Quotient,
    window: Sliding<Quotient>,
    /// The bound that was learned.
    bound: Option<f64>,
    /// The buckets that it is learned from, and since when.
    learning: Option<(Timestamp, Buckets)>,
}

impl Increases for Quotient {
    fn add(&mut self, other: &Self) {
        Self::add(self, *other);
    }
}

impl Group {
    pub(super) fn new(at: Timestamp) -> Self {
        Self {
            seen: at,
            total: Quotient::default(),
            window: Sliding::default(),
            bound: None,
            learning: None,
        }
    }

    /// Adds increases; returns the value and its evidence.
    ///
    /// # Errors
    /// Buckets without the bound that is asked for.
    pub(super) fn add(
        &mut self,
        rule: &RatioRule,
        risen: &Risen,
        at: Timestamp,
    ) -> Result<(f64, Evidence), String> {
        self.seen = at;
        let mut what = rule.what();
        let mut counts = risen.counts;
        if let Parts::Histogram { above, .. } = &rule.parts {
            let least = match above {
                Above::Value(least) => *least,
                Above::Usual(quantile) => {
                    let Some(bound) = self.learn(*quantile, &risen.buckets, at) else {
                        return Ok((f64::NAN, self.learning_evidence(rule, at)));
                    };
                    bound
                }
            };
            let (bound, above) = above_bound(&risen.buckets, least)?;
            counts = above;
            what = format!("observations above {}{}", rounded(bound), rule.unit());
        }
        self.total.add(counts);
        self.window.add(at, rule.window, &counts);
        Ok(self.evidence(rule, what))
    }

    fn evidence(&self, rule: &RatioRule, what: String) -> (f64, Evidence) {
        let window: Quotient = self.window.sum();
        let excess = window.numerator - window.denominator;
        let (count, share) = TORN;
        let impossible = excess > count.max(share * window.denominator);
        let insufficient = impossible.then(|| {
            if rule.is_good() {
                MORE_RIGHT_THAN_ALL
            } else {
                "more bad observations than observations: do both counters count the same thing?"
            }
            .to_owned()
        });
        let value = if impossible {
            f64::NAN
        } else {
            window.value().clamp(0.0, 1.0)
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts are not negative and stay far below 2^53"
        )]
        let samples = window.denominator as u64;
        let evidence = Evidence {
            samples,
            insufficient,
            window: Some(rule.window),
            counts: Some(Counts {
                is_good: rule.is_good(),
                window,
                total: self.total,
                what: Arc::from(what),
                delay: rule.delay,
            }),
            ..Evidence::default()
        };
        (value, evidence)
    }

    /// The learned bound; `None` while it is being learned.
    fn learn(&mut self, quantile: f64, servers: &[Buckets], at: Timestamp) -> Option<f64> {
        if self.bound.is_some() {
            return self.bound;
        }
        let (since, sum) = self.learning.get_or_insert_with(|| (at, Buckets::new()));
        for buckets in servers {
            for (bound, rise) in buckets {
                *sum.entry(bound.clone()).or_default() += rise;
            }
        }
        if at.since(*since) < LEARN || total(sum) < LEARN_COUNT {
            return None;
        }
        let all = total(sum);
        let distance = |rise: f64| (rise / all - quantile).abs();
        let finite = sum.iter().filter_map(|(bound, rise)| {
            let bound = parse_bound(bound).filter(|bound| bound.is_finite())?;
            Some((distance(*rise), bound))
        });
        self.bound = finite
            .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)))
            .map(|(_, bound)| bound);
        self.learning = None;
        self.bound
    }

    fn learning_evidence(&self, rule: &RatioRule, at: Timestamp) -> Evidence {
        let (minutes, seen) = self.learning.as_ref().map_or((0, 0.0), |(since, sum)| {
            (at.since(*since).as_secs() / 60, total(sum))
        });
        Evidence {
            window: Some(rule.window),
            learning: true,
            insufficient: Some(format!(
                "learning the usual bound: {minutes} of {} minutes, {seen:.0} of {LEARN_COUNT} observations",
                LEARN.as_secs() / 60
            )),
            ..Evidence::default()
        }
    }
}

/// All observations in cumulative buckets.
fn total(buckets: &Buckets) -> f64 {
    let all = buckets
        .iter()
        .find(|(bound, _)| parse_bound(bound).is_some_and(|bound| bound == f64::INFINITY));
    all.map_or(0.0, |(_, rise)| *rise)
}

/// The least bucket bound that is not below `least`, and how many observations are above it.
fn above_bound(servers: &[Buckets], least: f64) -> Result<(f64, Quotient), String> {
    let mut sum = Quotient::default();
    let mut shown = least;
    for buckets in servers {
        let bounds = buckets
            .iter()
            .filter_map(|(bound, rise)| Some((parse_bound(bound)?, *rise)));
        let beyond =
            bounds.filter(|(bound, _)| bound.is_finite() && *bound >= least * (1.0 - 1e-9));
        let Some((bound, below)) = beyond.min_by(|a, b| a.0.total_cmp(&b.0)) else {
            return Err(format!(
                "no bucket bound is {} or more; ratio.above must be at most the greatest finite bound",
                rounded(least)
            ));
        };
        shown = bound;
        let all = total(buckets);
        sum.add(Quotient {
            // A torn read must not be negative.
            numerator: (all - below).max(0.0),
            denominator: all,
        });
    }
    Ok((shown, sum))
}
