//! The built-in strategies: their factories, descriptions, and the registry that holds them.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::registry::Built;
use super::{
    EwmaParams, Registry, StrategyConfig, StrategyContext, StrategyFactory, adwin, auto, compose,
    drift, ewma, mad, novelty, page_hinkley, ratio, seasonal, shift, statics,
};
use crate::describe::{Alternative, Choice, Description, Keys, Kind, Limits, Node, Shape};

type Build = fn(&Map<String, Value>, &StrategyContext, &Registry) -> Built;
type Describe = fn() -> Description;

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

/// Every built-in, in the order of the documentation.
const ALL: [(&str, Build, Describe); 13] = [
    ("static", statics::build, statics::StaticParams::description),
    ("ewma", ewma::build, EwmaParams::description),
    ("mad", mad::build, mad::MadParams::description),
    (
        "seasonal",
        seasonal::build,
        seasonal::SeasonalParams::description,
    ),
    (
        "novelty",
        novelty::build,
        novelty::NoveltyParams::description,
    ),
    ("auto", auto::build, auto::AutoParams::description),
    ("shift", shift::build, shift::ShiftParams::description),
    (
        "page_hinkley",
        page_hinkley::build,
        page_hinkley::PageHinkleyParams::description,
    ),
    ("adwin", adwin::build, adwin::AdwinParams::description),
    ("ratio", ratio::build, ratio::RatioParams::description),
    ("drift", drift::build, drift::DriftParams::description),
    (
        "any_of",
        compose::build_any,
        compose::AnyOfParams::description,
    ),
    (
        "all_of",
        compose::build_all,
        compose::AllOfParams::description,
    ),
];

impl Registry {
    /// A registry of the built-in strategies, in the order of the documentation.
    #[must_use]
    pub fn built_in() -> Self {
        ALL.into_iter()
            .map(|(kind, build, _)| Arc::new(BuiltIn { kind, build }) as Arc<dyn StrategyFactory>)
            .collect()
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::built_in()
    }
}

/// The parameters of each.
fn descriptions() -> Vec<Alternative> {
    let described = ALL.into_iter();
    described
        .map(|(kind, _, describe)| (kind, describe()))
        .collect()
}

/// How a strategy is written, for messages.
const EXAMPLE: &str = "write it as {type: static, bound: 0.9}";

/// Keys of a record's `drift` that are looked for in the strategy `drift`.
const OF_A_DRIFT_RECORD: [&str; 6] = [
    "alpha",
    "min_effect",
    "min_samples",
    "reference",
    "statistic",
    "window",
];

impl Shape for StrategyConfig {
    type Value = Self;

    fn kind() -> Kind {
        Kind::Choice(Choice {
            name: "Strategy",
            doc: "What is normal. `type` names the strategy, and the other keys are its parameters.",
            tag: "type",
            sections: descriptions,
        })
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Self> {
        let Value::Object(mut params) = node.value().to_json() else {
            let got = node.value().describe();
            node.problem(format!("must be a map, got {got}; {EXAMPLE}"));
            return None;
        };
        let Some(kind) = node.peek("type") else {
            node.problem(format!("type is missing; {EXAMPLE}"));
            return None;
        };
        params.remove("type");
        let kind = kind.text()?;
        if kind == "drift" {
            let of_record = |key: &String| OF_A_DRIFT_RECORD.contains(&key.as_str());
            for key in params.keys().filter(|key| of_record(key)) {
                node.problem_below(key, "belongs to drift of the record that the watch reads");
            }
            params.retain(|key, _| !of_record(key));
        }
        Some(Self { kind, params })
    }
}
