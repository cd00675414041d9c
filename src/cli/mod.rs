//! The command line: one module for each command.

mod auto;
pub(crate) mod backtest;
mod baseline;
mod calibrator;
mod check;
mod command;
mod completions;
mod delivery_log;
mod demo;
mod error;
mod executor;
mod keep_running;
mod logging;
pub(crate) mod outbox;
mod plan;
mod progress;
mod query;
mod relay;
mod replay;
mod run;
mod schema;
mod score;
mod scrape_window;
mod serving;
mod snapshots;
pub(crate) mod test;

pub use command::{command, main};
