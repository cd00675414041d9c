//! How much the windows of a reference differ from each other though nothing has changed.

use serde::{Deserialize, Serialize};

use super::moved::{dispersion, moved};
use super::pieces::{Pieces, Span};
use super::{Season, Statistic};

/// Fewest pieces from which a spread is estimated.
const LEAST_PIECES: usize = 6;
/// A piece is unlike the others if its distance to them is this many times the upper quartile of the
/// distances. In simulated healthy fortnights the greatest is at most 2.8 times the quartile, and by
/// chance alone hardly ever more than 3 times.
const UNLIKE: f64 = 4.0;
/// At most one piece in so many is left out.
const LEFT_OUT_OF: usize = 5;

/// How much the windows of a reference differ from each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// How many times greater the variance of counts is than for independent observations; 1 or
    /// more. Sessions of five alike observations have up to 5.
    pub overdispersion: f64,
    /// The greatest share of observations by which a piece differed from the others, beyond what
    /// counting explains; 0 to 1.
    pub range: f64,
    /// The pieces that this was estimated from; 0 if it was assumed.
    pub pieces: usize,
    /// The pieces that were unlike the others and are not in the reference.
    pub left_out: usize,
}

impl Spread {
    /// For a reference of fewer than six pieces: as if every five observations were alike.
    pub const ASSUMED: Self = Self {
        overdispersion: 5.0,
        range: 0.0,
        pieces: 0,
        left_out: 0,
    };

    /// Whether it can be true.
    ///
    /// # Errors
    /// An overdispersion below 1, or a range that is no share.
    pub fn check(&self) -> Result<(), String> {
        let Self {
            overdispersion,
            range,
            ..
        } = self;
        if !(overdispersion.is_finite() && *overdispersion >= 1.0) {
            return Err(format!(
                "spread.overdispersion: must be 1 or more, got {overdispersion}"
            ));
        }
        if !(0.0..=1.0).contains(range) {
            return Err(format!("spread.range: must be from 0 to 1, got {range}"));
        }
        Ok(())
    }
}

/// The pieces of a reference, each beside the others of its season.
struct Compared {
    season: Season,
    spans: Vec<Span>,
    counts: Vec<Vec<f64>>,
    others: Vec<Vec<f64>>,
    is_left_out: Vec<bool>,
}

/// The spread of the pieces, and which of them belong to the reference. Pieces of fewer than
/// `min_samples` observations say nothing about windows, which are not judged either.
pub(super) fn spread(pieces: &Pieces, season: Season, min_samples: u64) -> (Spread, Vec<bool>) {
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    let least = min_samples.max(1) as f64;
    let full: Vec<_> = pieces
        .iter()
        .map(|piece| (piece.span(), pieces.counts(piece)))
        .enumerate()
        .filter(|(_, (_, counts))| counts.iter().sum::<f64>() >= least)
        .map(|(index, (span, counts))| (index, span, counts))
        .collect();
    let mut kept = vec![true; pieces.len()];
    if full.len() < LEAST_PIECES {
        return (Spread::ASSUMED, kept);
    }
    let mut compared = Compared {
        season,
        spans: full.iter().map(|(_, span, _)| *span).collect(),
        others: Vec::new(),
        is_left_out: vec![false; full.len()],
        counts: full.iter().map(|(_, _, counts)| counts.clone()).collect(),
    };
    compared.bring_together();
    let left_out = compared.leave_out();
    for ((index, ..), is_left_out) in full.iter().zip(&compared.is_left_out) {
        kept[*index] = !is_left_out;
    }
    (compared.estimate(left_out), kept)
}

impl Compared {
    /// Sums up the other pieces for every piece.
    fn bring_together(&mut self) {
        let size = self.counts.first().map_or(0, Vec::len);
        let mut total = vec![0.0; size];
        for counts in &self.counts {
            add(&mut total, counts, 1.0);
        }
        for (one, counts) in self.counts.iter().enumerate() {
            let mut others = vec![0.0; size];
            if self.season == Season::None {
                add(&mut others, &total, 1.0);
                add(&mut others, counts, -1.0);
            } else {
                for (other, counts) in self.counts.iter().enumerate() {
                    if one != other && self.meet(one, other) {
                        add(&mut others, counts, 1.0);
                    }
                }
            }
            self.others.push(others);
        }
    }

    fn meet(&self, one: usize, other: usize) -> bool {
        self.spans[one].meets(self.spans[other], self.season)
    }

    /// The pieces that are in the reference and have others to compare with.
    fn kept(&self) -> impl Iterator<Item = (usize, &[f64], &[f64])> {
        let pairs = self.counts.iter().zip(&self.others).enumerate();
        pairs
            .filter(|(index, (_, others))| {
                !self.is_left_out[*index] && others.iter().sum::<f64>() > 0.5
            })
            .map(|(index, (counts, others))| (index, counts.as_slice(), others.as_slice()))
    }

    /// Leaves out the pieces that are unlike the others, the worst first; returns how many.
    fn leave_out(&mut self) -> usize {
        let most = self.counts.len() / LEFT_OUT_OF;
        let mut left_out = 0;
        while left_out < most
            && let Some(worst) = self.unlike()
        {
            self.is_left_out[worst] = true;
            left_out += 1;
            for other in 0..self.counts.len() {
                if other != worst && self.meet(other, worst) {
                    add(&mut self.others[other], &self.counts[worst], -1.0);
                }
            }
        }
        left_out
    }

    /// The piece that is farthest from the others, if it is unlike them.
    fn unlike(&self) -> Option<usize> {
        let distance = |counts: &[f64], others: &[f64]| {
            Statistic::TotalVariation.distance(counts, others, &[])
        };
        let mut distances: Vec<(f64, usize)> = self
            .kept()
            .map(|(index, counts, others)| (distance(counts, others), index))
            .collect();
        distances.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (quartile, _) = *distances.get(distances.len() * 3 / 4)?;
        let (greatest, worst) = *distances.last()?;
        (greatest > UNLIKE * quartile).then_some(worst)
    }

    #[expect(clippy::cast_precision_loss, reason = "a count")]
    fn estimate(&self, left_out: usize) -> Spread {
        let (mut sum, mut range, mut pieces) = (0.0, 0.0_f64, 0);
        for (_, counts, others) in self.kept() {
            sum += dispersion(counts, others);
            range = range.max(moved(counts, others));
            pieces += 1;
        }
        if pieces < LEAST_PIECES {
            return Spread {
                left_out,
                ..Spread::ASSUMED
            };
        }
        Spread {
            overdispersion: (sum / pieces as f64).max(1.0),
            range,
            pieces,
            left_out,
        }
    }
}

fn add(sum: &mut [f64], counts: &[f64], sign: f64) {
    for (sum, count) in sum.iter_mut().zip(counts) {
        // Rounding must not leave less than nothing.
        *sum = (*sum + sign * count).max(0.0);
    }
}
