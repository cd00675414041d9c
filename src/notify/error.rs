//! Why a delivery failed, and whether trying again can help.

use std::time::Duration;

use crate::metric::Timestamp;

use super::transport::{Response, TransportError};

/// Longest excerpt of an answer in an error.
const EXCERPT: usize = 200;

/// A failed delivery.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There was no answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The receiver answered with a failure.
    #[error("status {status}{}{excerpt}", if excerpt.is_empty() { "" } else { ": " })]
    Status {
        /// The status code.
        status: u16,
        /// The beginning of the answer.
        excerpt: String,
        /// How long the receiver asks to wait.
        retry_after: Option<Duration>,
    },
    /// The request cannot be built from the configured template.
    #[error("{0}")]
    Template(String),
    /// The store or the queue refused it.
    #[error("{0}")]
    Store(String),
    /// A notifier of another crate failed.
    #[error("{reason}")]
    Other {
        /// What happened.
        reason: String,
        /// Whether trying again can help.
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

    /// `Ok` for any 2xx, otherwise the error the answer means.
    ///
    /// # Errors
    /// When the status is not a success.
    pub fn check(response: &Response, now: Timestamp) -> Result<(), Self> {
        if (200..300).contains(&response.status) {
            return Ok(());
        }
        let text = response.body.trim();
        let excerpt: String = text.chars().take(EXCERPT).collect();
        Err(Self::Status {
            status: response.status,
            excerpt: excerpt.replace(['\n', '\r'], " "),
            retry_after: response
                .retry_after
                .as_deref()
                .and_then(|text| parse_retry_after(text, now)),
        })
    }

    /// A short word for a metric's label: `timeout`, `connection`, `status_503`, `template`, `store`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Transport(TransportError::Timeout(_)) => "timeout",
            Self::Transport(TransportError::Connection(_)) => "connection",
            Self::Transport(TransportError::Request(_)) => "request",
            Self::Status { status: 429, .. } => "throttled",
            Self::Status { status, .. } if *status >= 500 => "server_error",
            Self::Status { .. } => "refused",
            Self::Template(_) => "template",
            Self::Store(_) => "store",
            Self::Other { .. } => "other",
        }
    }

    /// Whether the same request can succeed later: no answer, 5xx, 429, 408 and 425.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport(error) => !matches!(error, TransportError::Request(_)),
            Self::Status { status, .. } => *status >= 500 || matches!(status, 408 | 425 | 429),
            Self::Store(_) => true,
            Self::Template(_) => false,
            Self::Other { retryable, .. } => *retryable,
        }
    }

    /// How long the receiver asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Transport(_) | Self::Template(_) | Self::Store(_) | Self::Other { .. } => None,
        }
    }
}

/// Longest wait a receiver can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Reads `Retry-After`: seconds, or an HTTP date (RFC 9110, 10.2.3).
fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => http_date(text)?.since(now),
    };
    Some(wait.min(LONGEST_WAIT))
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the one form of RFC 9110 that is still sent.
fn http_date(text: &str) -> Option<Timestamp> {
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: i64 = words
        .next()?
        .parse()
        .ok()
        .filter(|day| (1..=31).contains(day))?;
    let month = words.next()?;
    let month = i64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()? + 1;
    let year: i64 = words
        .next()?
        .parse()
        .ok()
        .filter(|year| (1970..10_000).contains(year))?;
    let mut clock = words.next()?.split(':').map(str::parse::<i64>);
    let mut part = || clock.next()?.ok();
    let (hour, minute, second) = (part()?, part()?, part()?);
    // Days since the epoch (Hinnant, "chrono-compatible low-level date algorithms").
    let shifted = if month > 2 { year } else { year - 1 };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    Some(Timestamp::from_millis(seconds * 1000))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Error, parse_retry_after};
    use crate::metric::Timestamp;
    use crate::notify::{Response, TransportError};

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // 1994-11-06T08:49:37Z, the date of RFC 9110's example.
        let now = Timestamp::from_millis(784_111_777_000 - 30_000);
        let read = |text| parse_retry_after(text, now);
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert_eq!(
            read("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(read("Sun, 06 Nov 1993 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(read("99999999"), Some(Duration::from_secs(3600)));
        for bad in ["", "soon", "-1", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06"] {
            assert_eq!(read(bad), None, "{bad:?} was read");
        }
    }

    #[test]
    fn only_what_can_change_is_retried() {
        let status = |status| {
            let response = Response {
                status,
                ..Response::default()
            };
            Error::check(&response, Timestamp::default()).map_err(|e| e.is_retryable())
        };
        for good in [200, 201, 202, 204] {
            assert_eq!(status(good), Ok(()));
        }
        for again in [408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(status(again), Err(true), "{again}");
        }
        for never in [301, 400, 401, 403, 404, 409, 413, 415, 422] {
            assert_eq!(status(never), Err(false), "{never}");
        }
        assert!(Error::from(TransportError::Timeout(Duration::from_secs(1))).is_retryable());
        assert!(!Error::from(TransportError::Request("no host".into())).is_retryable());
    }
}
