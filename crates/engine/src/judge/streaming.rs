//! What all learning strategies share: the time between samples, the direction, snapshots.

use std::fmt::Debug;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::usual::{UsualCount, Weighed};
use super::{
    Band, Level, Pace, Snapshot, StrategyContext, StrategyError, ThresholdStrategy, Verdict,
};
use crate::metric::{Direction, MetricSample, Timestamp};

/// The default cool-down. An incident is one event, whatever the interval between samples.
pub(super) const COOLDOWN: Duration = Duration::from_secs(8 * 3600);

/// The reason of a verdict while warming up.
pub(super) const TOO_FEW_SAMPLES: &str = "too few samples were seen";

/// The verdict on an infinite value by a strategy that knows this band, `None` while warming up. It
/// is not learned.
pub(super) fn infinite(value: f64, direction: Direction, band: Option<Band>) -> Verdict {
    match band {
        Some(band) => Verdict::infinite(value, direction, band),
        None => Verdict::warming_up(TOO_FEW_SAMPLES),
    }
}

/// A finite value to judge and learn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) x: f64,
    /// The value with what its observations say.
    pub(super) weighed: Weighed,
    pub(super) at: Timestamp,
    /// Steps since the last value.
    pub(super) steps: i32,
    pub(super) direction: Direction,
}

/// The learning part of a strategy: its state, and how it judges and learns one value.
pub(super) trait Core:
    Clone + Debug + Send + Serialize + DeserializeOwned + 'static
{
    /// The `type:` of the strategy.
    const KIND: &'static str;
    /// The version of the stored state.
    const VERSION: u32 = 1;
    /// What the strategy knows of the normal level.
    const LEVEL: Level;
    /// The parameters of the strategy.
    type Params: Debug + Clone + Send + 'static;

    /// The initial state.
    fn new(params: &Self::Params) -> Self;

    /// The normal values before a value at this time; `None` while warming up.
    fn band(&self, params: &Self::Params, at: Timestamp, direction: Direction) -> Option<Band>;

    /// Judges a value. One that knows no level learns from it too.
    fn assess(&mut self, params: &Self::Params, step: Step) -> Verdict;

    /// Learns from the value that was assessed last.
    fn learn(&mut self, _params: &Self::Params, _step: Step) {}

    /// The level from before an incident is back.
    fn recovered(&mut self, _params: &Self::Params) {}

    /// Starts to learn the present level, as a candidate for the new normal.
    fn renew(&mut self, _params: &Self::Params) {}

    /// Checks whether a restored state fits these parameters.
    ///
    /// # Errors
    /// The name of the parameter that differs.
    fn fits(&self, _params: &Self::Params) -> Result<(), &'static str> {
        Ok(())
    }
}

/// The parameters that all [`Streaming`] strategies have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Common {
    pub(super) direction: Direction,
    pub(super) interval: Duration,
    pub(super) cooldown: Duration,
}

impl Common {
    /// What the parameters say, or the rule where they are silent.
    pub(super) fn new(
        context: &StrategyContext,
        direction: Option<Direction>,
        cooldown: Duration,
    ) -> Self {
        Self {
            direction: direction.unwrap_or(context.direction),
            interval: context.interval,
            cooldown,
        }
    }
}

/// A strategy with this core.
#[derive(Debug, Clone)]
pub(super) struct Streaming<C: Core> {
    params: C::Params,
    common: Common,
    memory: Memory<C>,
    /// The value that was assessed and not learned yet.
    assessed: Option<Step>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Memory<C> {
    pace: Pace,
    core: C,
    #[serde(default, skip_serializing_if = "UsualCount::is_unknown")]
    usual: UsualCount,
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
                usual: UsualCount::default(),
            },
            assessed: None,
        }
    }
}

impl<C: Core> ThresholdStrategy for Streaming<C> {
    fn assess(&mut self, sample: &MetricSample) -> Verdict {
        self.assessed = None;
        if sample.value.is_infinite() {
            let direction = self.common.direction;
            let band = self.memory.core.band(&self.params, sample.at, direction);
            return infinite(sample.value, direction, band);
        }
        let steps = match self.memory.pace.admit(sample, self.common.interval) {
            Ok(steps) => steps,
            Err(verdict) => return verdict,
        };
        // Sums and squares of clamped values are finite.
        let x = sample.value.clamp(-1e100, 1e100);
        let step = Step {
            x,
            weighed: self.memory.usual.weigh(sample, x),
            at: sample.at,
            steps,
            direction: self.common.direction,
        };
        self.assessed = Some(step);
        self.memory.core.assess(&self.params, step)
    }

    fn learn(&mut self, _sample: &MetricSample) {
        if let Some(step) = self.assessed.take() {
            self.memory.usual.learn(&step.weighed);
            self.memory.core.learn(&self.params, step);
        }
    }

    fn duplicate(&self) -> Box<dyn ThresholdStrategy> {
        Box::new(self.clone())
    }

    fn level(&self) -> Level {
        C::LEVEL
    }

    fn recovered(&mut self) {
        self.memory.core.recovered(&self.params);
    }

    fn renew(&mut self) {
        self.memory.core.renew(&self.params);
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::of(C::KIND, C::VERSION, &self.memory)
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), StrategyError> {
        let memory: Memory<C> = snapshot.open(C::KIND, C::VERSION)?;
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

    fn cooldown(&self) -> Duration {
        self.common.cooldown
    }
}
