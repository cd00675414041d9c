//! The observations of a reference in pieces as long as a window, to see how much windows differ.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Histogram, Season};
use crate::metric::Timestamp;

/// Most pieces: a week of half hours.
const MAX_PIECES: usize = 384;
/// Most counts in all pieces, which limits the pieces of wide histograms.
const MAX_COUNTS: usize = 16_384;
/// Fewest pieces that a wide histogram keeps.
const MIN_PIECES: usize = 48;

/// The observations between two times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Piece {
    since: Timestamp,
    until: Timestamp,
    /// In the order of the names; buckets that appeared later are left out.
    counts: Vec<f32>,
}

impl Piece {
    pub(super) fn span(&self) -> Span {
        Span {
            since: self.since,
            until: self.until,
        }
    }
}

/// The time that a piece or a window covers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
}

impl Span {
    /// How far two spans are at the same time of the day or week: 1 if their middles are, 0 if they
    /// do not meet.
    pub(super) fn nearness(self, other: Self, season: Season) -> f64 {
        let Some(period) = season.period() else {
            return 1.0;
        };
        let period = period.as_secs_f64();
        let apart = (self.middle() - other.middle()).rem_euclid(period);
        let reach = f64::midpoint(self.seconds(), other.seconds());
        (1.0 - apart.min(period - apart) / reach).max(0.0)
    }

    pub(super) fn meets(self, other: Self, season: Season) -> bool {
        self.nearness(other, season) > 0.0
    }

    fn middle(self) -> f64 {
        f64::midpoint(self.since.as_secs_f64(), self.until.as_secs_f64())
    }

    fn seconds(self) -> f64 {
        self.until.since(self.since).as_secs_f64()
    }
}

/// Pieces in order of time. When there are too many, every two become one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Pieces {
    names: Vec<String>,
    /// How often every two became one.
    folds: u32,
    pieces: VecDeque<Piece>,
}

impl Pieces {
    /// How many windows long a new piece is.
    pub(super) fn windows_each(&self) -> u32 {
        1 << self.folds.min(16)
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Adds what was counted between two times.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a count; 24 bits are enough"
    )]
    pub(super) fn push(&mut self, since: Timestamp, until: Timestamp, counted: &Histogram) {
        let mut counts = vec![0.0_f32; self.names.len()];
        for (name, count) in counted.names.iter().zip(&counted.counts) {
            match self.names.iter().position(|known| known == name) {
                Some(index) => counts[index] = *count as f32,
                None => {
                    self.names.push(name.clone());
                    counts.push(*count as f32);
                }
            }
        }
        self.pieces.push_back(Piece {
            since,
            until,
            counts,
        });
        let most = MAX_COUNTS / self.names.len().max(1);
        if self.pieces.len() > most.clamp(MIN_PIECES, MAX_PIECES) {
            self.fold();
        }
    }

    fn fold(&mut self) {
        self.folds += 1;
        let mut folded = VecDeque::with_capacity(self.pieces.len().div_ceil(2));
        while let Some(mut piece) = self.pieces.pop_front() {
            if let Some(next) = self.pieces.pop_front() {
                piece.until = next.until;
                let longest = piece.counts.len().max(next.counts.len());
                piece.counts.resize(longest, 0.0);
                for (sum, count) in piece.counts.iter_mut().zip(next.counts) {
                    *sum += count;
                }
            }
            folded.push_back(piece);
        }
        self.pieces = folded;
    }

    /// Drops the newest piece.
    pub(super) fn drop_newest(&mut self) {
        self.pieces.pop_back();
    }

    /// Drops the pieces that ended longer ago than this.
    pub(super) fn forget(&mut self, at: Timestamp, age: Duration) {
        while let Some(oldest) = self.pieces.front()
            && at.since(oldest.until) > age
        {
            self.pieces.pop_front();
        }
    }

    /// Drops the pieces that are not `kept`, in their order.
    pub(super) fn retain(&mut self, kept: &[bool]) {
        let mut kept = kept.iter();
        self.pieces.retain(|_| kept.next().copied().unwrap_or(true));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter()
    }

    /// The counts of a piece in the order of all names.
    pub(super) fn counts(&self, piece: &Piece) -> Vec<f64> {
        let mut counts: Vec<f64> = piece.counts.iter().copied().map(f64::from).collect();
        counts.resize(self.names.len(), 0.0);
        counts
    }

    /// The observations of all pieces, each with this weight, by bucket.
    pub(super) fn sum(&self, weight: impl Fn(&Piece) -> f64) -> BTreeMap<String, f64> {
        let mut sum = vec![0.0; self.names.len()];
        for piece in &self.pieces {
            let weight = weight(piece);
            for (sum, count) in sum.iter_mut().zip(&piece.counts) {
                *sum += weight * f64::from(*count);
            }
        }
        self.names.iter().cloned().zip(sum).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MAX_PIECES, Piece, Pieces, Span};
    use crate::map::drift::{Histogram, Season};
    use crate::metric::Timestamp;

    const HOUR: Duration = Duration::from_secs(3600);

    fn hours(n: u32) -> Pieces {
        let mut pieces = Pieces::default();
        for hour in 0..n {
            let since = Timestamp::default() + HOUR * hour;
            let counted = Histogram {
                names: vec!["a".to_owned(), format!("b{}", hour % 3)],
                counts: vec![1.0, 2.0],
            };
            pieces.push(since, since + HOUR, &counted);
        }
        pieces
    }

    #[test]
    fn folding_loses_no_observation_and_halves_the_pieces() {
        let few = u32::try_from(MAX_PIECES).unwrap();
        for n in [few, few + 1, 5 * few] {
            let pieces = hours(n);
            assert!(pieces.len() <= MAX_PIECES && pieces.len() >= MAX_PIECES / 2);
            let total: f64 = pieces.sum(|_| 1.0).values().sum();
            assert!((total - 3.0 * f64::from(n)).abs() < 1e-9, "{total}");
        }
    }

    #[test]
    fn a_span_meets_the_pieces_of_its_time_of_the_day_or_week() {
        let pieces = hours(14 * 24);
        let since = Timestamp::default() + HOUR * (24 * 30 + 5);
        let span = Span {
            since,
            until: since + HOUR,
        };
        let met = |season: Season| {
            let spans = pieces.iter().map(Piece::span);
            spans.filter(|piece| piece.meets(span, season)).count()
        };
        assert_eq!(
            [Season::None, Season::Day, Season::Week].map(met),
            [14 * 24, 14, 2]
        );
    }
}
