//! YAML as written → checked settings. Every problem is reported at once, with file, line, path and remedy.

mod alerting;
mod drift;
mod file;
mod http;
mod load;
mod packs;
mod problem;
mod read;
mod retraining;
mod rule;
pub mod rules;
pub mod settings;
pub mod target;
mod yaml;

pub use file::{Environment, read_settings};
pub use load::{Config, Source};
pub use problem::{Problem, Problems};
pub use rules::{RuleReader, RuleSet};
pub use settings::Settings;
