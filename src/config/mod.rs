//! YAML as written → checked settings. Every problem is reported at once, with file, line, path and remedy.

mod alerting;
mod baseline;
mod discovery;
mod drift;
pub mod export;
pub mod exposed;
mod file;
mod http;
pub mod lint;
mod load;
pub mod packs;
mod probe;
mod problem;
mod read;
mod recognise;
mod redact;
pub mod relay;
mod retraining;
mod rule;
pub mod rules;
pub mod schema;
pub mod settings;
pub mod target;
mod web;
mod yaml;

pub use baseline::{read_baselines, write_baselines};
pub use file::{Environment, read_settings};
pub use http::http_client_settings;
pub use load::{Config, Source, drift_rules};
pub use problem::{Problem, Problems};
pub(crate) use read::{Fields, Node, Reader};
pub use redact::without_credentials;
pub use rules::{RuleReader, RuleSet};
pub use settings::Settings;
pub use web::{load_web, read_web};
pub(crate) use yaml::{Document, Value};
