//! The strategies of this crate as factories.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Context, Problem, Registry, StrategyFactory, ThresholdStrategy};
use super::{compose, ewma, statics};

type Built = Result<Box<dyn ThresholdStrategy>, Vec<Problem>>;
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

/// Every built-in, in the order of the documentation.
pub(super) fn factories() -> Vec<Arc<dyn StrategyFactory>> {
    let all: [(&'static str, Build); 4] = [
        ("static", statics::build),
        ("ewma", ewma::build),
        ("any_of", compose::build_any),
        ("all_of", compose::build_all),
    ];
    all.into_iter()
        .map(|(kind, build)| Arc::new(BuiltIn { kind, build }) as Arc<dyn StrategyFactory>)
        .collect()
}
