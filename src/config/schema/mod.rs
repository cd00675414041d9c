//! JSON Schemas of rule files and configuration files, for editors.
//!
//! The types here mirror the YAML as written and are never built: what reads files is `config`'s readers, which know lines and remedies. A test
//! holds the two against each other, key by key.
#![expect(dead_code, reason = "the types are described, never built")]

mod http;
mod receivers;
mod relay;
mod rules;
mod scalars;
mod settings;
mod source;
mod strategy;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

/// The schema of rule files: Prometheus' own, with `watch`, and PrometheusRule manifests.
#[must_use]
pub fn rules() -> Schema {
    schema::<rules::RuleFile>("Sidewatch rules")
}

/// The schema of the runtime configuration.
#[must_use]
pub fn config() -> Schema {
    schema::<settings::Configuration>("Sidewatch configuration")
}

/// The schema of a relay's configuration.
#[must_use]
pub fn relay() -> Schema {
    schema::<relay::Relay>("Sidewatch relay")
}

fn schema<T: JsonSchema>(title: &str) -> Schema {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    if let Some(strategy) = schema.pointer_mut("/$defs/Strategy") {
        without_null(strategy);
    }
    schema
}

/// A key with nothing behind it is an absent one everywhere but among the parameters of a strategy.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => {
            items.retain(|item| *item != json!("null") && *item != json!({"type": "null"}));
            items.iter_mut().for_each(without_null);
        }
        Value::Object(keys) => keys.values_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
