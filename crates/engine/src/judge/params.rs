//! Reads the parameters of a strategy by their description.

use serde_json::{Map, Value as Json};

use crate::describe::{Fault, Keys, Node, ReadContext, Reader, Value};

/// A mistake in a strategy's configuration, at a place below the strategy such as `alpha` or
/// `strategies[1].bound`.
pub type Problem = Fault;

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
