//! JSON Schemas of rule files and configuration files, for editors.
#![expect(dead_code, reason = "the types are described, never built")]

mod rules;
mod scalars;
mod strategy;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::relay::Relay;
use super::settings::Settings;
use crate::describe::{Shape, json_schema};

/// The schema of rule files: Prometheus' own, with `watch`, and PrometheusRule manifests.
#[must_use]
pub fn rules() -> Value {
    schema::<rules::RuleFile>("Sidewatch rules")
}

/// The schema of the runtime configuration.
#[must_use]
pub fn config() -> Value {
    json_schema("Sidewatch configuration", &Settings::kind())
}

/// The schema of a relay's configuration.
#[must_use]
pub fn relay() -> Value {
    json_schema("Sidewatch relay", &Relay::kind())
}

fn schema<T: JsonSchema>(title: &str) -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    if let Some(strategy) = schema.pointer_mut("/$defs/Strategy") {
        without_null(strategy);
    }
    schema.into()
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
