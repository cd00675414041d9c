//! Why a delivery failed, and whether a retry can help.

use std::time::Duration;

use crate::metric::format_duration;
use crate::runtime::http::{self, Kind, Response};

/// A failed delivery.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no complete response.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// A notifier took too long.
    #[error("no answer within {}", format_duration(*.0))]
    Timeout(Duration),
    /// The receiver answered with a failure.
    #[error("status {status}{}{excerpt}", if excerpt.is_empty() { "" } else { ": " })]
    Status {
        /// The status code.
        status: u16,
        /// The beginning of the response body.
        excerpt: String,
        /// How long the receiver asks to wait.
        retry_after: Option<Duration>,
    },
    /// The request cannot be built from the configured template.
    #[error("{0}")]
    Template(String),
    /// The outbox refused the request or cannot be read or written.
    #[error("{0}")]
    Store(String),
    /// A notifier of another crate failed.
    #[error("{reason}")]
    Other {
        /// What happened.
        reason: String,
        /// Whether a retry can help.
        retryable: bool,
    },
}

impl Error {
    /// A failure of a notifier of another crate.
    #[must_use]
    pub fn other(reason: impl Into<String>, retryable: bool) -> Self {
        Self::Other {
            reason: reason.into(),
            retryable,
        }
    }

    /// Accepts any 2xx.
    ///
    /// # Errors
    /// When the status is not a success.
    pub fn check(response: &Response) -> Result<(), Self> {
        if response.is_success() {
            return Ok(());
        }
        Err(Self::Status {
            status: response.status,
            excerpt: response.excerpt(),
            retry_after: response.retry_after,
        })
    }

    /// Whether the receiver refuses the content of the request (400, 413, 422), so that the same
    /// request would be refused again. All other answers can change: a token is renewed, a path is
    /// created, a limit ends, a proxy recovers.
    #[must_use]
    pub fn is_about_content(&self) -> bool {
        matches!(
            self,
            Self::Status {
                status: 400 | 413 | 422,
                ..
            }
        )
    }

    /// Whether the same request can succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Http(error) => error.kind() != Kind::Request,
            Self::Status { .. } => !self.is_about_content(),
            Self::Timeout(_) | Self::Store(_) => true,
            Self::Template(_) => false,
            Self::Other { retryable, .. } => *retryable,
        }
    }

    /// How long the receiver asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Http(_)
            | Self::Timeout(_)
            | Self::Template(_)
            | Self::Store(_)
            | Self::Other { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Error;
    use crate::runtime::http::{self, Kind, Response};

    #[test]
    fn only_what_can_change_is_retried() {
        let status = |status| {
            let response = Response {
                status,
                ..Response::default()
            };
            Error::check(&response).map_err(|e| e.is_retryable())
        };
        for success in [200, 201, 202, 204] {
            assert_eq!(status(success), Ok(()));
        }
        for passing in [
            301, 302, 401, 403, 404, 405, 408, 409, 415, 425, 429, 500, 502, 503, 504,
        ] {
            assert_eq!(status(passing), Err(true), "{passing}");
        }
        for lasting in [400, 413, 422] {
            assert_eq!(status(lasting), Err(false), "{lasting}");
        }
        let http = |kind| Error::from(http::Error::new(kind, "http://hook", ""));
        assert!(Error::Timeout(Duration::from_secs(1)).is_retryable());
        assert!(http(Kind::Timeout).is_retryable());
        assert!(!http(Kind::Request).is_retryable());
    }
}
