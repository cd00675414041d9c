//! `ewma`: an adaptive band around an exponentially weighted mean.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::band_params::EwmaParams;
use super::moments::Moments;
use super::registry::Built;
use super::streaming::infinite;
use super::usual::{UsualCount, Weighed};
use super::{
    Pace, Registry, Snapshot, StrategyContext, StrategyError, ThresholdStrategy, Verdict,
    read_params,
};
use crate::metric::MetricSample;

const KIND: &str = "ewma";
/// The version of the stored state.
const VERSION: u32 = 2;

/// Exponentially weighted mean and variance. A value is anomalous if it is more than `k_sigma`
/// standard deviations from the mean. O(1); under 200 bytes after the first 50 values.
///
/// The recursion (West 1979, "Updating mean and variance estimates: an improved method") is `m +=
/// α d` and `v = (1−α)(v + α d²)` with `d = x − m`, where `α` is `max(alpha, 1/n)` for the
/// first samples. A sample is judged by the mean and variance before it. A sample of few
/// observations is judged by its plausible value nearest to the mean, and learned as it is. Slow
/// values at the start are left out; see `moments.rs`.
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
    moments: Moments,
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
}

impl ThresholdStrategy for EwmaStrategy {
    fn assess(&mut self, sample: &MetricSample) -> Verdict {
        self.assessed = None;
        if sample.value.is_infinite() {
            let band = self.memory.moments.band(&self.params);
            return infinite(sample.value, self.params.direction, band);
        }
        let steps = match self.memory.pace.admit(sample, self.params.interval) {
            Ok(steps) => steps,
            Err(verdict) => return verdict,
        };
        // Squares of clamped values are finite.
        let x = sample.value.clamp(-1e100, 1e100);
        let value = self.memory.usual.weigh(sample, x);
        self.assessed = Some((value, steps));
        self.memory.moments.assess(&self.params, &value)
    }

    fn learn(&mut self, _sample: &MetricSample) {
        if let Some((value, steps)) = self.assessed.take() {
            self.memory.usual.learn(&value);
            self.memory.moments.learn(&self.params, &value, steps);
        }
    }

    fn duplicate(&self) -> Box<dyn ThresholdStrategy> {
        Box::new(self.clone())
    }

    fn renew(&mut self) {
        self.memory.moments = Moments::default();
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::of(KIND, VERSION, &self.memory)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), StrategyError> {
        self.memory = snapshot.open(KIND, VERSION)?;
        Ok(())
    }

    fn cooldown(&self) -> Duration {
        self.params.cooldown
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
