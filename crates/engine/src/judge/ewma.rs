//! `ewma`: an adaptive band around an exponentially weighted mean.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::pace::weight;
use super::{
    Band, Pace, Params, Problem, Registry, Side, Snapshot, StrategyContext, StrategyError,
    ThresholdStrategy, Verdict,
};
use crate::metric::{Direction, MetricSample, rounded};

const KIND: &str = "ewma";

/// Parameters of [`EwmaStrategy`].
#[derive(Debug, Clone, PartialEq)]
pub struct EwmaParams {
    /// Weight of a new sample, between 0 and 1.
    pub alpha: f64,
    /// Width of the band in standard deviations.
    pub k_sigma: f64,
    /// Samples before the first judgement.
    pub warm_up: u32,
    /// Least standard deviation, in the unit of the metric.
    pub min_deviation: f64,
    /// Least standard deviation as a share of the mean.
    pub min_relative_deviation: f64,
    /// A deviation is learnt up to this many standard deviations.
    pub clip_sigma: f64,
    /// Anomalous samples in a row on one side after which the level is learnt anew.
    pub relearn_after: u32,
    /// Rows of an event list after an event in which only a higher score counts.
    pub cooldown: u32,
    /// Which side is bad.
    pub direction: Direction,
    /// Time between samples; zero counts samples instead.
    pub interval: Duration,
}

impl Default for EwmaParams {
    fn default() -> Self {
        Self {
            alpha: 0.005,
            k_sigma: 5.0,
            warm_up: 50,
            min_deviation: 1e-9,
            min_relative_deviation: 1e-3,
            clip_sigma: 6.0,
            relearn_after: 50,
            cooldown: 5,
            direction: Direction::Both,
            interval: Duration::ZERO,
        }
    }
}

/// Exponentially weighted mean and variance; anomalous `k_sigma` standard deviations away from the mean. O(1); under 200 bytes.
///
/// The recursion is West's (1979): with `d = x − m`, `m += α d` and `v = (1−α)(v + α d²)`, where `α` is `max(alpha, 1/n)` for the
/// first samples. A sample is judged by the mean and variance before it.
#[derive(Debug, Clone, PartialEq)]
pub struct EwmaStrategy {
    params: EwmaParams,
    memory: Memory,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Memory {
    pace: Pace,
    seen: u32,
    mean: f64,
    variance: f64,
    /// Anomalous samples in a row: positive above, negative below.
    run: i64,
}

impl EwmaStrategy {
    /// A strategy that has learnt nothing yet.
    #[must_use]
    pub fn new(params: EwmaParams) -> Self {
        Self {
            params,
            memory: Memory::default(),
        }
    }

    fn deviation(&self) -> f64 {
        let floor =
            self.params.min_deviation + self.params.min_relative_deviation * self.memory.mean.abs();
        self.memory.variance.sqrt().max(floor)
    }

    fn learn(&mut self, d: f64, steps: i32) {
        let memory = &mut self.memory;
        memory.seen = memory.seen.saturating_add(1);
        let alpha = weight(self.params.alpha, steps).max(1.0 / f64::from(memory.seen));
        memory.mean += alpha * d;
        memory.variance = (1.0 - alpha) * (memory.variance + alpha * d * d);
    }

    /// Counts anomalous samples in a row on one side; after enough of them the new level is learnt from the start.
    fn follow(&mut self, side: Option<Side>) {
        let run = self.memory.run;
        self.memory.run = match side {
            Some(Side::Above) => run.max(0) + 1,
            Some(Side::Below) => run.min(0) - 1,
            None => 0,
        };
        if self.memory.run.unsigned_abs() >= u64::from(self.params.relearn_after) {
            self.memory = Memory {
                pace: self.memory.pace,
                ..Memory::default()
            };
        }
    }
}

impl ThresholdStrategy for EwmaStrategy {
    fn judge(&mut self, sample: &MetricSample) -> Verdict {
        let steps = match self.memory.pace.admit(sample, self.params.interval) {
            Ok(steps) => steps,
            Err(verdict) => return verdict,
        };
        // Squares of what is left stay finite.
        let x = sample.value.clamp(-1e100, 1e100);
        if self.memory.seen == 0 {
            self.memory.mean = x;
        }
        let d = x - self.memory.mean;
        if self.memory.seen < self.params.warm_up {
            self.learn(d, steps);
            return Verdict::warming_up("too few samples were seen");
        }
        let (mean, sigma) = (self.memory.mean, self.deviation());
        let direction = self.params.direction;
        let side = if d > 0.0 { Side::Above } else { Side::Below };
        let watched = match side {
            Side::Above => direction.watches_above(),
            Side::Below => direction.watches_below(),
        };
        let z = d.abs() / sigma;
        let score = if watched {
            z / self.params.k_sigma
        } else {
            0.0
        };
        let band = Band::around(mean, self.params.k_sigma * sigma, direction);
        let verdict = Verdict::judged(score, Some(side), band, || {
            let word = if d > 0.0 { "above" } else { "below" };
            Cow::Owned(format!(
                "{} is {z:.1} standard deviations {word} the mean {}",
                rounded(x),
                rounded(mean)
            ))
        });
        let clip = self.params.clip_sigma * sigma;
        self.learn(d.clamp(-clip, clip), steps);
        // Deviations on the side that is not watched also move the level for good.
        self.follow((z > self.params.k_sigma).then_some(side));
        verdict
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::of(KIND, 1, &self.memory)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), StrategyError> {
        self.memory = snapshot.open(KIND, 1)?;
        Ok(())
    }

    fn cooldown(&self) -> usize {
        self.params.cooldown as usize
    }
}

pub(super) fn build(
    map: &Map<String, Value>,
    context: &StrategyContext,
    _registry: &Registry,
) -> Result<Box<dyn ThresholdStrategy>, Vec<Problem>> {
    let mut params = Params::new(map);
    let own = EwmaParams::default();
    let read = EwmaParams {
        alpha: params.between("alpha", own.alpha, 0.0, 1.0),
        k_sigma: params.positive("k_sigma", own.k_sigma),
        warm_up: params.count("warm_up", own.warm_up, 2..=1_000_000),
        min_deviation: params.positive("min_deviation", own.min_deviation),
        min_relative_deviation: params
            .not_negative("min_relative_deviation", own.min_relative_deviation),
        clip_sigma: params.positive("clip_sigma", own.clip_sigma),
        relearn_after: params.count("relearn_after", own.relearn_after, 1..=1_000_000),
        cooldown: params.count("cooldown", own.cooldown, 0..=100_000),
        direction: params.direction(context.direction),
        interval: context.interval,
    };
    params.finish(Box::new(EwmaStrategy::new(read)))
}
