//! Turns history from files and from Prometheus' API back into scrapes, step by step.
//!
//! ```text
//! OpenMetrics file ┐
//! CSV file         ├─▶ Recording ─▶ Steps ─▶ Step {time, one scrape per target} ─▶ monitor
//! Prometheus       ┘   (by series)
//! ```
//!
//! A step is the input of one tick of the live loop, so a replay runs the same code as
//! `sidewatch run`.

mod api;
mod csv;
mod download;
mod openmetrics;
mod query;
mod range;
mod recording;
mod response;
mod steps;
mod time;

pub use api::{Limits, Prometheus};
pub(crate) use csv::read_csv;
pub(crate) use openmetrics::read_openmetrics;
pub use query::Points;
pub use range::Range;
pub use recording::Recording;
pub use steps::Steps;
pub use time::parse_time;
pub(crate) use time::parse_time_or_ago;

use crate::metric::Timestamp;
use crate::scrape::{self, Exposition};

/// The input of one tick.
#[derive(Debug)]
pub struct Step {
    /// The time of the tick.
    pub at: Timestamp,
    /// The scrape of each target, in the order of the targets of the recording.
    pub scrapes: Vec<Result<Exposition, scrape::Error>>,
}

/// Why history cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("{path}: cannot be read: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The content of a file is invalid.
    #[error("{path}:{line}: {message}")]
    Content {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what is expected.
        message: String,
    },
    /// The server cannot be reached, or its response is incomplete.
    #[error(transparent)]
    Http(#[from] crate::runtime::http::Error),
    /// The server refuses, or its response is unusable.
    #[error("{url}: {message}")]
    Api {
        /// The address, with its password masked.
        url: String,
        /// The status of the response.
        status: u16,
        /// The message of the server, or what is wrong with the response.
        message: String,
        /// Whether a shorter range may succeed.
        too_large: bool,
        /// Whether the same request may succeed later.
        again: bool,
    },
}
