//! `seasonal`: the deviation from the usual level of the hour.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::registry::Built;
use super::season::{Period, Season};
use super::streaming::{COOLDOWN, Common, Core, Step, Streaming, TOO_FEW_SAMPLES};
use super::{
    Band, Level, Registry, Side, StrategyContext, ThresholdStrategy, Verdict, read_params,
};
use crate::describe::section;
use crate::metric::{Direction, Timestamp, rounded};

/// The standard deviation of a normal distribution over its mean absolute deviation: √(π/2).
const TO_SIGMA: f64 = 1.253_314_137_315_500_1;

section! {
    /// A usual level for each hour of the day or of the week, in UTC; what differs from it is
    /// judged.
    pub(super) struct SeasonalParams {
        /// What repeats itself.
        pub(super) period: Period = Period::Day;
        /// Half the width of the band, in standard deviations.
        pub(super) k_sigma: f64 = 5.0, above(0.0);
        /// How many values are learned before the first is judged.
        pub(super) warm_up: u32 = 200, within(2.0, 1_000_000.0);
        /// Least standard deviation, in the unit of the value.
        pub(super) min_deviation: f64 = 1e-9, above(0.0);
        /// Least standard deviation as a share of the expected value, added to `min_deviation`.
        pub(super) min_relative_deviation: f64 = 1e-3, at_least(0.0);
        /// How many anomalous values in a row on one side make the level move there.
        pub(super) relearn_after: u32 = 50, within(1.0, 1_000_000.0);
        /// In a list of events, the time after an anomaly in which only a higher score is another one.
        pub(super) cooldown: Duration = COOLDOWN;
        /// Which side is bad.
        pub(super) direction: Option<Direction> = None, default_text("that of the rule");
    }
}

/// Learns a level for each hour of the day or of the week. O(1); 0.6 KB for a day, 2.9 KB for a
/// week.
///
/// After `relearn_after` consecutive anomalous samples on one side the overall level moves; the
/// shape of the period stays.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Seasonal {
    season: Season,
    seen: u32,
    run: i64,
}

impl Core for Seasonal {
    const KIND: &'static str = "seasonal";
    const LEVEL: Level = Level::Learned;
    type Params = SeasonalParams;

    fn new(params: &SeasonalParams) -> Self {
        let rate = match params.period {
            Period::Day => 0.1,
            Period::Week => 0.2,
        };
        Self {
            season: Season::new(params.period, rate),
            seen: 0,
            run: 0,
        }
    }

    fn band(&self, params: &SeasonalParams, at: Timestamp, direction: Direction) -> Option<Band> {
        let (expected, sigma) = self.centre(params, at);
        let is_warm = self.seen >= params.warm_up;
        is_warm.then(|| Band::around(expected, params.k_sigma * sigma, direction))
    }

    fn assess(&mut self, params: &SeasonalParams, step: Step) -> Verdict {
        if self.seen < params.warm_up {
            return Verdict::warming_up(TOO_FEW_SAMPLES);
        }
        let (expected, sigma) = self.centre(params, step.at);
        let residual = step.x - expected;
        let side = Side::of(residual);
        let z = residual.abs() / sigma;
        let score = if side.is_watched(step.direction) {
            z / params.k_sigma
        } else {
            0.0
        };
        let band = Band::around(expected, params.k_sigma * sigma, step.direction);
        Verdict::judged(score, Some(side), band, || {
            let word = side.as_str();
            Cow::Owned(format!(
                "{} is {z:.1} standard deviations {word} the usual {} of this hour",
                rounded(step.x),
                rounded(expected)
            ))
        })
    }

    fn learn(&mut self, params: &SeasonalParams, step: Step) {
        let (_, sigma) = self.centre(params, step.at);
        let residual = self.season.residual(step.at, step.x);
        if self.seen < params.warm_up {
            self.seen += 1;
            return;
        }
        let is_outside = residual.abs() / sigma > params.k_sigma;
        self.count_run(params, step, is_outside.then(|| Side::of(residual)));
    }

    fn fits(&self, _params: &SeasonalParams) -> Result<(), &'static str> {
        if self.season.is_intact() {
            Ok(())
        } else {
            Err("period")
        }
    }
}

impl Seasonal {
    /// The expected value and the standard deviation, at least the configured minimum.
    fn centre(&self, params: &SeasonalParams, at: Timestamp) -> (f64, f64) {
        let expected = self.season.expected(at);
        let floor = params.min_deviation + params.min_relative_deviation * expected.abs();
        (expected, (self.season.spread() * TO_SIGMA).max(floor))
    }

    /// Counts consecutive anomalous samples on one side; after `relearn_after` of them moves
    /// the level.
    fn count_run(&mut self, params: &SeasonalParams, step: Step, side: Option<Side>) {
        self.run = match side {
            Some(Side::Above) => self.run.max(0) + 1,
            Some(Side::Below) => self.run.min(0) - 1,
            None => 0,
        };
        if self.run.unsigned_abs() >= u64::from(params.relearn_after) {
            self.season.move_to(step.at, step.x);
            self.run = 0;
        }
    }
}

pub(super) fn build(
    map: &Map<String, Value>,
    context: &StrategyContext,
    _registry: &Registry,
) -> Built {
    read_params::<SeasonalParams, _>(map, |params, _| {
        let common = Common::new(context, params.direction, params.cooldown);
        Box::new(Streaming::<Seasonal>::new(params, common)) as Box<dyn ThresholdStrategy>
    })
}
