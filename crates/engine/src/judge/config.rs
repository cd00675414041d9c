//! The configuration of a strategy in a rule file.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A strategy's type and parameters as written, such as `{"type": "ewma", "alpha": 0.2}`; not
/// checked until [`Registry::check`](super::Registry::check).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StrategyConfig {
    /// The type of strategy.
    #[serde(rename = "type")]
    pub kind: String,
    /// The parameters as written.
    #[serde(flatten)]
    pub params: Map<String, Value>,
}

impl StrategyConfig {
    /// A strategy with its default parameters.
    #[must_use]
    pub fn new(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            params: Map::new(),
        }
    }

    /// The same configuration with one parameter set.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }
}

impl fmt::Display for StrategyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        for (at, (name, value)) in self.params.iter().enumerate() {
            write!(f, "{}{name}: {value}", if at == 0 { " " } else { ", " })?;
        }
        Ok(())
    }
}
