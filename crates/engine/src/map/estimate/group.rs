//! The counts of one estimate, and its value.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::density::{Bucket, Piece, pieces};
use super::rule::{Calibration, EstimateRule, Estimated, Evidenced};
use crate::map::drift::parse_bound;
use crate::map::sliding::{Increases, Sliding};
use crate::metric::{Evidence, Labels, Quotient, Sampling, Timestamp};

/// A difference between estimate and labels is beyond chance from so many standard errors on.
const CHANCE: f64 = 3.0;
/// A difference that the approximation explains.
const APPROXIMATION: f64 = 0.01;
/// The limit of the method, for people.
const LIMIT: &str = "assumes that scores still mean what they meant";

/// Increases of one estimate.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Risen {
    /// Cumulative buckets, by the bound as exposed.
    pub(super) buckets: BTreeMap<String, f64>,
    pub(super) sum: f64,
    pub(super) count: f64,
    /// Labelled predictions that are right, of all labelled ones.
    pub(super) truth: Quotient,
}

impl Increases for Risen {
    fn add(&mut self, other: &Self) {
        for (bound, rise) in &other.buckets {
            *self.buckets.entry(bound.clone()).or_default() += rise;
        }
        self.sum += other.sum;
        self.count += other.count;
        self.truth.add(other.truth);
    }
}

/// An expected share with its standard error.
#[derive(Debug, Clone, Copy)]
struct Expected {
    share: f64,
    error: f64,
    /// The predictions behind it.
    count: f64,
}

/// One estimate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) seen: Timestamp,
    window: Sliding<Risen>,
}

impl Group {
    pub(super) fn new(at: Timestamp) -> Self {
        Self {
            seen: at,
            window: Sliding::default(),
        }
    }

    /// Adds increases; returns the value and its evidence.
    pub(super) fn add(
        &mut self,
        rule: &EstimateRule,
        labels: &Labels,
        risen: &Risen,
        at: Timestamp,
    ) -> (f64, Arc<Evidence>) {
        self.seen = at;
        self.window.add(at, rule.window, risen);
        let sum: Risen = self.window.sum();
        let (value, evidence) = match evaluate(rule, labels, &sum) {
            Ok(expected) => {
                let Expected {
                    share,
                    error,
                    count,
                } = expected;
                let mut evidence = Evidence::of_sampling(Sampling {
                    count,
                    interval: Some((share - error, share + error)),
                });
                evidence.statistic = format!("standard error {error:.4}; {LIMIT}");
                (share, evidence)
            }
            Err(why) => {
                let evidence = Evidence {
                    insufficient: Some(why),
                    ..Evidence::default()
                };
                (f64::NAN, evidence)
            }
        };
        let evidence = Evidence {
            window: Some(rule.window),
            ..evidence
        };
        (value, Arc::new(evidence))
    }
}

fn evaluate(rule: &EstimateRule, labels: &Labels, sum: &Risen) -> Result<Expected, String> {
    if rule.of == Estimated::Gap {
        return gap(rule, labels, sum);
    }
    let expected = expected(rule, labels, sum)?;
    if rule.truth.is_some()
        && rule.of == Estimated::Accuracy
        && let Ok(gap) = gap(rule, labels, sum)
        && gap.share != 0.0
    {
        let right = sum.truth.value();
        return Err(format!(
            "labels contradict the estimate: {:.1} % expected, {:.1} % of {:.0} labels are right; \
             scores no longer mean what they meant",
            expected.share * 100.0,
            right * 100.0,
            sum.truth.denominator
        ));
    }
    Ok(expected)
}

/// Expected accuracy minus that of the labels, reduced by what chance explains.
fn gap(rule: &EstimateRule, labels: &Labels, sum: &Risen) -> Result<Expected, String> {
    let accuracy = EstimateRule {
        of: Estimated::Accuracy,
        ..rule.clone()
    };
    let expected = expected(&accuracy, labels, sum)?;
    let Quotient {
        numerator,
        denominator,
    } = sum.truth;
    if denominator < as_count(rule.min_samples) {
        return Err(format!(
            "{denominator:.0} labels in the window, {} are needed",
            rule.min_samples
        ));
    }
    if numerator > denominator {
        return Err(
            "more right answers than answers: do both counters count the same labels?".to_owned(),
        );
    }
    let share = expected.share;
    let right = numerator / denominator;
    let sampling = share * (1.0 - share) / denominator;
    let error = (sampling + expected.error.powi(2)).sqrt();
    let difference = share - right;
    let beyond = (difference.abs() - (CHANCE * error).max(APPROXIMATION)).max(0.0);
    Ok(Expected {
        share: if beyond > 0.0 { difference } else { 0.0 },
        error: 0.0,
        count: denominator,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a small count")]
fn as_count(count: u64) -> f64 {
    count as f64
}

fn expected(rule: &EstimateRule, labels: &Labels, sum: &Risen) -> Result<Expected, String> {
    let Evidenced::Scores {
        threshold,
        calibration,
        ..
    } = &rule.from
    else {
        return of_confidence(rule, sum);
    };
    let buckets = read_buckets(&sum.buckets)?;
    let count: f64 = buckets.iter().map(|bucket| bucket.count).sum();
    enough(rule, count)?;
    let mut pieces = pieces(&buckets, *threshold);
    let own = calibration.iter().find(|one| {
        let mut known = one.labels.iter();
        known.all(|(name, value)| labels.get(name) == Some(value))
    });
    if let Some(own) = own {
        calibrate(&mut pieces, own);
    }
    share(rule.of, &pieces)
}

fn enough(rule: &EstimateRule, count: f64) -> Result<(), String> {
    if count >= as_count(rule.min_samples) {
        return Ok(());
    }
    Err(format!(
        "{count:.0} predictions in the window, {} are needed",
        rule.min_samples
    ))
}

/// The mean confidence. Its spread is unknown; it is at most that of a share.
fn of_confidence(rule: &EstimateRule, sum: &Risen) -> Result<Expected, String> {
    enough(rule, sum.count)?;
    let share = sum.sum / sum.count;
    if !(0.0..=1.0).contains(&share) {
        return Err(format!("a mean confidence of {share:.4} is no probability"));
    }
    Ok(Expected {
        share,
        error: (share * (1.0 - share) / sum.count).sqrt(),
        count: sum.count,
    })
}

/// The buckets with their own counts, from the cumulative ones.
fn read_buckets(cumulative: &BTreeMap<String, f64>) -> Result<Vec<Bucket>, String> {
    let mut bounds: Vec<(f64, f64)> = cumulative
        .iter()
        .filter_map(|(bound, count)| Some((parse_bound(bound)?, *count)))
        .collect();
    bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    if bounds.len() < 2 {
        return Err("a histogram of scores needs two buckets at least".to_owned());
    }
    let mut buckets = Vec::with_capacity(bounds.len());
    let (mut lower, mut below) = (0.0, 0.0);
    for (bound, count) in bounds {
        if bound.is_finite() && !(0.0..=1.0).contains(&bound) {
            return Err(format!(
                "a bucket bound of {bound} is no probability: scores must be 0 to 1"
            ));
        }
        let upper = bound.min(1.0);
        if count < below {
            return Err(
                "the buckets of the servers differ, or do not grow with their bounds".to_owned(),
            );
        }
        buckets.push(Bucket {
            lower,
            upper,
            count: count - below,
        });
        (lower, below) = (upper, count);
    }
    // Nothing is above 1, and only 0 is at most 0.
    buckets.retain(|bucket| bucket.upper > bucket.lower || bucket.count > 0.0);
    Ok(buckets)
}

/// Moves the means of the pieces of each bucket so that their mean is the measured share.
fn calibrate(pieces: &mut [Piece], calibration: &Calibration) {
    for (bound, share) in &calibration.shares {
        let same = |piece: &Piece| (piece.bound - bound.min(1.0)).abs() < 1e-9;
        let own = pieces.iter().filter(|piece| same(piece));
        let (count, sum) = own.fold((0.0, 0.0), |(count, sum), piece| {
            (count + piece.count, sum + piece.count * piece.mean)
        });
        if count > 0.0 {
            let shift = share - sum / count;
            for piece in pieces.iter_mut().filter(|piece| same(piece)) {
                piece.mean = (piece.mean + shift).clamp(0.0, 1.0);
            }
        }
    }
}

/// The expected share over the pieces. Its standard error is that of a mean, or of a ratio of
/// means, of independent predictions.
fn share(of: Estimated, pieces: &[Piece]) -> Result<Expected, String> {
    // For each piece: how many of a prediction's count enter numerator and denominator.
    let weight = |piece: &Piece| match (of, piece.is_above) {
        (Estimated::Accuracy | Estimated::Gap, true) => (piece.mean, 1.0),
        (Estimated::Accuracy | Estimated::Gap, false) => (1.0 - piece.mean, 1.0),
        (Estimated::Precision, true) => (piece.mean, 1.0),
        (Estimated::Precision, false) => (0.0, 0.0),
        (Estimated::Recall, true) => (piece.mean, piece.mean),
        (Estimated::Recall, false) => (0.0, piece.mean),
    };
    let (mut numerator, mut denominator, mut count) = (0.0, 0.0, 0.0);
    for piece in pieces {
        let (above, below) = weight(piece);
        numerator += piece.count * above;
        denominator += piece.count * below;
        count += piece.count;
    }
    if denominator <= 0.0 {
        return Err("nothing is predicted or expected to be class 1".to_owned());
    }
    let share = numerator / denominator;
    let residual = |piece: &Piece| {
        let (above, below) = weight(piece);
        piece.count * (above - share * below).powi(2)
    };
    let variance = pieces.iter().map(residual).sum::<f64>();
    Ok(Expected {
        share,
        error: variance.sqrt() / denominator,
        count,
    })
}
