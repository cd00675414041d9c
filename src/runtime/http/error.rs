//! Why a request came to nothing.

use std::error::Error as StdError;
use std::fmt;
use std::io;

/// A request without a complete answer. An answer with an error status is not an error here.
#[derive(Debug, Clone)]
pub struct Error {
    kind: Kind,
    url: String,
    detail: String,
}

/// What went wrong, coarsely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No complete answer in time.
    Timeout,
    /// No connection: refused, no route, no such host.
    Connect,
    /// The TLS handshake failed or the certificate was refused.
    Tls,
    /// The connection broke before the answer was complete.
    Reset,
    /// The answer exceeds the limit.
    BodyTooLarge,
    /// The answer cannot be decompressed.
    Encoding,
    /// Too many redirects, or one without a usable address.
    Redirect,
    /// A secret, a certificate or a token could not be had.
    Credentials,
    /// The request itself is impossible: a bad URL or header.
    Request,
    /// Anything else.
    Other,
}

impl Error {
    pub(super) fn new(kind: Kind, url: &str, detail: impl Into<String>) -> Self {
        Self {
            kind,
            url: super::redacted(url),
            detail: detail.into(),
        }
    }

    /// Sorts an error of the HTTP library; `url` is where the request went.
    pub(super) fn from_reqwest(error: &reqwest::Error, url: &str) -> Self {
        let causes = causes(error);
        let last = causes.last().cloned().unwrap_or_default();
        let kind = kind_of(error, &causes);
        Self::new(kind, url, last)
    }

    /// What went wrong, coarsely.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where the request went, password redacted.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.kind {
            Kind::Timeout
            | Kind::Connect
            | Kind::Reset
            | Kind::Credentials
            | Kind::Tls
            | Kind::Other => true,
            Kind::BodyTooLarge | Kind::Encoding | Kind::Redirect | Kind::Request => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Timeout => "no complete answer in time",
            Kind::Connect => "cannot connect",
            Kind::Tls => "the TLS handshake failed",
            Kind::Reset => "the connection broke before the answer was complete",
            Kind::BodyTooLarge => "the answer is too large",
            Kind::Encoding => "the answer cannot be decompressed",
            Kind::Redirect => "the redirect cannot be followed",
            Kind::Credentials => "the credentials cannot be had",
            Kind::Request => "the request cannot be made",
            Kind::Other => "the request failed",
        };
        write!(f, "{}: {what}", self.url)?;
        if self.detail.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.detail)
    }
}

impl StdError for Error {}

/// The texts of an error and its causes, outermost first.
fn causes(error: &dyn StdError) -> Vec<String> {
    let mut texts = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        texts.push(cause.to_string());
        next = cause.source();
    }
    texts
}

fn io_kind(error: &dyn StdError) -> Option<io::ErrorKind> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        next = cause.source();
    }
    None
}

fn kind_of(error: &reqwest::Error, causes: &[String]) -> Kind {
    let tls = |text: &String| {
        [
            "certificate",
            "TLS",
            "tls",
            "fatal alert",
            "handshake",
            "corrupt message",
        ]
        .iter()
        .any(|word| text.contains(word))
    };
    if error.is_timeout() {
        Kind::Timeout
    } else if error.is_builder() {
        Kind::Request
    } else if error.is_connect() && causes.iter().any(tls) {
        Kind::Tls
    } else if error.is_connect() {
        Kind::Connect
    } else if causes.iter().any(|text| text.contains("invalid HTTP")) {
        // Somebody answered, but not in HTTP.
        Kind::Other
    } else if io_kind(error).is_some() || error.is_body() || error.is_decode() || error.is_request()
    {
        Kind::Reset
    } else {
        Kind::Other
    }
}
