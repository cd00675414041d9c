//! The past as scrapes: files and Prometheus' API give what the targets would have answered, step by step.
//!
//! ```text
//! OpenMetrics file ┐
//! CSV file         ├─▶ Recording ─▶ Steps ─▶ Step {time, one scrape a target} ─▶ monitor, as live
//! Prometheus       ┘   (by series)
//! ```
//!
//! A step is what one tick of the live loop sees, so whoever replays history runs the same code as `sidewatch run`.

mod api;
mod csv;
mod openmetrics;
mod query;
mod recording;
mod steps;
mod time;

pub use api::{Limits, MAX_POINTS, Prometheus, Range};
pub use csv::read_csv;
pub use openmetrics::read_openmetrics;
pub use query::Points;
pub use recording::Recording;
pub use steps::Steps;
pub use time::{parse_moment, parse_time};

use crate::metric::Timestamp;
use crate::scrape::{self, Exposition};

/// One tick of the past.
#[derive(Debug)]
pub struct Step {
    /// Its time.
    pub at: Timestamp,
    /// What each target answered, in the order of the recording's targets.
    pub scrapes: Vec<Result<Exposition, scrape::Error>>,
}

/// Why history cannot be had.
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
    /// A file is not what it should be.
    #[error("{path}:{line}: {message}")]
    Content {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// There is nothing to replay.
    #[error("{0}")]
    Empty(String),
    /// The server cannot be reached, or its answer is cut.
    #[error(transparent)]
    Http(#[from] crate::runtime::http::Error),
    /// The server answered that it will not.
    #[error("{url}: {message}")]
    Api {
        /// The address, password redacted.
        url: String,
        /// The status of the answer.
        status: u16,
        /// What the server says.
        message: String,
        /// Whether a shorter range may be answered.
        too_large: bool,
        /// Whether the same question may be answered later.
        again: bool,
    },
}
