//! Why an exposition was rejected, and the value of the `reason` label for it.

use std::fmt;

use super::parse;

/// One of the settings in [`ScrapeLimits`](super::ScrapeLimits).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// [`ScrapeLimits::body_size`](super::ScrapeLimits::body_size).
    BodySize,
    /// [`ScrapeLimits::samples`](super::ScrapeLimits::samples).
    Samples,
    /// [`ScrapeLimits::labels`](super::ScrapeLimits::labels).
    Labels,
    /// [`ScrapeLimits::label_name_length`](super::ScrapeLimits::label_name_length).
    LabelNameLength,
    /// [`ScrapeLimits::label_value_length`](super::ScrapeLimits::label_value_length).
    LabelValueLength,
}

impl Limit {
    /// The setting's name in a scrape configuration.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::BodySize => "body_size_limit",
            Self::Samples => "sample_limit",
            Self::Labels => "label_limit",
            Self::LabelNameLength => "label_name_length_limit",
            Self::LabelValueLength => "label_value_length_limit",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an exposition was rejected. Nothing of it was ingested.
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
        /// The configured limit.
        limit: u64,
        /// The count found, 0 when counting was aborted.
        found: u64,
        /// What was counted.
        what: String,
    },
    /// The body is not a valid exposition.
    #[error(transparent)]
    Syntax(#[from] parse::SyntaxError),
}

impl ExpositionError {
    /// The message without anything of the body, for one that a redirect to another host brought.
    #[must_use]
    pub fn without_body(&self) -> String {
        let what = match self {
            Self::Limit { setting, limit, .. } => {
                format!("the exposition exceeds {} {limit}", setting.as_str())
            }
            Self::Syntax(error) => format!("line {} is no valid exposition", error.line),
        };
        format!("{what}; it is not quoted, since a redirect led to another host")
    }

    /// The reason as a label value.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Limit { .. } => Reason::Limit,
            Self::Syntax(_) => Reason::Syntax,
        }
    }
}

/// Reasons of failed scrapes: a closed set, as a label needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No complete response in time.
    Timeout,
    /// No connection: refused, no route, no such host.
    Connect,
    /// The TLS handshake failed or the certificate was rejected.
    Tls,
    /// The connection broke before the response was complete.
    Reset,
    /// A redirect that is invalid or was not followed.
    Redirect,
    /// A status other than 200.
    Status,
    /// An unknown format.
    ContentType,
    /// A body that cannot be decompressed.
    Encoding,
    /// A secret, certificate file or token was not available.
    Credentials,
    /// A limit was exceeded.
    Limit,
    /// The body is not a valid exposition.
    Syntax,
    /// Not scraped, because its last body took too long to read.
    Resting,
    /// Anything else.
    Other,
}

impl Reason {
    /// All reasons, to initialize their counters at 0.
    pub const ALL: [Self; 13] = [
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
        Self::Resting,
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
            Self::Resting => "resting",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
