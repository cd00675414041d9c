//! `static`: fixed bounds.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    Band, Params, Problem, Registry, Side, Snapshot, StrategyContext, StrategyError,
    ThresholdStrategy, Verdict,
};
use crate::metric::{Direction, MetricSample, rounded};

const KIND: &str = "static";

/// Anomalous beyond a fixed bound. It learns nothing and needs no warm-up; 40 bytes.
///
/// The score is `1 ± (x − b) / max(|b|, min_deviation)`, never below 0.
#[derive(Debug, Clone, PartialEq)]
pub struct StaticThresholdStrategy {
    lower: Option<f64>,
    upper: Option<f64>,
    min_deviation: f64,
}

impl StaticThresholdStrategy {
    /// Anomalous below `bound` when the direction is below, above it otherwise.
    #[must_use]
    pub fn new(bound: f64, direction: Direction) -> Self {
        let below = direction == Direction::Below;
        Self::within(below.then_some(bound), (!below).then_some(bound))
    }

    /// Anomalous outside `lower..=upper`, where given.
    #[must_use]
    pub fn within(lower: Option<f64>, upper: Option<f64>) -> Self {
        Self {
            lower,
            upper,
            min_deviation: 1e-9,
        }
    }

    fn score(&self, excess: f64, bound: f64) -> f64 {
        (1.0 + excess / bound.abs().max(self.min_deviation)).max(0.0)
    }
}

impl ThresholdStrategy for StaticThresholdStrategy {
    fn judge(&mut self, sample: &MetricSample) -> Verdict {
        let x = sample.value;
        if !x.is_finite() {
            return Verdict::insufficient("the value is not a finite number");
        }
        let above = self.upper.map_or(0.0, |bound| self.score(x - bound, bound));
        let below = self.lower.map_or(0.0, |bound| self.score(bound - x, bound));
        let (score, side) = if below > above {
            (below, Side::Below)
        } else {
            (above, Side::Above)
        };
        let expected = Band {
            lower: self.lower,
            centre: None,
            upper: self.upper,
        };
        Verdict::judged(score, Some(side), expected, || {
            Cow::Owned(match side {
                Side::Above => format!(
                    "{} is above the bound {}",
                    rounded(x),
                    rounded(self.upper.unwrap_or(x))
                ),
                Side::Below => format!(
                    "{} is below the bound {}",
                    rounded(x),
                    rounded(self.lower.unwrap_or(x))
                ),
            })
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
    context: &StrategyContext,
    _registry: &Registry,
) -> Result<Box<dyn ThresholdStrategy>, Vec<Problem>> {
    let mut params = Params::new(map);
    let direction = params.direction(context.direction);
    let bound = params.optional("bound");
    let (mut lower, mut upper) = (params.optional("lower"), params.optional("upper"));
    let min_deviation = params.positive("min_deviation", 1e-9);
    match bound {
        Some(_) if lower.is_some() || upper.is_some() => {
            params.problem(
                "bound",
                "must not stand beside lower or upper; keep one of the two forms",
            );
        }
        Some(_) if direction == Direction::Both => {
            params.problem(
                "bound",
                "has no side when the direction is both; write lower and upper",
            );
        }
        Some(bound) if direction == Direction::Below => lower = Some(bound),
        Some(bound) => upper = Some(bound),
        None if ["bound", "lower", "upper"]
            .iter()
            .any(|name| map.contains_key(*name)) => {}
        None => params.problem("bound", "is missing; write the limit, such as bound: 0.9"),
    }
    if let (Some(low), Some(high)) = (lower, upper)
        && low > high
    {
        params.problem(
            "lower",
            format!("must not be above upper {high}, got {low}"),
        );
    }
    params.finish(Box::new(StaticThresholdStrategy {
        lower,
        upper,
        min_deviation,
    }))
}
