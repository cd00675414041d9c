//! The built-in strategies and the registry that holds them.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::registry::Built;
use super::{Context, Registry, StrategyFactory};
use super::{
    adwin, auto, compose, drift, ewma, mad, novelty, page_hinkley, seasonal, shift, statics,
};

type Build = fn(&Map<String, Value>, &Context, &Registry) -> Built;

struct BuiltIn {
    kind: &'static str,
    build: Build,
}

impl StrategyFactory for BuiltIn {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn build(&self, params: &Map<String, Value>, context: &Context, registry: &Registry) -> Built {
        (self.build)(params, context, registry)
    }
}

/// The built-in strategies by type, in the order of the documentation.
const BUILT_IN: [(&str, Build); 12] = [
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

impl Registry {
    /// A registry of the built-in strategies, in the order of the documentation.
    #[must_use]
    pub fn built_in() -> Self {
        BUILT_IN
            .into_iter()
            .map(|(kind, build)| Arc::new(BuiltIn { kind, build }) as Arc<dyn StrategyFactory>)
            .collect()
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::built_in()
    }
}
