//! `auto`: how large an excursion is, and how often one as large recurs in the series.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::bars::{Bars, Point};
use super::budget::Budget;
use super::moving_mean::MovingMean;
use super::recurrence::{Passed, Recurrence};
use super::registry::Built;
use super::season::{Period, Season};
use super::streaming::{COOLDOWN, Common, Core, Step, Streaming, TOO_FEW_SAMPLES};
use super::{
    Band, Level, Registry, Side, StrategyContext, ThresholdStrategy, Verdict, read_params,
};
use crate::describe::section;
use crate::metric::{Direction, Timestamp, rounded};

/// The weight of novelty in the size of an excursion; the rest is that of the deviation.
const WEIGHT: f64 = 0.3;
/// The deviation of size 1, in standard deviations.
const UNIT: f64 = 5.0;
/// Added to both deviations, so that a value at one of the levels is not of size 0.
const LEAST: f64 = 0.1;
/// The novelty that multiplies the size as a whole, in a series that is old enough.
const NOVELTY: f64 = 0.0075;
/// Days until novelty counts whole: in a young series records are easily set.
const MATURITY: f64 = 21.0;
/// The mean absolute deviation of a normal distribution over its standard deviation.
const TO_MEAN_ABSOLUTE: f64 = 0.7979;
/// A longer time without samples counts as a day.
const LONGEST_GAP: i64 = 86_400_000;

section! {
    /// How large an excursion is compared with how often one as large recurs: an alarm is rarer
    /// than its budget.
    pub(super) struct AutoParams {
        /// How many alarms are acceptable in the long run, from `1/30d` to `3/d`. A series that is
        /// still being learned raises a few more.
        budget: Budget = Budget::DAILY, example("1/30d");
        /// In a list of events, the time after an anomaly in which only a higher score is another one.
        cooldown: Duration = COOLDOWN;
        /// Which side is bad.
        direction: Option<Direction> = None, default_text("that of the rule");
    }
}

/// Ranks the size of an excursion among the past ones of the same series. 4.8 KB.
///
/// The size is the geometric mean of two deviations, from the recent level and from the usual level
/// of the hour, raised where a bar of five minutes breaks records. Its rarity is the time in which
/// one as large recurs, in periods of the budget. An excursion is anomalous if it is rarer than the
/// budget allows and large for its rarity. All ages are times, whatever the interval.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Auto {
    last: Option<Timestamp>,
    /// The days that were watched.
    age: f64,
    level: MovingMean,
    day: Season,
    bars: Bars,
    past: Recurrence,
    /// The largest excursion that was assessed and not learned yet. After an incident during which
    /// nothing was learned, the past still counts it.
    pending: Option<(f64, Timestamp)>,
}

/// How a value differs from what is usual.
#[derive(Debug, Clone, Copy)]
struct Excursion {
    size: f64,
    /// The deviation in standard deviations.
    deviation: f64,
    side: Side,
    breaks_records: bool,
}

impl Auto {
    /// Milliseconds since the last sample.
    fn since_last(&self, at: Timestamp) -> i64 {
        let last = self.last.unwrap_or(at);
        at.as_millis().saturating_sub(last.as_millis())
    }

    #[expect(clippy::cast_precision_loss, reason = "at most a day")]
    fn passed(&self, at: Timestamp) -> Passed {
        Passed::new(self.since_last(at).clamp(0, LONGEST_GAP) as f64 / LONGEST_GAP as f64)
    }

    fn point(&self, step: Step) -> Point {
        Point {
            at: step.at,
            x: step.x,
            distance: self.level.distance(step.x).abs(),
            since_last: self.since_last(step.at),
        }
    }

    /// The standard deviations from the recent level and from that of the hour.
    fn scales(&self) -> (f64, f64) {
        let floor = TO_MEAN_ABSOLUTE * self.level.floor();
        (
            self.level.deviation(),
            self.day.spread().max(floor) / TO_MEAN_ABSOLUTE,
        )
    }

    /// How a value differs on the watched sides; `None` while warming up.
    fn excursion(&self, step: Step, passed: Passed) -> Option<Excursion> {
        if !self.level.is_warm() {
            return None;
        }
        let watched = |distance: f64| {
            let is_watched = Side::of(distance).is_watched(step.direction);
            if is_watched { distance.abs() } else { 0.0 }
        };
        let (recent, hour) = self.scales();
        let (mean, usual) = (self.level.mean(), self.day.expected(step.at));
        let from_level = self.level.distance(step.weighed.nearest(mean));
        let from_hour = step.weighed.nearest(usual) - usual;
        let (z, r) = (watched(from_level) / recent, watched(from_hour) / hour);
        let deviation = ((z + LEAST) * (r + LEAST)).sqrt();
        let age = ((self.age + passed.days()) / MATURITY).min(1.0);
        let novelty = self.bars.novelty(self.point(step), step.direction);
        let records = age * age * novelty.min(1e100) / NOVELTY;
        Some(Excursion {
            size: (1.0 + records).powf(WEIGHT) * (deviation / UNIT).powf(1.0 - WEIGHT),
            deviation,
            side: Side::of(if z >= r { from_level } else { from_hour }),
            breaks_records: records > 1.0,
        })
    }

    /// The level from which a deviation is shown: between the recent one and that of the hour.
    fn centre(&self, at: Timestamp) -> f64 {
        f64::midpoint(self.level.mean(), self.day.expected(at))
    }

    /// Where a value that breaks no records is at the limit: `(x − p)(x − q) = w` for both levels,
    /// each moved by the least deviation.
    fn limits(&self, params: &AutoParams, at: Timestamp, passed: Passed) -> Option<(f64, f64)> {
        let size = self.past.limit(passed, params.budget.days())?;
        let deviation = UNIT * size.powf(1.0 / (1.0 - WEIGHT));
        let (recent, hour) = self.scales();
        let (mean, expected) = (self.level.mean(), self.day.expected(at));
        let root = |side: f64| {
            let p = mean - side * LEAST * recent;
            let q = expected - side * LEAST * hour;
            let half = (p - q) / 2.0;
            let product = (deviation * recent) * (deviation * hour);
            f64::midpoint(p, q) + side * (half * half + product).sqrt()
        };
        Some((
            root(-1.0).min(mean).min(expected),
            root(1.0).max(mean).max(expected),
        ))
    }

    /// The normal values on the watched sides.
    fn expected(
        &self,
        params: &AutoParams,
        at: Timestamp,
        direction: Direction,
        passed: Passed,
    ) -> Band {
        let (lower, upper) = self.limits(params, at, passed).unzip();
        Band {
            lower: lower.filter(|_| direction.watches_below()),
            centre: Some(self.centre(at)),
            upper: upper.filter(|_| direction.watches_above()),
        }
    }

    fn explain(&self, params: &AutoParams, step: Step, excursion: Excursion) -> String {
        let passed = self.passed(step.at);
        let times = self.past.earlier(excursion.size, passed, step.at).round();
        let recurred = match times {
            0.0 => "none as large came".to_owned(),
            1.0 => "one as large came once".to_owned(),
            _ => format!("one as large came {times} times"),
        };
        let records = if excursion.breaks_records {
            ", and its last minutes break records"
        } else {
            ""
        };
        format!(
            "{} is {:.1} standard deviations {} the usual {}{records}; {recurred} in {}, and the budget is {}",
            step.weighed.shown(),
            excursion.deviation,
            excursion.side.as_str(),
            rounded(self.centre(step.at)),
            in_words(self.past.days_after(passed)),
            params.budget,
        )
    }
}

/// A time in whole days, or in hours if it is shorter than a day.
fn in_words(days: f64) -> String {
    let (count, unit) = if days < 1.0 {
        ((days * 24.0).ceil(), "hour")
    } else {
        (days.round(), "day")
    };
    let plural = if count > 1.0 { "s" } else { "" };
    format!("{count} {unit}{plural}")
}

impl Core for Auto {
    const KIND: &'static str = "auto";
    const VERSION: u32 = 2;
    const LEVEL: Level = Level::Learned;
    type Params = AutoParams;

    fn new(_params: &AutoParams) -> Self {
        Self {
            last: None,
            age: 0.0,
            level: MovingMean::default(),
            day: Season::new(Period::Day, 0.1),
            bars: Bars::new(),
            past: Recurrence::new(),
            pending: None,
        }
    }

    fn band(&self, params: &AutoParams, at: Timestamp, direction: Direction) -> Option<Band> {
        let is_warm = self.level.is_warm();
        is_warm.then(|| self.expected(params, at, direction, self.passed(at)))
    }

    fn assess(&mut self, params: &AutoParams, step: Step) -> Verdict {
        let passed = self.passed(step.at);
        let Some(excursion) = self.excursion(step, passed) else {
            return Verdict::warming_up(TOO_FEW_SAMPLES);
        };
        if self.pending.is_none_or(|(size, _)| excursion.size > size) {
            self.pending = Some((excursion.size, step.at));
        }
        let days = params.budget.days();
        let score = self.past.rarity(excursion.size, passed, days).score;
        let band = self.expected(params, step.at, step.direction, passed);
        Verdict::judged(score, Some(excursion.side), band, || {
            Cow::Owned(self.explain(params, step, excursion))
        })
    }

    fn learn(&mut self, _params: &AutoParams, step: Step) {
        let (point, passed) = (self.point(step), self.passed(step.at));
        self.last = Some(step.at);
        self.age += passed.days();
        self.past.pass(passed);
        self.bars.learn(point);
        self.day.residual(step.at, step.x);
        self.level.learn(step.x);
        if let Some((size, at)) = self.pending.take() {
            self.past.learn(size, at);
        }
    }

    fn fits(&self, _params: &AutoParams) -> Result<(), &'static str> {
        if self.day.is_intact() && self.bars.is_intact() && self.past.is_intact() {
            Ok(())
        } else {
            Err("version")
        }
    }
}

pub(super) fn build(
    map: &Map<String, Value>,
    context: &StrategyContext,
    _registry: &Registry,
) -> Built {
    read_params::<AutoParams, _>(map, |params, _| {
        let common = Common::new(context, params.direction, params.cooldown);
        Box::new(Streaming::<Auto>::new(params, common)) as Box<dyn ThresholdStrategy>
    })
}

#[cfg(test)]
mod tests;
