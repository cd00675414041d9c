//! JSON Schemas of rule files and configuration files, for editors.

use serde_json::Value;

use super::relay::Relay;
use super::rule_keys::RULE_FILE;
use super::settings::Settings;
use crate::describe::{Shape, json_schema};

/// The schema of rule files: Prometheus' own, with `watch`, and PrometheusRule manifests.
#[must_use]
pub fn rules() -> Value {
    json_schema("Sidewatch rules", &RULE_FILE)
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
