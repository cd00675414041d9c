//! A strategy as a rule file writes it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A strategy's type and parameters as written: `{"type": "ewma", "alpha": 0.2}`. [`Registry::check`](super::Registry::check) says
/// whether they make sense.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StrategyConfig {
    /// Which strategy.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its parameters as written.
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

    /// The same with one parameter set.
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
