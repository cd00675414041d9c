//! JSON Schemas of rule files and configuration files, for editors.
//!
//! The types here mirror the YAML as written and are never built: what reads files is `config`'s readers, which know lines and remedies. A test
//! holds the two against each other, key by key.
#![expect(dead_code, reason = "the types are described, never built")]

mod http;
mod receivers;
mod rules;
mod scalars;
mod settings;
mod strategy;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

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

fn schema<T: JsonSchema>(title: &str) -> Schema {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema
}
