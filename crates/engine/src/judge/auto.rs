//! `auto`: combines `ewma` and `novelty`; the weight of `novelty` grows with the age of the series.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::novelty::{Novelty, NoveltyParams};
use super::registry::Built;
use super::streaming::{Common, Streaming};
use super::{
    EwmaParams, EwmaStrategy, Level, Registry, Snapshot, StrategyContext, StrategyError,
    ThresholdStrategy, Verdict, read_params,
};
use crate::describe::section;
use crate::metric::{Direction, MetricSample};

const KIND: &str = "auto";
/// Samples after which half of the final gain of [`WEIGHT`] and [`COOLDOWN`] is reached.
const HALF: f64 = 1000.0;
/// The weight of `novelty`: the initial value and the final gain.
const WEIGHT: (f64, f64) = (0.1, 0.65);
/// The cooldown in rows: the initial value and the final gain.
const COOLDOWN: (f64, f64) = (5.0, 55.0);

/// The geometric mean of the scores of `ewma` and `novelty`, `(n + 0.05)^w · e^(1−w)`; `w` grows
/// with the samples seen.
///
/// In a short series new records are frequent and mean little; in a long one they are rare and mean
/// much.
#[derive(Debug, Clone)]
struct Auto {
    ewma: EwmaStrategy,
    novelty: Streaming<Novelty>,
    seen: u32,
}

impl Auto {
    /// The age of the series, 0 to 1.
    fn age(&self) -> f64 {
        let ratio = (f64::from(self.seen) / HALF).powi(4);
        ratio / (1.0 + ratio)
    }
}

impl ThresholdStrategy for Auto {
    fn assess(&mut self, sample: &MetricSample) -> Verdict {
        let band = self.ewma.assess(sample);
        if sample.value.is_infinite() {
            return band;
        }
        let novelty = self.novelty.assess(sample);
        if sample.value.is_finite() {
            self.seen = self.seen.saturating_add(1);
        }
        let (Some(e), Some(n)) = (band.score, novelty.score) else {
            return band;
        };
        let weight = WEIGHT.0 + WEIGHT.1 * self.age();
        let score = (n + 0.05).powf(weight) * e.powf(1.0 - weight);
        let side = novelty.side.or(band.side);
        Verdict::judged(score, side, band.expected, || {
            let reasons: Vec<&str> = [&band.why, &novelty.why]
                .into_iter()
                .filter(|why| !why.is_empty())
                .map(AsRef::as_ref)
                .collect();
            Cow::Owned(reasons.join("; "))
        })
    }

    fn learn(&mut self, sample: &MetricSample) {
        self.ewma.learn(sample);
        self.novelty.learn(sample);
    }

    fn duplicate(&self) -> Box<dyn ThresholdStrategy> {
        Box::new(self.clone())
    }

    fn level(&self) -> Level {
        Level::Unknown
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::of(
            KIND,
            1,
            &(self.seen, self.ewma.snapshot(), self.novelty.snapshot()),
        )
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), StrategyError> {
        let (seen, ewma, novelty): (u32, Snapshot, Snapshot) = snapshot.open(KIND, 1)?;
        let mut restored = self.ewma.clone();
        restored.restore(&ewma)?;
        self.novelty.restore(&novelty)?;
        (self.ewma, self.seen) = (restored, seen);
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most 60")]
    #[expect(clippy::cast_sign_loss, reason = "positive")]
    fn cooldown(&self) -> usize {
        (COOLDOWN.0 + COOLDOWN.1 * self.age()) as usize
    }
}

section! {
    /// Chooses by age: an `ewma` band while a series is young, `novelty` once it has a past.
    pub(super) struct AutoParams {
        /// Which side is bad.
        direction: Option<Direction> = None, default_text("that of the rule");
    }
}

pub(super) fn build(
    map: &Map<String, Value>,
    context: &StrategyContext,
    _registry: &Registry,
) -> Built {
    read_params::<AutoParams, _>(map, |params, _| {
        let novelty = NoveltyParams::default();
        let common = Common::new(context, params.direction, novelty.cooldown);
        let ewma = EwmaParams {
            direction: common.direction,
            interval: common.interval,
            ..EwmaParams::default()
        };
        Box::new(Auto {
            ewma: EwmaStrategy::new(ewma),
            novelty: Streaming::new(novelty, common),
            seen: 0,
        }) as Box<dyn ThresholdStrategy>
    })
}
