//! `any_of` and `all_of`: several strategies on one series.

use serde::Deserialize;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    Params, Problem, Registry, Snapshot, State, StrategyConfig, StrategyContext, StrategyError,
    ThresholdStrategy, Verdict,
};
use crate::metric::MetricSample;

/// Anomalous when any part is: the score is the greatest one.
///
/// Logic with unknowns (Kleene): anomalous if one is, else unknown if one is, else ok.
#[derive(Debug)]
pub struct AnyOf(Vec<Box<dyn ThresholdStrategy>>);

/// Anomalous when every part is: the score is the least one.
///
/// Logic with unknowns (Kleene): ok if one is, else unknown if one is, else anomalous.
#[derive(Debug)]
pub struct AllOf(Vec<Box<dyn ThresholdStrategy>>);

impl AnyOf {
    /// At least one strategy.
    #[must_use]
    pub fn new(parts: Vec<Box<dyn ThresholdStrategy>>) -> Self {
        Self(parts)
    }
}

impl AllOf {
    /// At least one strategy.
    #[must_use]
    pub fn new(parts: Vec<Box<dyn ThresholdStrategy>>) -> Self {
        Self(parts)
    }
}

type Parts = Vec<Box<dyn ThresholdStrategy>>;

/// What makes one verdict win over another.
type Rank = fn(&Verdict) -> (u8, f64);

/// Every part judges, because every part learns; the verdict with the greatest rank is the answer.
fn strongest(
    parts: &mut [Box<dyn ThresholdStrategy>],
    sample: &MetricSample,
    rank: Rank,
) -> Verdict {
    let mut best: Option<Verdict> = None;
    for part in parts {
        let verdict = part.judge(sample);
        if best.as_ref().is_none_or(|best| rank(&verdict) > rank(best)) {
            best = Some(verdict);
        }
    }
    best.unwrap_or_else(|| Verdict::insufficient("there is no strategy"))
}

fn any_rank(verdict: &Verdict) -> (u8, f64) {
    let score = verdict.score.unwrap_or(0.0);
    match verdict.state {
        State::Anomalous => (3, score),
        State::WarmingUp | State::InsufficientData | State::Stale | State::Idle => (2, score),
        State::Ok => (1, score),
    }
}

fn all_rank(verdict: &Verdict) -> (u8, f64) {
    let (rank, score) = any_rank(verdict);
    (4 - rank, -score)
}

fn snapshot(kind: &str, parts: &[Box<dyn ThresholdStrategy>]) -> Snapshot {
    let parts: Vec<Snapshot> = parts.iter().map(|part| part.snapshot()).collect();
    Snapshot::of(kind, 1, &parts)
}

fn restore(
    kind: &str,
    parts: &mut [Box<dyn ThresholdStrategy>],
    snapshot: &Snapshot,
) -> Result<(), StrategyError> {
    let inner: Vec<Snapshot> = snapshot.open(kind, 1)?;
    if inner.len() != parts.len() {
        return Err(StrategyError::Parameters {
            kind: kind.to_owned(),
            parameter: "strategies",
        });
    }
    let before: Vec<Snapshot> = parts.iter().map(|part| part.snapshot()).collect();
    for at in 0..parts.len() {
        if let Err(error) = parts[at].restore(&inner[at]) {
            for (part, own) in parts.iter_mut().zip(&before).take(at) {
                part.restore(own)?;
            }
            return Err(error);
        }
    }
    Ok(())
}

fn memory(parts: &[Box<dyn ThresholdStrategy>]) -> usize {
    size_of::<AnyOf>()
        + parts
            .iter()
            .map(|part| part.memory() + size_of_val(part))
            .sum::<usize>()
}

macro_rules! composition {
    ($name:ident, $kind:literal, $rank:ident, $build:ident) => {
        impl ThresholdStrategy for $name {
            fn judge(&mut self, sample: &MetricSample) -> Verdict {
                strongest(&mut self.0, sample, $rank)
            }

            fn snapshot(&self) -> Snapshot {
                snapshot($kind, &self.0)
            }

            fn restore(&mut self, snapshot: &Snapshot) -> Result<(), StrategyError> {
                restore($kind, &mut self.0, snapshot)
            }

            fn idle_retention(&self) -> Duration {
                let parts = self.0.iter().map(|part| part.idle_retention());
                parts.max().unwrap_or_default()
            }

            fn cooldown(&self) -> usize {
                self.0.iter().map(|part| part.cooldown()).max().unwrap_or(0)
            }

            fn memory(&self) -> usize {
                memory(&self.0)
            }
        }

        pub(super) fn $build(
            map: &Map<String, Value>,
            context: &StrategyContext,
            registry: &Registry,
        ) -> Result<Box<dyn ThresholdStrategy>, Vec<Problem>> {
            Ok(Box::new($name::new(parts(map, context, registry)?)))
        }
    };
}

composition!(AnyOf, "any_of", any_rank, build_any);
composition!(AllOf, "all_of", all_rank, build_all);

fn parts(
    map: &Map<String, Value>,
    context: &StrategyContext,
    registry: &Registry,
) -> Result<Parts, Vec<Problem>> {
    let mut params = Params::new(map);
    let direction = params.direction(context.direction);
    let context = StrategyContext {
        direction,
        interval: context.interval,
    };
    let mut built = Vec::new();
    let list = params.raw("strategies").map(Value::as_array);
    match list {
        Some(Some(list)) if !list.is_empty() && list.len() <= 16 => {
            for (at, value) in list.iter().enumerate() {
                match part(value, &context, registry) {
                    Ok(strategy) => built.push(strategy),
                    Err(problems) => {
                        params.extend(problems.into_iter().map(|problem| below(at, problem)));
                    }
                }
            }
        }
        _ => params.problem(
            "strategies",
            "must be a list of 1 to 16 strategies, such as [{type: static, bound: 0.9}]",
        ),
    }
    params.finish(built)
}

fn part(
    value: &Value,
    context: &StrategyContext,
    registry: &Registry,
) -> Result<Box<dyn ThresholdStrategy>, Vec<Problem>> {
    let config = StrategyConfig::deserialize(value).map_err(|error| {
        vec![Problem {
            path: String::new(),
            message: format!("{error}; write it as {{type: static, bound: 0.9}}"),
        }]
    })?;
    registry.build(&config, context)
}

fn below(at: usize, problem: Problem) -> Problem {
    let dot = if problem.path.is_empty() { "" } else { "." };
    Problem {
        path: format!("strategies[{at}]{dot}{}", problem.path),
        message: problem.message,
    }
}
