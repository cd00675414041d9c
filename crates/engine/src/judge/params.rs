//! Reads the parameters of a strategy by their description.

use serde_json::{Map, Value as Json};

use super::{Problem, StrategyConfig, builtin};
use crate::describe::{Choice, Keys, Kind, Limits, Node, ReadContext, Reader, Shape, Value};

/// Reads described parameters, and makes a strategy of them; `make` may report further problems.
///
/// # Errors
/// Every mistake in the parameters, unknown ones included.
pub fn read_params<K: Keys, T>(
    map: &Map<String, Json>,
    make: impl FnOnce(K::Value, &Node<'_>) -> T,
) -> Result<T, Vec<Problem>> {
    let root = Value::from(map);
    let reader = Reader::new(&root, ReadContext::empty()).with_null_as_value();
    let made = reader.root().fields().and_then(|mut fields| {
        let keys = K::read_fields(&mut fields);
        let node = fields.node().clone();
        fields.finish();
        keys.map(|keys| make(keys, &node))
    });
    let problems = reader.finish();
    match made {
        Some(made) if problems.is_empty() => Ok(made),
        _ => Err(problems),
    }
}

/// How a strategy is written, for messages.
const EXAMPLE: &str = "write it as {type: static, bound: 0.9}";

impl Shape for StrategyConfig {
    type Value = Self;

    fn kind() -> Kind {
        Kind::Choice(Choice {
            name: "Strategy",
            doc: "What is normal. `type` names the strategy, and the other keys are its parameters.",
            tag: "type",
            sections: builtin::descriptions,
        })
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Self> {
        let Json::Object(mut params) = node.value().to_json() else {
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
        Some(Self { kind, params })
    }
}
