//! The strategies of this crate as factories.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::registry::Built;
use super::{Registry, StrategyContext, StrategyFactory};
use super::{
    adwin, auto, compose, drift, ewma, mad, novelty, page_hinkley, seasonal, shift, statics,
};

type Build = fn(&Map<String, Value>, &StrategyContext, &Registry) -> Built;

struct BuiltIn {
    kind: &'static str,
    build: Build,
}

impl StrategyFactory for BuiltIn {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn build(
        &self,
        params: &Map<String, Value>,
        context: &StrategyContext,
        registry: &Registry,
    ) -> Built {
        (self.build)(params, context, registry)
    }
}

impl Registry {
    /// The strategies of this crate.
    #[must_use]
    pub fn built_in() -> Self {
        Self::of(factories())
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::built_in()
    }
}

/// Every built-in, in the order of the documentation.
fn factories() -> Vec<Arc<dyn StrategyFactory>> {
    let all: [(&'static str, Build); 12] = [
        ("static", statics::build),
        ("ewma", ewma::build),
        ("mad", mad::build),
        ("seasonal", seasonal::build),
        ("novelty", novelty::build),
        ("auto", auto::build),
        ("shift", shift::build),
        ("page_hinkley", page_hinkley::build),
        ("adwin", adwin::build),
        ("drift", drift::build),
        ("any_of", compose::build_any),
        ("all_of", compose::build_all),
    ];
    all.into_iter()
        .map(|(kind, build)| Arc::new(BuiltIn { kind, build }) as Arc<dyn StrategyFactory>)
        .collect()
}
