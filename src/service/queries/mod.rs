//! Prometheus' query API over what a running process holds: the window, the records, and
//! Sidewatch's own series.
//!
//! The tick loop owns the window, so it evaluates the queries itself, between two ticks and within
//! a time limit ([`questions`]). A copy of the window would cost its memory again at every tick,
//! and a lock would let a reader delay one. Everything else (parsing, labels, JSON) happens off
//! that thread.

mod api;
mod json;
mod limits;
mod params;
mod problem;
mod questions;
mod remarks;
mod series;
mod source;

pub(super) use api::{PATHS, QueryApi, is_query};
pub(crate) use json::{Notes, evaluation_json};
pub use params::fuzz_params;
pub(super) use questions::{Questions, queue};
