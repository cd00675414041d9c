//! Why an exposition was refused, and the words for it in a metric label.

use std::fmt;

use super::limits::Limit;
use super::parse;

/// Why an exposition was refused. Nothing of it was ingested.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExpositionError {
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
    Syntax(#[from] parse::SyntaxError),
}

impl ExpositionError {
    /// The word for this failure in a metric label.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Limit { .. } => Reason::Limit,
            Self::Syntax(_) => Reason::Syntax,
        }
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
