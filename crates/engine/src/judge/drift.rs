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
use crate::metric::{Evidence, MetricSample, percent, rounded};

const KIND: &str = "drift";

/// The score is that of [`Evidence::drift_score`]; it learns nothing.
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
        let (Some(score), Some(critical)) =
            (evidence.drift_score(sample.value), evidence.critical_value)
        else {
            return Verdict::insufficient("the sample has no critical value");
        };
        let band = Band {
            lower: None,
            centre: Some(0.0),
            // Where the value would be at a score of 1.
            upper: Some(critical.max(if score > 0.0 {
                sample.value / score
            } else {
                sample.value
            })),
        };
        Verdict::judged(score, Some(Side::Above), band, || {
            Cow::Owned(describe(sample.value, evidence))
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

/// `8 % of 6000 observations moved (chance: up to 3 %, p 0.0002): class fraud 1 → 2 %`.
fn describe(value: f64, evidence: &Evidence) -> String {
    let samples = evidence.samples;
    let p = evidence.p_value.map(|p| format!("p {}", significant(p)));
    let p = p.unwrap_or_default();
    let buckets = evidence.contributions.join("; ");
    let Some(moved) = evidence.moved else {
        let value = rounded(value);
        let statistic = &evidence.statistic;
        return format!("{statistic} is {value}, more than chance explains; {buckets}");
    };
    let share = percent(moved.share);
    if moved.share > moved.chance {
        let chance = percent(moved.chance);
        format!(
            "{share} % of {samples} observations moved (chance: up to {chance} %, {p}): {buckets}"
        )
    } else {
        // Rare buckets: few observations moved, but more of them than chance explains.
        format!(
            "{share} % of {samples} observations moved, to or from rare buckets ({p}): {buckets}"
        )
    }
}

/// Two significant digits.
fn significant(p: f64) -> String {
    let text = format!("{p:.1e}");
    text.parse().map_or(text, rounded)
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
