//! `novelty`: how much a value and its recent course differ from everything before.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::blocks::Blocks;
use super::record::{Record, watched};
use super::registry::Built;
use super::season::{Period, Season};
use super::streaming::{Common, Core, Step, Streaming, TOO_FEW_SAMPLES};
use super::{
    Band, Level, Registry, Side, StrategyContext, ThresholdStrategy, Verdict, read_params,
};
use crate::describe::section;
use crate::metric::{Direction, Timestamp, rounded};

section! {
    /// How far a value is beyond everything that the series has done: its records, those of
    /// seasonal residuals, and shapes.
    pub(super) struct NoveltyParams {
        /// The novelty that is anomalous.
        pub(super) threshold: f64 = 0.075, above(0.0);
        /// How many values are learned before the first is judged.
        pub(super) warm_up: u32 = 100, within(10.0, 1_000_000.0);
        /// In a list of events, the time after an anomaly in which only a higher score is another one.
        pub(super) cooldown: Duration = Duration::from_secs(12 * 3600);
        /// Which side is bad.
        pub(super) direction: Option<Direction> = None, default_text("that of the rule");
    }
}

/// Adds up by how much the series exceeds its records: of the value, of the extremes of five
/// values, of seasonal residuals and of block shapes. About 20 KB per series.
///
/// A new level breaks a record only once: it is an event when it begins, and normal from then on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Novelty {
    seen: u32,
    /// The value of all samples so far, if they were equal.
    constant: Option<f64>,
    value: Record,
    lows: Record,
    highs: Record,
    last: Vec<f64>,
    day: Residual,
    week: Residual,
    short: Blocks,
    long: Blocks,
}

/// Records of a seasonal residual and of the mean of its last three.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Residual {
    season: Season,
    one: Record,
    three: Record,
    last: Vec<f64>,
}

/// Appends a value and drops the oldest one beyond `length`.
fn keep(last: &mut Vec<f64>, length: usize, x: f64) {
    if last.len() >= length {
        last.remove(0);
    }
    last.push(x);
}

impl Residual {
    fn new(period: Period, rate: f64) -> Self {
        Self {
            season: Season::new(period, rate),
            one: Record::default(),
            three: Record::default(),
            last: Vec::with_capacity(3),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "at most 3")]
    fn push(&mut self, step: Step, live: bool) -> f64 {
        let residual = self.season.residual(step.at, step.x);
        keep(&mut self.last, 3, residual);
        if !live {
            return 0.0;
        }
        let mean = self.last.iter().sum::<f64>() / self.last.len() as f64;
        watched(step.direction, self.one.both(residual))
            + watched(step.direction, self.three.both(mean))
    }
}

impl Novelty {
    /// Whether all earlier values were equal and this one differs.
    fn leaves_constant(&mut self, x: f64) -> bool {
        if self.seen == 0 {
            self.constant = Some(x);
        }
        let left = self
            .constant
            .is_some_and(|level| (x - level).abs() > 1e-9 + 1e-3 * level.abs());
        if left {
            self.constant = None;
        }
        left
    }

    /// The novelty of a value, which is then learned.
    fn novelty(&mut self, warm_up: u32, step: Step) -> f64 {
        let live = self.seen >= warm_up;
        self.seen = self.seen.saturating_add(1);
        keep(&mut self.last, 5, step.x);
        let mut sum = 0.0;
        if live {
            let low = self.last.iter().copied().fold(f64::MAX, f64::min);
            let high = self.last.iter().copied().fold(f64::MIN, f64::max);
            sum += watched(step.direction, self.value.both(step.x));
            let lasting = (self.lows.both(low).0, self.highs.both(high).1);
            sum += 0.5 * watched(step.direction, lasting);
        }
        sum += 0.5 * self.day.push(step, live);
        sum += 0.5 * self.week.push(step, live);
        sum += 0.5 * self.short.push(step.x, warm_up);
        sum += 0.5 * self.long.push(step.x, warm_up);
        sum
    }
}

impl Core for Novelty {
    const KIND: &'static str = "novelty";
    const LEVEL: Level = Level::Unknown;
    type Params = NoveltyParams;

    fn new(_params: &NoveltyParams) -> Self {
        Self {
            seen: 0,
            constant: None,
            value: Record::default(),
            lows: Record::default(),
            highs: Record::default(),
            last: Vec::with_capacity(5),
            day: Residual::new(Period::Day, 0.1),
            week: Residual::new(Period::Week, 0.2),
            short: Blocks::new(12),
            long: Blocks::new(24),
        }
    }

    fn band(&self, params: &NoveltyParams, _at: Timestamp, direction: Direction) -> Option<Band> {
        let (low, high) = self.value.range();
        (self.seen > params.warm_up).then(|| Band {
            lower: direction.watches_below().then_some(low),
            centre: None,
            upper: direction.watches_above().then_some(high),
        })
    }

    fn assess(&mut self, params: &NoveltyParams, step: Step) -> Verdict {
        let (low, high) = self.value.range();
        let band = self.band(params, step.at, step.direction);
        let left_constant = self.leaves_constant(step.x);
        let novelty = self.novelty(params.warm_up, step);
        let Some(band) = band else {
            return Verdict::warming_up(TOO_FEW_SAMPLES);
        };
        let side = if step.x < low {
            Side::Below
        } else {
            Side::Above
        };
        // A constant series has no range to measure records in, so its first change is an event.
        let score = if left_constant && side.is_watched(step.direction) {
            2.0
        } else {
            novelty / params.threshold
        };
        let outside = (step.x < low || step.x > high).then_some(side);
        Verdict::judged(score, outside, band, || {
            let x = rounded(step.x);
            Cow::Owned(match outside {
                Some(_) => format!(
                    "{x} is outside all earlier values, {} to {}",
                    rounded(low),
                    rounded(high)
                ),
                None => {
                    format!("{x} or its recent course is unlike anything at this hour or before")
                }
            })
        })
    }

    fn fits(&self, _params: &NoveltyParams) -> Result<(), &'static str> {
        if self.day.season.is_intact() && self.week.season.is_intact() {
            Ok(())
        } else {
            Err("period")
        }
    }
}

pub(super) fn build(
    map: &Map<String, Value>,
    context: &StrategyContext,
    _registry: &Registry,
) -> Built {
    read_params::<NoveltyParams, _>(map, |params, _| {
        let common = Common::new(context, params.direction, params.cooldown);
        Box::new(Streaming::<Novelty>::new(params, common)) as Box<dyn ThresholdStrategy>
    })
}
