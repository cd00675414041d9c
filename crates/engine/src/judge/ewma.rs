//! `ewma`: an adaptive band around an exponentially weighted mean.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::pace::weight;
use super::registry::Built;
use super::streaming::{TOO_FEW_SAMPLES, infinite};
use super::usual::{UsualCount, Weighed};
use super::{
    Band, Pace, Registry, Side, Snapshot, StrategyContext, StrategyError, ThresholdStrategy,
    Verdict, read_params,
};
use crate::describe::section;
use crate::metric::{Direction, MetricSample, rounded};

const KIND: &str = "ewma";

section! {
    /// An adaptive band: an exponentially weighted mean and variance.
    pub struct EwmaParams {
        /// Weight of a new value.
        pub alpha: f64 = 0.005, between(0.0, 1.0);
        /// Half the width of the band, in standard deviations.
        pub k_sigma: f64 = 5.0, above(0.0);
        /// How many values are learned before the first is judged.
        pub warm_up: u32 = 50, within(2.0, 1_000_000.0);
        /// Least standard deviation, in the unit of the value.
        pub min_deviation: f64 = 1e-9, above(0.0);
        /// Least standard deviation as a share of the mean, added to `min_deviation`.
        pub min_relative_deviation: f64 = 1e-3, at_least(0.0);
        /// A value teaches no more than this many standard deviations.
        pub clip_sigma: f64 = 6.0, above(0.0);
        /// How many anomalous values in a row on one side make the level move there.
        pub relearn_after: u32 = 50, within(1.0, 1_000_000.0);
        /// How many values after an anomaly do not report another one, unless its score is higher.
        pub cooldown: u32 = 5, within(0.0, 100_000.0);
        /// Which side is bad.
        pub direction: Direction = Direction::Both, default_text("that of the rule");
        unwritten {
            /// Time between samples; zero counts samples instead.
            pub interval: Duration = Duration::ZERO;
        }
    }
}

/// Exponentially weighted mean and variance. A value is anomalous if it is more than `k_sigma`
/// standard deviations from the mean. O(1); under 200 bytes.
///
/// The recursion (West 1979, "Updating mean and variance estimates: an improved method") is `m +=
/// α d` and `v = (1−α)(v + α d²)` with `d = x − m`, where `α` is `max(alpha, 1/n)` for the
/// first samples. A sample is judged by the mean and variance before it. A sample of few
/// observations is judged by its plausible value nearest to the mean, and learned as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct EwmaStrategy {
    params: EwmaParams,
    memory: Memory,
    /// The value that was assessed and not learned yet, and the steps before it.
    assessed: Option<(Weighed, i32)>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Memory {
    pace: Pace,
    seen: u32,
    mean: f64,
    variance: f64,
    /// Consecutive anomalous samples: positive above the band, negative below it.
    run: i64,
    #[serde(default, skip_serializing_if = "UsualCount::is_unknown")]
    usual: UsualCount,
}

impl EwmaStrategy {
    /// A strategy that has learned nothing yet.
    #[must_use]
    pub fn new(params: EwmaParams) -> Self {
        Self {
            params,
            memory: Memory::default(),
            assessed: None,
        }
    }

    /// The standard deviation, at least the configured minimum.
    fn deviation(&self) -> f64 {
        let floor =
            self.params.min_deviation + self.params.min_relative_deviation * self.memory.mean.abs();
        self.memory.variance.sqrt().max(floor)
    }

    /// The band before the next value; `None` while warming up.
    fn band(&self) -> Option<Band> {
        let width = self.params.k_sigma * self.deviation();
        let is_warm = self.memory.seen >= self.params.warm_up;
        is_warm.then(|| Band::around(self.memory.mean, width, self.params.direction))
    }

    fn update(&mut self, d: f64, steps: i32) {
        let memory = &mut self.memory;
        memory.seen = memory.seen.saturating_add(1);
        let alpha = weight(self.params.alpha, steps).max(1.0 / f64::from(memory.seen));
        memory.mean += alpha * d;
        memory.variance = (1.0 - alpha) * (memory.variance + alpha * d * d);
    }

    /// TableCounts consecutive anomalous samples on one side; after `relearn_after` of them starts
    /// from the initial state.
    fn count_run(&mut self, side: Option<Side>) {
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
    fn assess(&mut self, sample: &MetricSample) -> Verdict {
        self.assessed = None;
        if sample.value.is_infinite() {
            return infinite(sample.value, self.params.direction, self.band());
        }
        let steps = match self.memory.pace.admit(sample, self.params.interval) {
            Ok(steps) => steps,
            Err(verdict) => return verdict,
        };
        // Squares of clamped values are finite.
        let x = sample.value.clamp(-1e100, 1e100);
        let weighed = self.memory.usual.weigh(sample, x);
        self.assessed = Some((weighed, steps));
        let Some(band) = self.band() else {
            return Verdict::warming_up(TOO_FEW_SAMPLES);
        };
        let mean = self.memory.mean;
        let d = weighed.nearest(mean) - mean;
        let side = if d > 0.0 { Side::Above } else { Side::Below };
        let z = d.abs() / self.deviation();
        let score = if side.is_watched(self.params.direction) {
            z / self.params.k_sigma
        } else {
            0.0
        };
        Verdict::judged(score, Some(side), band, || {
            let word = side.as_str();
            Cow::Owned(format!(
                "{} is {z:.1} standard deviations {word} the mean {}",
                weighed.shown(),
                rounded(mean)
            ))
        })
    }

    fn learn(&mut self, _sample: &MetricSample) {
        let Some((weighed, steps)) = self.assessed.take() else {
            return;
        };
        let x = weighed.x;
        self.memory.usual.learn(&weighed);
        if self.memory.seen == 0 {
            self.memory.mean = x;
        }
        let mean = self.memory.mean;
        let d = x - mean;
        if self.memory.seen < self.params.warm_up {
            self.update(d, steps);
            return;
        }
        let sigma = self.deviation();
        let clip = self.params.clip_sigma * sigma;
        self.update(d.clamp(-clip, clip), steps);
        // Deviations on the side that is not watched count too, so that the level follows them.
        let nearest = weighed.nearest(mean) - mean;
        let is_outside = nearest.abs() / sigma > self.params.k_sigma;
        self.count_run(is_outside.then_some(if d > 0.0 { Side::Above } else { Side::Below }));
    }

    fn duplicate(&self) -> Box<dyn ThresholdStrategy> {
        Box::new(self.clone())
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
) -> Built {
    read_params::<EwmaParams, _>(map, |mut params, node| {
        if !node.has("direction") {
            params.direction = context.direction;
        }
        params.interval = context.interval;
        Box::new(EwmaStrategy::new(params)) as Box<dyn ThresholdStrategy>
    })
}
