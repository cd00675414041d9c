//! YAML as written → checked settings. Every problem is reported at once, with file, line, path
//! and remedy.

mod alerting;
mod baseline;
mod discovery;
mod drift;
pub mod export;
pub mod exposed;
mod file;
mod files;
mod http;
pub mod lint;
mod load;
mod monitor;
pub mod packs;
mod problem;
mod recognise;
mod redact;
pub mod relay;
mod rule;
pub(crate) mod rule_keys;
mod rule_shapes;
mod rules;
pub mod schema;
pub mod settings;
mod shapes;
mod source;
pub mod target;
mod text;
pub(crate) mod web;
mod webhook;
mod yaml;

pub use baseline::{read_baselines, write_baselines};
pub use file::read_settings;
pub use files::rule_files_in;
pub use http::http_client_settings;
pub use load::{Config, Source, drift_rules};
pub use problem::{Problem, Problems};
pub use redact::without_credentials;
pub use rules::RuleReader;
pub use settings::Settings;
pub use web::{load_web, read_web};
pub(crate) use yaml::Document;
