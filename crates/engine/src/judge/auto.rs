//! `auto`: a deviation band while a series is young, novelty when it has a past.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::novelty::{Novelty, NoveltyParams};
use super::registry::Built;
use super::streaming::{Common, Streaming};
use super::{
    EwmaParams, EwmaStrategy, Params, Registry, Snapshot, StrategyContext, StrategyError,
    ThresholdStrategy, Verdict,
};
use crate::metric::MetricSample;

const KIND: &str = "auto";
/// Samples after which novelty has half its final say.
const HALF: f64 = 1000.0;
/// Novelty's share at the beginning, and what it gains.
const SHARE: (f64, f64) = (0.1, 0.65);
/// Rows of an event list in which only a higher score counts, at the beginning and what is gained.
const COOLDOWN: (f64, f64) = (5.0, 55.0);

/// The geometric mean of the scores of `ewma` and `novelty`, `(n + 0.05)^w · e^(1−w)`; `w` grows with the samples seen.
///
/// A short series has repeated incidents and early records that mean little; in a long one a record means much.
#[derive(Debug)]
struct Auto {
    ewma: EwmaStrategy,
    novelty: Streaming<Novelty>,
    seen: u32,
}

impl Auto {
    /// How old the series is, 0 to 1.
    fn age(&self) -> f64 {
        let ratio = (f64::from(self.seen) / HALF).powi(4);
        ratio / (1.0 + ratio)
    }
}

impl ThresholdStrategy for Auto {
    fn judge(&mut self, sample: &MetricSample) -> Verdict {
        let band = self.ewma.judge(sample);
        let novelty = self.novelty.judge(sample);
        if sample.value.is_finite() {
            self.seen = self.seen.saturating_add(1);
        }
        let (Some(e), Some(n)) = (band.score, novelty.score) else {
            return band;
        };
        let share = SHARE.0 + SHARE.1 * self.age();
        let score = (n + 0.05).powf(share) * e.powf(1.0 - share);
        let side = novelty.side.or(band.side);
        Verdict::judged(score, side, band.expected, || {
            let parts = [&band.why, &novelty.why]
                .into_iter()
                .filter(|why| !why.is_empty());
            Cow::Owned(parts.map(AsRef::as_ref).collect::<Vec<&str>>().join("; "))
        })
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

    fn memory(&self) -> usize {
        size_of_val(&self.seen) + self.ewma.memory() + self.novelty.memory()
    }
}

pub(super) fn build(
    map: &Map<String, Value>,
    context: &StrategyContext,
    _registry: &Registry,
) -> Built {
    let mut params = Params::new(map);
    let common = Common {
        direction: params.direction(context.direction),
        interval: context.interval,
        cooldown: 60,
    };
    let ewma = EwmaParams {
        direction: common.direction,
        interval: common.interval,
        ..EwmaParams::default()
    };
    params.finish(Box::new(Auto {
        ewma: EwmaStrategy::new(ewma),
        novelty: Streaming::new(NoveltyParams::default(), common),
        seen: 0,
    }))
}
