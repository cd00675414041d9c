//! `seasonal`: the residual from the usual level of the hour.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::registry::Built;
use super::season::{Period, Season};
use super::streaming::{Common, Core, Step, Streaming};
use super::{Band, Params, Registry, Side, StrategyContext, Verdict};
use crate::metric::rounded;

/// Mean absolute deviation to standard deviation of a normal distribution: √(π/2).
const TO_SIGMA: f64 = 1.253_314_137_315_500_1;

#[derive(Debug, Clone)]
pub(super) struct SeasonalParams {
    period: Period,
    k_sigma: f64,
    warm_up: u32,
    min_deviation: f64,
    min_relative_deviation: f64,
    relearn_after: u32,
}

/// Learns a level for each hour of the day (or week). O(1); 0.6 KB (2.9 KB for a week).
///
/// After `relearn_after` anomalous samples in a row on one side the level moves; the shape of the day stays.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Seasonal {
    season: Season,
    seen: u32,
    run: i64,
}

impl Core for Seasonal {
    const KIND: &'static str = "seasonal";
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

    fn step(&mut self, params: &SeasonalParams, step: Step) -> Verdict {
        let expected = self.season.expected(step.at);
        let floor = params.min_deviation + params.min_relative_deviation * expected.abs();
        let sigma = (self.season.spread() * TO_SIGMA).max(floor);
        let residual = self.season.residual(step.at, step.x);
        if self.seen < params.warm_up {
            self.seen += 1;
            return Verdict::warming_up("too few samples were seen");
        }
        let side = Side::of(residual);
        let z = residual.abs() / sigma;
        self.follow(params, step, (z > params.k_sigma).then_some(side));
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

    fn fits(&self, _params: &SeasonalParams) -> Result<(), &'static str> {
        if self.season.intact() {
            Ok(())
        } else {
            Err("period")
        }
    }

    fn heap(&self) -> usize {
        self.season.heap()
    }
}

impl Seasonal {
    fn follow(&mut self, params: &SeasonalParams, step: Step, side: Option<Side>) {
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
    let mut params = Params::new(map);
    let read = SeasonalParams {
        period: [Period::Day, Period::Week][params.word("period", 0, &["day", "week"])],
        k_sigma: params.positive("k_sigma", 5.0),
        warm_up: params.count("warm_up", 200, 2..=1_000_000),
        min_deviation: params.positive("min_deviation", 1e-9),
        min_relative_deviation: params.not_negative("min_relative_deviation", 1e-3),
        relearn_after: params.count("relearn_after", 50, 1..=1_000_000),
    };
    let common = Common {
        direction: params.direction(context.direction),
        interval: context.interval,
        cooldown: params.count("cooldown", 5, 0..=100_000),
    };
    params.finish(Box::new(Streaming::<Seasonal>::new(read, common)))
}
