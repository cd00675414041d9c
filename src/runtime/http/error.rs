//! Why a request failed.

use std::error::Error as StdError;
use std::fmt;
use std::io;

/// A request without a complete response. A response with an error status is not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    url: String,
    detail: String,
}

/// The category of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No complete response in time.
    Timeout,
    /// No connection: refused, no route, no such host.
    Connect,
    /// The TLS handshake failed or a certificate was refused.
    Tls,
    /// The connection broke before the response was complete.
    Reset,
    /// The response exceeds the size limit.
    BodyTooLarge,
    /// The responses of this round leave no room for the response.
    NoRoom,
    /// The response cannot be decompressed.
    Encoding,
    /// Too many redirects, one without a valid address, or one that a POST must not follow.
    Redirect,
    /// A secret, a certificate or a token is missing or invalid.
    Credentials,
    /// The request itself is invalid: its URL or a header.
    Request,
    /// Anything else.
    Other,
}

impl Error {
    pub(crate) fn new(kind: Kind, url: &str, detail: impl Into<String>) -> Self {
        Self {
            kind,
            url: super::redacted(url),
            detail: detail.into(),
        }
    }

    /// Categorises an error of the HTTP library. `url` is the address of the request.
    pub(super) fn from_reqwest(error: &reqwest::Error, url: &str) -> Self {
        let causes = causes(error);
        let last = causes.last().cloned().unwrap_or_default();
        let kind = kind_of(error, &causes);
        Self::new(kind, url, last)
    }

    /// The category.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The address of the request, with its password masked.
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
            Kind::BodyTooLarge | Kind::NoRoom | Kind::Encoding | Kind::Redirect | Kind::Request => {
                false
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Timeout => "no complete response in time",
            Kind::Connect => "cannot connect",
            Kind::Tls => "the TLS handshake failed",
            Kind::Reset => "the connection broke before the response was complete",
            Kind::BodyTooLarge => "the response is too large",
            Kind::NoRoom => "there is no room for the response",
            Kind::Encoding => "the response cannot be decompressed",
            Kind::Redirect => "the redirect cannot be followed",
            Kind::Credentials => "the credentials are not available",
            Kind::Request => "the request is invalid",
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

/// The messages of the causes of an error, outermost first.
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
        // The server speaks another protocol than HTTP.
        Kind::Other
    } else if io_kind(error).is_some() || error.is_body() || error.is_decode() || error.is_request()
    {
        Kind::Reset
    } else {
        Kind::Other
    }
}
