//! What every learning strategy shares: time between samples, direction, snapshots.

use std::fmt::Debug;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Pace, Snapshot, StrategyError, ThresholdStrategy, Verdict};
use crate::metric::{Direction, MetricSample, Timestamp};

/// A finite value that is to be judged and learnt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) x: f64,
    pub(super) at: Timestamp,
    pub(super) direction: Direction,
}

/// The learning part of a strategy: its memory, and how it judges and learns one value.
pub(super) trait Core: Clone + Debug + Send + Serialize + DeserializeOwned {
    /// The `type:`.
    const KIND: &'static str;
    /// What the configuration says.
    type Params: Debug + Clone + Send;

    /// A memory that has learnt nothing.
    fn new(params: &Self::Params) -> Self;

    /// Judges, then learns.
    fn step(&mut self, params: &Self::Params, step: Step) -> Verdict;

    /// Whether a restored memory belongs to these parameters; the parameter that differs otherwise.
    fn fits(&self, _params: &Self::Params) -> Result<(), &'static str> {
        Ok(())
    }

    /// Bytes on the heap.
    fn heap(&self) -> usize {
        0
    }
}

/// What is told to a [`Streaming`] strategy from outside its core.
#[derive(Debug, Clone, Copy)]
pub(super) struct Common {
    pub(super) direction: Direction,
    pub(super) interval: Duration,
    pub(super) cooldown: u32,
}

/// A strategy made of a core.
#[derive(Debug, Clone)]
pub(super) struct Streaming<C: Core> {
    params: C::Params,
    common: Common,
    memory: Memory<C>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Memory<C> {
    pace: Pace,
    core: C,
}

impl<C: Core> Streaming<C> {
    pub(super) fn new(params: C::Params, common: Common) -> Self {
        let core = C::new(&params);
        Self {
            params,
            common,
            memory: Memory {
                pace: Pace::default(),
                core,
            },
        }
    }
}

impl<C: Core> ThresholdStrategy for Streaming<C> {
    fn judge(&mut self, sample: &MetricSample) -> Verdict {
        if let Err(verdict) = self.memory.pace.admit(sample, self.common.interval) {
            return verdict;
        }
        let step = Step {
            // Sums and squares of what is left stay finite.
            x: sample.value.clamp(-1e100, 1e100),
            at: sample.at,
            direction: self.common.direction,
        };
        self.memory.core.step(&self.params, step)
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::of(C::KIND, 1, &self.memory)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), StrategyError> {
        let memory: Memory<C> = snapshot.open(C::KIND, 1)?;
        memory
            .core
            .fits(&self.params)
            .map_err(|parameter| StrategyError::Parameters {
                kind: C::KIND.to_owned(),
                parameter,
            })?;
        self.memory = memory;
        Ok(())
    }

    fn cooldown(&self) -> usize {
        self.common.cooldown as usize
    }

    fn memory(&self) -> usize {
        size_of_val(self) + self.memory.core.heap()
    }
}
