//! Learns a reference from what is counted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::histogram::{Rises, add_up};
use super::pieces::{Pieces, Span};
use super::spread::spread;
use super::{DriftRule, LearntReference, Season};
use crate::metric::Timestamp;

/// A window that grows has at least this share of its longest time.
const LEAST_WINDOW: u32 = 60;

/// What a learned reference is made of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Learning {
    since: Option<Timestamp>,
    /// The increases that are in no piece yet.
    rises: Rises,
    /// Since when they are counted.
    #[serde(default)]
    piece_since: Option<Timestamp>,
    #[serde(default)]
    pieces: Pieces,
    /// A window since then was beyond the limit.
    #[serde(default)]
    is_doubtful: bool,
}

impl Learning {
    /// The time of the first addition.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// Adds increases; returns whether there is a new piece.
    pub(super) fn add(&mut self, rule: &DriftRule, at: Timestamp, rises: &Rises) -> bool {
        self.since.get_or_insert(at);
        // The clock may have been set back.
        let since = self.piece_since.map_or(at, |since| since.min(at));
        self.piece_since = Some(since);
        add_up(&mut self.rises, rises);
        let is_complete = at.since(since) >= rule.window * self.pieces.windows_each()
            || rule.at_least.is_some_and(|least| {
                let is_long = at.since(since) >= rule.window / LEAST_WINDOW;
                is_long && total(rule, &self.rises) >= least as f64
            });
        if !is_complete {
            return false;
        }
        let counted = rule.histogram(&self.rises).unwrap_or_default();
        let is_good = !self.is_doubtful && counted.total() > 0.0;
        if is_good {
            self.pieces.push(since, at, &counted);
        }
        self.rises.clear();
        self.piece_since = Some(at);
        self.is_doubtful = false;
        is_good
    }

    /// A window is beyond the limit: what it holds must not become the reference.
    pub(super) fn doubt(&mut self) {
        if !self.is_doubtful {
            self.is_doubtful = true;
            self.pieces.drop_newest();
        }
    }

    /// The observations so far.
    pub(super) fn total(&self, rule: &DriftRule) -> f64 {
        let in_pieces: f64 = self.pieces.sum(|_| 1.0).values().sum();
        in_pieces + total(rule, &self.rises)
    }

    /// The reference of everything so far, without the pieces that are unlike the others; `None`
    /// while there are fewer observations than `least`.
    pub(super) fn reference(
        &mut self,
        rule: &DriftRule,
        season: Season,
        least: u64,
    ) -> Option<LearntReference> {
        if self.total(rule) < least as f64 {
            return None;
        }
        let (spread, kept) = spread(&self.pieces, season, rule.params.min_samples);
        self.pieces.retain(&kept);
        let mut counts = self.pieces.sum(|_| 1.0);
        if !self.is_doubtful {
            let rest = rule.histogram(&self.rises).ok()?;
            add_up(&mut counts, &rest.by_name());
        }
        let reference = LearntReference::of(&counts, least)?;
        Some(reference.with_spread(Some(spread)))
    }

    /// The reference for a window: the pieces at the same time of other days or weeks. `None` if
    /// there is no observation at that time.
    pub(super) fn at_the_time_of(
        &self,
        window: Span,
        season: Season,
        learnt: &LearntReference,
    ) -> Option<LearntReference> {
        let counts = self
            .pieces
            .sum(|piece| piece.span().nearness(window, season));
        let reference = LearntReference::of(&counts, 1)?;
        Some(reference.with_spread(learnt.spread()))
    }

    /// Forgets what is older than a reference that moves.
    pub(super) fn forget(&mut self, at: Timestamp, age: Duration) {
        self.pieces.forget(at, age);
    }
}

/// The observations in increases of categories, or of cumulative buckets.
pub(super) fn total(rule: &DriftRule, rises: &Rises) -> f64 {
    let values = rises.values().copied();
    if rule.params.ordered {
        values.fold(0.0, f64::max)
    } else {
        values.sum()
    }
}
