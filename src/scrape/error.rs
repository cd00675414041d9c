//! Why a scrape failed, for people and for a metric label.

use std::fmt;
use std::time::Duration;

use super::limits::Limit;
use super::parse;
use crate::runtime::http;

/// Why a scrape failed. Nothing of it was ingested.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The target did not answer completely in time.
    #[error(
        "{url}: no complete answer within {}; raise scrape_timeout or find out why the target is slow",
        crate::metric::format_duration(*.timeout)
    )]
    Timeout {
        /// The target, password redacted.
        url: String,
        /// The timeout that applied.
        timeout: Duration,
    },
    /// The request failed before a complete answer.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// The target answered with another status than 200.
    #[error("{url}: the server answered {status}, expected 200; {}", remedy(*.status))]
    Status {
        /// The target, password redacted.
        url: String,
        /// The status.
        status: u16,
    },
    /// The answer's format is unknown.
    #[error(
        "{url}: {problem} and no fallback_scrape_protocol is set; mend the target's Content-Type or set one"
    )]
    ContentType {
        /// The target, password redacted.
        url: String,
        /// What is wrong with the header.
        problem: String,
    },
    /// A limit was exceeded.
    #[error(
        "{what} is {found}, over {setting} {limit}; raise {setting} or make the target expose less",
        setting = .setting.as_str()
    )]
    Limit {
        /// The setting.
        setting: Limit,
        /// Its value.
        limit: u64,
        /// What was found, 0 when the count was given up.
        found: u64,
        /// What was counted.
        what: String,
    },
    /// The body is no valid exposition.
    #[error(transparent)]
    Syntax(#[from] parse::Error),
    /// A custom producer failed.
    #[error("{0}")]
    Producer(String),
}

impl Error {
    /// The word for this failure in a metric label.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Timeout { .. } => Reason::Timeout,
            Self::Status { .. } => Reason::Status,
            Self::ContentType { .. } => Reason::ContentType,
            Self::Limit { .. } => Reason::Limit,
            Self::Syntax(_) => Reason::Syntax,
            Self::Producer(_) => Reason::Other,
            Self::Http(error) => match error.kind() {
                http::Kind::Timeout => Reason::Timeout,
                http::Kind::Connect => Reason::Connect,
                http::Kind::Tls => Reason::Tls,
                http::Kind::Reset => Reason::Reset,
                http::Kind::BodyTooLarge => Reason::Limit,
                http::Kind::Encoding => Reason::Encoding,
                http::Kind::Redirect => Reason::Redirect,
                http::Kind::Credentials => Reason::Credentials,
                http::Kind::Request | http::Kind::Other => Reason::Other,
            },
        }
    }
}

/// What to do about a status.
fn remedy(status: u16) -> &'static str {
    match status {
        300..=399 => "set follow_redirects or scrape the new address",
        401 | 403 => "check the credentials under the target's http_config",
        404 => "check the path",
        500.. => "look at the target's own log",
        _ => "check the target",
    }
}

/// The closed set of words for failures of a scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No complete answer in time.
    Timeout,
    /// No connection: refused, no route, no such host.
    Connect,
    /// The TLS handshake failed or the certificate was refused.
    Tls,
    /// The connection broke before the answer was complete.
    Reset,
    /// A redirect that leads nowhere or was not followed.
    Redirect,
    /// Another status than 200.
    Status,
    /// An unknown format.
    ContentType,
    /// A body that cannot be decompressed.
    Encoding,
    /// A secret or certificate file, or a token, could not be had.
    Credentials,
    /// A limit was exceeded.
    Limit,
    /// The body is no valid exposition.
    Syntax,
    /// Anything else.
    Other,
}

impl Reason {
    /// Every word, for counters that are born at 0.
    pub const ALL: [Self; 12] = [
        Self::Timeout,
        Self::Connect,
        Self::Tls,
        Self::Reset,
        Self::Redirect,
        Self::Status,
        Self::ContentType,
        Self::Encoding,
        Self::Credentials,
        Self::Limit,
        Self::Syntax,
        Self::Other,
    ];

    /// The word as a label value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Reset => "reset",
            Self::Redirect => "redirect",
            Self::Status => "status",
            Self::ContentType => "content_type",
            Self::Encoding => "encoding",
            Self::Credentials => "credentials",
            Self::Limit => "limit",
            Self::Syntax => "syntax",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
