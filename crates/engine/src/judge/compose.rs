//! `any_of` and `all_of`: several strategies for one series.

use std::time::Duration;

use serde_json::{Map, Value};

use super::registry::Built;
use super::{
    Level, Problem, Registry, Snapshot, State, StrategyConfig, StrategyContext, StrategyError,
    ThresholdStrategy, Verdict, read_params,
};
use crate::describe::{Node, section};
use crate::metric::{Direction, MetricSample};

/// Anomalous if any part is; the score is the greatest one.
///
/// Kleene's three-valued logic: anomalous if a part is, else unknown if a part is, else ok.
#[derive(Debug)]
pub(super) struct AnyOf(Vec<Box<dyn ThresholdStrategy>>);

/// Anomalous if every part is; the score is the least one.
///
/// Kleene's three-valued logic: ok if a part is, else unknown if a part is, else anomalous.
#[derive(Debug)]
pub(super) struct AllOf(Vec<Box<dyn ThresholdStrategy>>);

impl AnyOf {
    /// A composition of at least one strategy.
    #[must_use]
    pub(super) fn new(parts: Vec<Box<dyn ThresholdStrategy>>) -> Self {
        Self(parts)
    }
}

impl AllOf {
    /// A composition of at least one strategy.
    #[must_use]
    pub(super) fn new(parts: Vec<Box<dyn ThresholdStrategy>>) -> Self {
        Self(parts)
    }
}

type Parts = Vec<Box<dyn ThresholdStrategy>>;

/// The order of verdicts; the greatest wins.
type Rank = fn(&Verdict) -> (u8, f64);

/// Lets every part assess the sample, and returns the verdict with the greatest rank.
fn strongest(
    parts: &mut [Box<dyn ThresholdStrategy>],
    sample: &MetricSample,
    rank: Rank,
) -> Verdict {
    let mut best: Option<Verdict> = None;
    for part in parts {
        let verdict = part.assess(sample);
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

/// Unknown if that of a part is, for its incident ends within a band; else the level of a part that
/// learned one.
fn level(parts: &[Box<dyn ThresholdStrategy>]) -> Level {
    let any = |level: Level| parts.iter().any(|part| part.level() == level);
    if any(Level::Unknown) {
        Level::Unknown
    } else if any(Level::Learned) {
        Level::Learned
    } else {
        Level::Fixed
    }
}

/// Whether every part that has a test for it finds the level as it was.
fn is_as_good(parts: &[Box<dyn ThresholdStrategy>]) -> Option<bool> {
    let tested = parts.iter().filter_map(|part| part.is_as_good());
    tested.reduce(|all, one| all && one)
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

macro_rules! composition {
    ($name:ident, $params:ident, $doc:literal, $kind:literal, $rank:ident, $build:ident) => {
        section! {
            #[doc = $doc]
            pub(super) struct $params {
                required {
                    /// The strategies.
                    strategies: Vec<StrategyConfig>,
                        within(1.0, 16.0), hint("write them as [{type: static, bound: 0.9}]"),
                        example("[{type: static, bound: 0.9}, {type: ewma}]");
                }
                /// Which side is bad.
                direction: Option<Direction> = None, default_text("that of the rule");
            }
        }

        impl ThresholdStrategy for $name {
            fn assess(&mut self, sample: &MetricSample) -> Verdict {
                strongest(&mut self.0, sample, $rank)
            }

            fn learn(&mut self, sample: &MetricSample) {
                for part in &mut self.0 {
                    part.learn(sample);
                }
            }

            fn duplicate(&self) -> Box<dyn ThresholdStrategy> {
                let parts = self.0.iter().map(|part| part.duplicate());
                Box::new(Self(parts.collect()))
            }

            fn level(&self) -> Level {
                level(&self.0)
            }

            fn recovered(&mut self) {
                for part in &mut self.0 {
                    part.recovered();
                }
            }

            fn begin_trial(&mut self) {
                for part in &mut self.0 {
                    part.begin_trial();
                }
            }

            fn is_as_good(&self) -> Option<bool> {
                is_as_good(&self.0)
            }

            fn renew(&mut self) {
                for part in &mut self.0 {
                    part.renew();
                }
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

            fn cooldown(&self) -> Duration {
                let parts = self.0.iter().map(|part| part.cooldown());
                parts.max().unwrap_or_default()
            }
        }

        pub(super) fn $build(
            map: &Map<String, Value>,
            context: &StrategyContext,
            registry: &Registry,
        ) -> Built {
            read_params::<$params, _>(map, |params, node| {
                let context = StrategyContext {
                    direction: params.direction.unwrap_or(context.direction),
                    interval: context.interval,
                };
                let parts = parts(&params.strategies, &context, registry, node);
                Box::new($name::new(parts)) as Box<dyn ThresholdStrategy>
            })
        }
    };
}

composition!(
    AnyOf,
    AnyOfParams,
    "Anomalous when at least one of its strategies says so.",
    "any_of",
    any_rank,
    build_any
);
composition!(
    AllOf,
    AllOfParams,
    "Anomalous when every one of its strategies says so.",
    "all_of",
    all_rank,
    build_all
);

/// The strategies that can be built; problems of the others are reported at their place.
fn parts(
    configs: &[StrategyConfig],
    context: &StrategyContext,
    registry: &Registry,
    node: &Node<'_>,
) -> Parts {
    let built = configs.iter().enumerate().filter_map(|(at, config)| {
        let report = |problems: Vec<Problem>| {
            for problem in problems {
                let dot = if problem.path.is_empty() { "" } else { "." };
                let path = format!("strategies[{at}]{dot}{}", problem.path);
                node.problem_below(&path, problem.message);
            }
        };
        registry.build(config, context).map_err(report).ok()
    });
    built.collect()
}
