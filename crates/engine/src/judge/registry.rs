//! The available strategies, and how to build one from its configuration.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::config::StrategyConfig;
use super::params::Problem;
use super::strategy::ThresholdStrategy;
use crate::metric::Direction;
use crate::metric::nearest;

/// Deepest nesting of `any_of` and `all_of`.
const MAX_DEPTH: usize = 8;

/// What a strategy needs to know about its rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrategyContext {
    /// Which side is bad.
    pub direction: Direction,
    /// Time between two samples. With zero every sample is one step, whatever its time, as for
    /// files.
    pub interval: Duration,
}

/// A strategy, or every mistake in its configuration.
pub type Built = Result<Box<dyn ThresholdStrategy>, Vec<Problem>>;

/// Builds strategies of one type. Implement it to add a strategy of your own.
pub trait StrategyFactory: Send + Sync {
    /// The `type:` that it builds.
    fn kind(&self) -> &'static str;

    /// Builds a strategy that has learned nothing yet. [`read_params`](super::read_params) reads
    /// and checks `params`.
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

impl FromIterator<Arc<dyn StrategyFactory>> for Registry {
    fn from_iter<I: IntoIterator<Item = Arc<dyn StrategyFactory>>>(factories: I) -> Self {
        Self {
            factories: factories.into_iter().collect(),
        }
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.kinds()).finish()
    }
}

impl Registry {
    /// Adds a strategy, or replaces the one of the same type.
    pub fn register(&mut self, factory: impl StrategyFactory + 'static) -> &mut Self {
        self.factories
            .retain(|known| known.kind() != factory.kind());
        self.factories.push(Arc::new(factory));
        self
    }

    /// The types of all strategies.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.factories.iter().map(|factory| factory.kind())
    }

    /// Every mistake in a configuration; empty if it is valid.
    #[must_use]
    pub fn check(&self, config: &StrategyConfig, context: &StrategyContext) -> Vec<Problem> {
        self.build(config, context).err().unwrap_or_default()
    }

    /// Builds a strategy that has learned nothing yet.
    ///
    /// # Errors
    /// Every mistake in the configuration.
    pub fn build(
        &self,
        config: &StrategyConfig,
        context: &StrategyContext,
    ) -> Result<Box<dyn ThresholdStrategy>, Vec<Problem>> {
        if depth(&config.params) > MAX_DEPTH {
            let message = format!("must not be nested deeper than {MAX_DEPTH} strategies");
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
            let hint = match nearest(&config.kind, kinds.iter().copied(), 2) {
                Some(kind) => format!("; did you mean {kind}?"),
                None => format!("; known are {}", kinds.join(", ")),
            };
            return Err(vec![Problem {
                path: "type".to_owned(),
                message: format!("no strategy {:?}{hint}", config.kind),
            }]);
        };
        factory.build(&config.params, context, self)
    }
}

/// The depth of nested `strategies`.
fn depth(params: &Map<String, Value>) -> usize {
    params
        .get("strategies")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .map(|part| depth(part) + 1)
        .max()
        .unwrap_or(0)
}
