//! What is usual: the share of bad observations, how much more it varies than chance explains, and
//! how many observations an evaluation adds.

use serde::{Deserialize, Serialize};

/// Half-life of the learned counts, in seconds.
const HALF_LIFE: f64 = 7.0 * 86_400.0;
/// Longest time between two evaluations that ages the counts, in seconds: absence is no knowledge.
const MAX_GAP: f64 = 3600.0;
/// Judging begins after this many observations and seconds.
const WARM_COUNT: f64 = 200.0;
const WARM_TIME: f64 = 1800.0;
/// Observations before dispersion is learned: before, the share itself is too uncertain.
const DISPERSION_AFTER: f64 = 100.0;
/// Shortest block whose count is compared with its expectation, in seconds.
const BLOCK: f64 = 120.0;
/// One block contributes no more than this many times its expected square.
const MAX_SQUARE: f64 = 64.0;
/// What is assumed about the squares at the start, and the number of blocks that it is worth: it is
/// not known yet whether errors come in bursts.
const FIRST_SQUARE: f64 = 3.0;
const FIRST_BLOCKS: f64 = 5.0;
/// How much the dispersion beyond chance is raised, because bursts differ in size.
const UNEVEN: f64 = 1.5;
/// The weight of earlier blocks when a new one is complete.
const BLOCK_MEMORY: f64 = 0.999;

/// Observations, and how many of them are bad.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) bad: f64,
    pub(super) of: f64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.bad += other.bad;
        self.of += other.of;
    }

    fn scaled(self, factor: f64) -> Self {
        Self {
            bad: self.bad * factor,
            of: self.of * factor,
        }
    }

    /// The logarithm of how much likelier a share of `b` makes these counts than a share of `a`.
    pub(super) fn evidence(self, a: f64, b: f64) -> f64 {
        self.bad * (b / a).ln() + (self.of - self.bad) * ((1.0 - b) / (1.0 - a)).ln()
    }
}

/// What one evaluation adds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Step {
    pub(super) counts: Tally,
    /// Seconds since the last evaluation.
    pub(super) seconds: f64,
}

/// What was learned about normal times.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Base {
    counts: Tally,
    /// Counts of a suspicious time, learned when it turns out to be chance.
    pending: Tally,
    /// Observations and seconds since the start.
    seen: f64,
    age: f64,
    /// The sum of the blocks' squared deviations, in units of their expectation, and their number.
    squares: f64,
    blocks: f64,
    block: Tally,
    block_age: f64,
    /// The mean number of observations in one evaluation.
    per_step: f64,
    steps: f64,
    /// The evidence that the share fell for good, and the counts since it began.
    fallen: f64,
    fallen_counts: Tally,
}

impl Base {
    /// Whether enough was learned to judge.
    pub(super) fn is_warm(&self) -> bool {
        self.seen >= WARM_COUNT && self.age >= WARM_TIME
    }

    /// How far the warm-up is, for people.
    pub(super) fn progress(&self) -> String {
        let minutes = |seconds: f64| (seconds / 60.0).floor();
        format!(
            "learning what is usual: {} of {WARM_COUNT} observations, {} of {} minutes",
            self.seen.min(WARM_COUNT).round(),
            minutes(self.age.min(WARM_TIME)),
            minutes(WARM_TIME)
        )
    }

    /// The same dispersion, for a level that is learned afresh.
    pub(super) fn renewed(&self) -> Self {
        Self {
            squares: self.squares,
            blocks: self.blocks,
            per_step: self.per_step,
            steps: self.steps,
            ..Self::default()
        }
    }

    /// The usual share.
    pub(super) fn share(&self) -> f64 {
        ((self.counts.bad + 0.5) / (self.counts.of + 1.0)).clamp(1e-5, 0.99)
    }

    /// The usual share plus one standard error, so that little knowledge raises no alarms.
    pub(super) fn cautious_share(&self) -> f64 {
        let share = self.share();
        let variance = self.dispersion() * share * (1.0 - share) / (self.counts.of + 1.0);
        (share + variance.sqrt()).min(0.995)
    }

    /// How many times more the counts vary than chance explains; at least 1.
    pub(super) fn dispersion(&self) -> f64 {
        let squares = self.squares + FIRST_SQUARE * FIRST_BLOCKS;
        let beyond = squares / (self.blocks + FIRST_BLOCKS) - 1.0;
        1.0 + UNEVEN * beyond.max(0.0)
    }

    /// The mean number of observations in one evaluation.
    pub(super) fn per_step(&self) -> f64 {
        self.per_step
    }

    /// Learns from normal counts; `limit` is the evidence that a lasting fall of the share needs.
    pub(super) fn learn(&mut self, step: Step, is_suspicious: bool, limit: f64) {
        let seconds = step.seconds.clamp(0.0, MAX_GAP);
        self.age += seconds;
        self.seen += step.counts.of;
        self.steps += 1.0;
        let weight = (1.0 / self.steps).max(seconds.min(600.0) / 86_400.0);
        self.per_step += weight * (step.counts.of - self.per_step);
        self.learn_dispersion(step.counts, seconds);
        self.note_fall(step.counts, limit);
        self.counts = self.counts.scaled(0.5_f64.powf(seconds / HALF_LIFE));
        self.pending.add(step.counts);
        if !is_suspicious {
            self.counts.add(std::mem::take(&mut self.pending));
        }
    }

    /// Drops the counts of a suspicious time, which was no chance.
    pub(super) fn drop_pending(&mut self) {
        self.pending = Tally::default();
        self.block = Tally::default();
        self.block_age = 0.0;
    }

    /// Compares blocks of at least two minutes and one expected bad observation with chance.
    fn learn_dispersion(&mut self, counts: Tally, seconds: f64) {
        if self.seen < DISPERSION_AFTER {
            return;
        }
        self.block.add(counts);
        self.block_age += seconds;
        let share = self.share();
        let expected = self.block.of * share;
        if self.block_age < BLOCK || expected < 1.0 {
            return;
        }
        let uncertain = 1.0 + self.block.of / (self.counts.of + 1.0);
        let variance = expected * (1.0 - share) * uncertain;
        let square = ((self.block.bad - expected).powi(2) / variance).min(MAX_SQUARE);
        self.squares = self.squares * BLOCK_MEMORY + square;
        self.blocks = self.blocks * BLOCK_MEMORY + 1.0;
        self.block = Tally::default();
        self.block_age = 0.0;
    }

    /// Starts from the counts since the share fell to half or less, when that is certain: else a bad
    /// start, or a defect that was repaired, would hide the next one for days.
    fn note_fall(&mut self, counts: Tally, limit: f64) {
        let share = self.share();
        let evidence = counts.evidence(share, share / 2.0) / self.dispersion();
        self.fallen += evidence;
        self.fallen_counts.add(counts);
        if self.fallen <= 0.0 {
            self.fallen = 0.0;
            self.fallen_counts = Tally::default();
        } else if self.fallen > limit {
            self.fallen = 0.0;
            self.counts = std::mem::take(&mut self.fallen_counts);
            self.pending = Tally::default();
        }
    }
}
