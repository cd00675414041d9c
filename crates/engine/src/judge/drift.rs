//! `drift`: the statistic of a drift rule against its critical value.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Map, Value};

use super::registry::Built;
use super::{
    Band, Params, Registry, Side, Snapshot, StrategyContext, StrategyError, ThresholdStrategy,
    Verdict,
};
use crate::metric::MetricSample;

const KIND: &str = "drift";

/// Scores a drift sample as value over critical value, both of which come with the sample; it learns nothing.
#[derive(Debug)]
struct DriftStrategy;

impl ThresholdStrategy for DriftStrategy {
    fn judge(&mut self, sample: &MetricSample) -> Verdict {
        let Some(evidence) = sample.evidence.as_deref() else {
            return Verdict::insufficient(
                "the sample does not come from a drift rule; judge it with static",
            );
        };
        if let Some(why) = &evidence.insufficient {
            return Verdict::insufficient(why.clone());
        }
        let critical = evidence
            .critical_value
            .filter(|critical| *critical > 0.0 && sample.value.is_finite());
        let Some(critical) = critical else {
            return Verdict::insufficient("the sample has no critical value");
        };
        let band = Band {
            lower: None,
            centre: Some(0.0),
            upper: Some(critical),
        };
        Verdict::judged(sample.value / critical, Some(Side::Above), band, || {
            let p = evidence
                .p_value
                .map(|p| format!(", p {p:.3}"))
                .unwrap_or_default();
            Cow::Owned(format!(
                "{} is {:.4}, above {critical:.4} which chance explains for {} observations{p}; {}",
                evidence.statistic,
                sample.value,
                evidence.samples,
                evidence.contributions.join("; ")
            ))
        })
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::of(KIND, 1, &())
    }

    fn idle_retention(&self) -> Duration {
        Duration::ZERO
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), StrategyError> {
        snapshot.open::<()>(KIND, 1)
    }
}

pub(super) fn build(
    map: &Map<String, Value>,
    _context: &StrategyContext,
    _registry: &Registry,
) -> Built {
    Params::new(map).finish(Box::new(DriftStrategy))
}
