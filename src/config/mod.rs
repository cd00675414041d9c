//! YAML as written → checked settings. Every problem is reported at once, with file, line, path and remedy.

mod file;
mod http;
mod problem;
mod read;
pub mod settings;
mod target;
mod yaml;

pub use file::read_settings;
pub use problem::{Problem, Problems};
pub use settings::Settings;
