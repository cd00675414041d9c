//! YAML as written → checked settings. Every problem is reported at once, with file, line, path
//! and remedy.

pub(crate) mod alerting;
mod baseline;
mod calibration;
mod discovery;
mod drift;
pub(crate) mod environment;
mod estimate;
mod estimate_keys;
pub(crate) mod export;
pub(crate) mod exposed;
mod file;
mod files;
mod http;
pub(crate) mod lint;
mod load;
#[cfg(test)]
mod misplaced;
mod monitor;
pub(crate) mod packs;
mod problem;
mod ratio;
mod recognise;
mod redact;
pub(crate) mod relay;
mod rule;
pub(crate) mod rule_keys;
mod rule_shapes;
mod rules;
pub(crate) mod schema;
pub(crate) mod settings;
mod shapes;
mod source;
pub(crate) mod target;
mod text;
pub(crate) mod web;
mod webhook;
mod yaml;

pub(crate) use baseline::{read_baselines, write_baselines};
pub(crate) use calibration::{CalibrationFile, CalibrationSeries};
pub use file::read_settings;
pub(crate) use files::rule_files_in;
pub(crate) use http::http_client_settings;
pub use load::Config;
pub(crate) use load::{Origin, Source, drift_rules, estimate_rules};
pub use problem::{Problem, Problems};
pub(crate) use redact::without_credentials;
pub use rules::RuleReader;
pub use settings::Settings;
pub(crate) use web::load_web;
pub use web::read_web;
pub(crate) use yaml::Document;
