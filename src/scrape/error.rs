//! Why a scrape failed: a message and a metric label.

use std::time::Duration;

use sidewatch_engine::exposition::{self, Reason};

use crate::monitor::ScrapeFailure;
use crate::runtime::{http, with_sources};

/// Why a scrape failed. No sample of it was ingested.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The target did not respond completely in time.
    #[error(
        "{url}: no complete response within {}; raise scrape_timeout or find out why the target is slow",
        crate::metric::format_duration(*.timeout)
    )]
    Timeout {
        /// The target, password masked.
        url: String,
        /// The timeout that applied.
        timeout: Duration,
    },
    /// The request failed before a complete response.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// The target responded with another status than 200.
    #[error("{url}: the server answered {status}, expected 200; {}", remedy(*.status))]
    Status {
        /// The target, password masked.
        url: String,
        /// The status.
        status: u16,
    },
    /// The format of the response is unknown.
    #[error(
        "{url}: {problem} and no fallback_scrape_protocol is set; fix the Content-Type of the target or set one"
    )]
    ContentType {
        /// The target, password masked.
        url: String,
        /// What is wrong with the header.
        problem: String,
    },
    /// The exposition was refused.
    #[error(transparent)]
    Exposition(#[from] exposition::ExpositionError),
    /// A custom producer failed.
    #[error("{0}")]
    Producer(String),
}

impl Error {
    /// The value of the metric label `reason`.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Timeout { .. } => Reason::Timeout,
            Self::Status { .. } => Reason::Status,
            Self::ContentType { .. } => Reason::ContentType,
            Self::Exposition(error) => error.reason(),
            Self::Producer(_) => Reason::Other,
            Self::Http(error) => match error.kind() {
                http::Kind::Timeout => Reason::Timeout,
                http::Kind::Connect => Reason::Connect,
                http::Kind::Tls => Reason::Tls,
                http::Kind::Reset => Reason::Reset,
                http::Kind::BodyTooLarge | http::Kind::NoRoom => Reason::Limit,
                http::Kind::Encoding => Reason::Encoding,
                http::Kind::Redirect => Reason::Redirect,
                http::Kind::Credentials => Reason::Credentials,
                http::Kind::Request | http::Kind::Other => Reason::Other,
            },
        }
    }
}

impl From<Error> for ScrapeFailure {
    fn from(error: Error) -> Self {
        Self {
            reason: error.reason(),
            message: with_sources(&error),
        }
    }
}

/// What to do about a status.
fn remedy(status: u16) -> &'static str {
    match status {
        300..=399 => "set follow_redirects or scrape the new address",
        401 | 403 => "check the credentials under the target's http_config",
        404 => "check the path",
        500.. => "look at the log of the target",
        _ => "check the target",
    }
}
