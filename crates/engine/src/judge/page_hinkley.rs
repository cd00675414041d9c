//! `page_hinkley`: the cumulative sum of deviations from the running mean.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::registry::Built;
use super::streaming::{Common, Core, Step, Streaming, TOO_FEW_SAMPLES};
use super::{
    Band, Level, Registry, Side, StrategyContext, ThresholdStrategy, Verdict, read_params,
};
use crate::describe::section;
use crate::metric::{Direction, Timestamp, rounded};

section! {
    /// The Page-Hinkley test: the cumulative sum of deviations from the running mean.
    pub(super) struct PageHinkleyParams {
        /// The change that is tolerated, in the unit of the value.
        pub(super) delta: f64 = 0.005, at_least(0.0);
        /// The sum of deviations that is anomalous, in the unit of the value.
        pub(super) threshold: f64 = 50.0, above(0.0);
        /// The factor by which earlier deviations fade with each value.
        pub(super) alpha: f64 = 0.9999, between(0.0, 1.0);
        /// How many values are learned before the first is judged.
        pub(super) warm_up: u32 = 30, within(1.0, 1_000_000.0);
        /// In a list of events, the time after an anomaly in which only a higher score is another one.
        pub(super) cooldown: Duration = Duration::ZERO;
        /// Which side is bad.
        pub(super) direction: Option<Direction> = None, default_text("that of the rule");
    }
}

/// The Page–Hinkley test (Page 1954, "Continuous inspection schemes"; Hinkley 1971) as river 0.26
/// computes it. O(1); under 200 bytes.
///
/// `delta` and `threshold` are in the unit of the metric. After an alarm it restarts at the next
/// sample.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct PageHinkley {
    seen: u32,
    mean: f64,
    rise: f64,
    fall: f64,
    least_rise: f64,
    most_fall: f64,
    alarmed: bool,
}

impl Core for PageHinkley {
    const KIND: &'static str = "page_hinkley";
    const LEVEL: Level = Level::Unknown;
    type Params = PageHinkleyParams;

    fn new(_params: &PageHinkleyParams) -> Self {
        Self {
            most_fall: -1.0,
            ..Self::default()
        }
    }

    fn band(&self, params: &PageHinkleyParams, _at: Timestamp, _: Direction) -> Option<Band> {
        // After an alarm the next value starts over. The value that ends the warm-up is judged.
        let seen = if self.alarmed { 0 } else { self.seen };
        (seen > 0 && seen.saturating_add(1) >= params.warm_up).then_some(Band::about(self.mean))
    }

    fn recovered(&mut self, params: &Self::Params) {
        *self = Self::new(params);
    }

    fn assess(&mut self, params: &PageHinkleyParams, step: Step) -> Verdict {
        if self.alarmed {
            *self = Self::new(params);
        }
        let x = step.x;
        self.seen = self.seen.saturating_add(1);
        self.mean += (x - self.mean) / f64::from(self.seen);
        let deviation = x - self.mean;
        self.rise = params.alpha * self.rise + deviation - params.delta;
        self.fall = params.alpha * self.fall + deviation + params.delta;
        self.least_rise = if self.seen == 1 {
            self.rise
        } else {
            self.least_rise.min(self.rise)
        };
        self.most_fall = self.most_fall.max(self.fall);
        if self.seen < params.warm_up {
            return Verdict::warming_up(TOO_FEW_SAMPLES);
        }
        let up = if step.direction.watches_above() {
            self.rise - self.least_rise
        } else {
            0.0
        };
        let down = if step.direction.watches_below() {
            self.most_fall - self.fall
        } else {
            0.0
        };
        let side = if down > up { Side::Below } else { Side::Above };
        let score = up.max(down) / params.threshold;
        self.alarmed = score > 1.0;
        let band = Band::about(self.mean);
        Verdict::judged(score, Some(side), band, || {
            let (word, mean) = (side.as_str(), self.mean);
            Cow::Owned(format!(
                "values have moved {word} their mean {} for long enough",
                rounded(mean)
            ))
        })
    }
}

pub(super) fn build(
    map: &Map<String, Value>,
    context: &StrategyContext,
    _registry: &Registry,
) -> Built {
    read_params::<PageHinkleyParams, _>(map, |params, _| {
        let common = Common::new(context, params.direction, params.cooldown);
        Box::new(Streaming::<PageHinkley>::new(params, common)) as Box<dyn ThresholdStrategy>
    })
}
