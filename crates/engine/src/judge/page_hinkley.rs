//! `page_hinkley`: the cumulative sum of deviations from the running mean.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::registry::Built;
use super::streaming::{Common, Core, Step, Streaming};
use super::{Band, Params, Registry, Side, StrategyContext, Verdict};
use crate::metric::rounded;

#[derive(Debug, Clone)]
pub(super) struct PageHinkleyParams {
    delta: f64,
    threshold: f64,
    alpha: f64,
    warm_up: u32,
}

/// Page (1954) and Hinkley (1971) as river 0.26 computes them; O(1), under 200 bytes. `delta` and `threshold` are in the unit of the
/// metric. An alarm starts it anew at the next sample.
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
    type Params = PageHinkleyParams;

    fn new(_params: &PageHinkleyParams) -> Self {
        Self {
            most_fall: -1.0,
            ..Self::default()
        }
    }

    fn step(&mut self, params: &PageHinkleyParams, step: Step) -> Verdict {
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
            return Verdict::warming_up("too few samples were seen");
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
        let band = Band {
            centre: Some(self.mean),
            ..Band::default()
        };
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
    let mut params = Params::new(map);
    let read = PageHinkleyParams {
        delta: params.not_negative("delta", 0.005),
        threshold: params.positive("threshold", 50.0),
        alpha: params.between("alpha", 0.9999, 0.0, 1.0),
        warm_up: params.count("warm_up", 30, 1..=1_000_000),
    };
    let common = Common {
        direction: params.direction(context.direction),
        interval: context.interval,
        cooldown: params.count("cooldown", 0, 0..=100_000),
    };
    params.finish(Box::new(Streaming::<PageHinkley>::new(read, common)))
}
