//! Pages of `docs/reference`, generated from the descriptions in the code.

mod config;

pub use config::{configuration, rules, strategies};
