//! `drift`: compares the statistic of a drift rule with its critical value.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Map, Value};

use super::registry::Built;
use super::{
    Band, Level, Registry, Side, Snapshot, StrategyContext, StrategyError, ThresholdStrategy,
    Verdict, read_params,
};
use crate::describe::section;
use crate::metric::{MetricSample, rounded};

const KIND: &str = "drift";

/// The score is the value of a drift sample over the critical value in its evidence; it learns
/// nothing.
#[derive(Debug, Clone)]
struct DriftStrategy;

impl ThresholdStrategy for DriftStrategy {
    fn assess(&mut self, sample: &MetricSample) -> Verdict {
        let Some(evidence) = sample.evidence.as_deref() else {
            return Verdict::insufficient(
                "the sample does not come from a drift rule; judge it with static",
            );
        };
        if let Some(why) = &evidence.insufficient {
            return Verdict::insufficient(why.clone());
        }
        let Some(critical) = evidence
            .critical_value
            .filter(|critical| *critical > 0.0 && !sample.value.is_nan())
        else {
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
            let value = if sample.value.is_finite() {
                format!("{:.4}", sample.value)
            } else {
                rounded(sample.value)
            };
            Cow::Owned(format!(
                "{} is {}, above {critical:.4} which chance explains for {} observations{p}; {}",
                evidence.statistic,
                value,
                evidence.samples,
                evidence.contributions.join("; ")
            ))
        })
        .recovered_at_limit()
    }

    fn learn(&mut self, _sample: &MetricSample) {}

    fn duplicate(&self) -> Box<dyn ThresholdStrategy> {
        Box::new(self.clone())
    }

    fn level(&self) -> Level {
        Level::Fixed
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

section! {
    /// The statistic of a drift rule against its calibrated critical value; only for records with
    /// `drift`.
    pub(super) struct DriftParams {}
}

pub(super) fn build(
    map: &Map<String, Value>,
    _context: &StrategyContext,
    _registry: &Registry,
) -> Built {
    read_params::<DriftParams, _>(map, |_, _| {
        Box::new(DriftStrategy) as Box<dyn ThresholdStrategy>
    })
}
