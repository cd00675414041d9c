//! `static`: fixed bounds.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::pace::NO_NUMBER;
use super::registry::Built;
use super::{
    Band, Level, Registry, Side, Snapshot, StrategyContext, StrategyError, ThresholdStrategy,
    Verdict, read_params,
};
use crate::describe::{Node, section};
use crate::metric::{Direction, MetricSample, rounded};

const KIND: &str = "static";

/// A value is anomalous beyond a fixed bound. It learns nothing and needs no warm-up; 40 bytes.
///
/// The score is `1 ± (x − b) / max(|b|, min_deviation)`, at least 0 and finite also for an infinite
/// value.
#[derive(Debug, Clone, PartialEq)]
pub struct StaticThresholdStrategy {
    lower: Option<f64>,
    upper: Option<f64>,
    min_deviation: f64,
}

impl StaticThresholdStrategy {
    /// Values below `bound` are anomalous if the direction is below, else values above it.
    #[must_use]
    pub fn new(bound: f64, direction: Direction) -> Self {
        let below = direction == Direction::Below;
        Self::within(below.then_some(bound), (!below).then_some(bound))
    }

    /// Values outside of `lower..=upper` are anomalous; `None` is no bound.
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
    fn assess(&mut self, sample: &MetricSample) -> Verdict {
        let x = sample.value;
        if x.is_nan() {
            return Verdict::insufficient(NO_NUMBER);
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
    /// Fixed bounds: `bound` on the bad side, or `lower` and `upper`, at least one of the three.
    #[schema(json!({"anyOf": [{"required": ["bound"]}, {"required": ["lower"]}, {"required": ["upper"]}]}))]
    pub(super) struct StaticParams {
        /// Values beyond it, on the bad side, are anomalous.
        bound: Option<f64> = None, example("0.9");
        /// Values below it are anomalous.
        lower: Option<f64> = None;
        /// Values above it are anomalous.
        upper: Option<f64> = None;
        /// What the score is relative to when the bound is near 0.
        min_deviation: f64 = 1e-9, above(0.0);
        /// Which side is bad.
        direction: Option<Direction> = None, default_text("that of the rule");
    }
}

impl StaticParams {
    /// The bounds below and above, with the side of `bound` resolved.
    fn bounds(&self, direction: Direction, node: &Node<'_>) -> (Option<f64>, Option<f64>) {
        let (lower, upper) = (self.lower, self.upper);
        let bounds = match self.bound {
            Some(_) if lower.is_some() || upper.is_some() => {
                node.problem_below(
                    "bound",
                    "must not stand beside lower or upper; keep one of the two forms",
                );
                (lower, upper)
            }
            Some(_) if direction == Direction::Both => {
                node.problem_below(
                    "bound",
                    "has no side when the direction is both; write lower and upper",
                );
                (lower, upper)
            }
            Some(bound) if direction == Direction::Below => (Some(bound), upper),
            Some(bound) => (lower, Some(bound)),
            None => (lower, upper),
        };
        if !["bound", "lower", "upper"].iter().any(|key| node.has(key)) {
            node.problem_below("bound", "is missing; write the limit, such as bound: 0.9");
        }
        if let (Some(low), Some(high)) = bounds
            && low > high
        {
            let message = format!("must not be above upper {high}, got {low}");
            node.problem_below("lower", message);
        }
        bounds
    }
}

pub(super) fn build(
    map: &Map<String, Value>,
    context: &StrategyContext,
    _registry: &Registry,
) -> Built {
    read_params::<StaticParams, _>(map, |params, node| {
        let direction = params.direction.unwrap_or(context.direction);
        let (lower, upper) = params.bounds(direction, node);
        Box::new(StaticThresholdStrategy {
            lower,
            upper,
            min_deviation: params.min_deviation,
        }) as Box<dyn ThresholdStrategy>
    })
}
