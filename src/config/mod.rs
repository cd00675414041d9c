//! YAML as written → checked settings. Every problem is reported at once, with file, line, path and remedy.

mod problem;
mod read;
mod yaml;

pub use problem::{Problem, Problems};
