//! Which strategies there are, and how to build one from its configuration.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::config::StrategyConfig;
use super::params::{Problem, suggestion};
use super::strategy::ThresholdStrategy;
use crate::metric::Direction;

/// Deepest nesting of `any_of` and `all_of`.
const DEEPEST: usize = 8;

/// What a strategy is told about its rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrategyContext {
    /// Which side is bad.
    pub direction: Direction,
    /// Time between two samples; zero when every sample is one step, whatever its time (files,
    /// golden outputs).
    pub interval: Duration,
}

/// A strategy, or every mistake in its configuration.
pub type Built = Result<Box<dyn ThresholdStrategy>, Vec<Problem>>;

/// Builds strategies of one type. Implement it to add a strategy from another crate.
pub trait StrategyFactory: Send + Sync {
    /// The `type:` it builds.
    fn kind(&self) -> &'static str;

    /// Builds a strategy that has learnt nothing yet. [`Params`](super::Params) reads and checks
    /// `params`.
    ///
    /// # Errors
    /// Every mistake in the parameters.
    fn build(
        &self,
        params: &Map<String, Value>,
        context: &StrategyContext,
        registry: &Registry,
    ) -> Result<Box<dyn ThresholdStrategy>, Vec<Problem>>;
}

/// The strategies that rule files can name. Cloning is cheap.
#[derive(Clone)]
pub struct Registry {
    factories: Vec<Arc<dyn StrategyFactory>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.kinds()).finish()
    }
}

impl Registry {
    /// A registry of these strategies.
    pub(super) fn of(factories: Vec<Arc<dyn StrategyFactory>>) -> Self {
        Self { factories }
    }

    /// The same registry with one more strategy; it replaces one of the same type.
    pub fn register(&mut self, factory: impl StrategyFactory + 'static) -> &mut Self {
        self.factories
            .retain(|known| known.kind() != factory.kind());
        self.factories.push(Arc::new(factory));
        self
    }

    /// The types there are.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.factories.iter().map(|factory| factory.kind())
    }

    /// Every mistake in a configuration; empty when it can be built.
    #[must_use]
    pub fn check(&self, config: &StrategyConfig, context: &StrategyContext) -> Vec<Problem> {
        self.build(config, context).err().unwrap_or_default()
    }

    /// Builds a strategy that has learnt nothing yet.
    ///
    /// # Errors
    /// Every mistake in the configuration.
    pub fn build(
        &self,
        config: &StrategyConfig,
        context: &StrategyContext,
    ) -> Result<Box<dyn ThresholdStrategy>, Vec<Problem>> {
        if depth(&config.params) > DEEPEST {
            let message = format!("must not be nested deeper than {DEEPEST} strategies");
            return Err(vec![Problem {
                path: String::new(),
                message,
            }]);
        }
        let Some(factory) = self
            .factories
            .iter()
            .find(|known| known.kind() == config.kind)
        else {
            let kinds: Vec<&str> = self.kinds().collect();
            let hint = suggestion(&config.kind, &kinds);
            return Err(vec![Problem {
                path: "type".to_owned(),
                message: format!("no strategy {:?}{hint}", config.kind),
            }]);
        };
        factory.build(&config.params, context, self)
    }
}

fn depth(params: &Map<String, Value>) -> usize {
    let parts = params.get("strategies").and_then(Value::as_array);
    let below = parts
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .map(depth);
    below.max().map_or(0, |below| below + 1)
}
