//! Requests and responses as plain data.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::metric::Timestamp;

/// Longest wait that a server can ask for with `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Characters of a body that a message quotes.
const EXCERPT_CHARS: usize = 200;

/// The method, with the body of a POST.
#[derive(Debug, Clone)]
pub enum Method {
    /// GET.
    Get,
    /// POST with this body.
    Post(Bytes),
}

/// What to do with a response body beyond the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The request fails.
    #[default]
    Fail,
    /// The rest is not read.
    Truncate,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// GET or POST.
    pub method: Method,
    /// The absolute URL.
    pub url: &'a str,
    /// Headers of this request; they replace those of the client.
    pub headers: &'a [(&'a str, String)],
    /// Time limit for the whole exchange, including redirects and the body.
    pub timeout: Duration,
    /// Size limit of the decompressed response body in bytes; 0 means no limit.
    pub limit: u64,
    /// What to do when the body reaches `limit`.
    pub overflow: Overflow,
}

/// A complete response with any status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The `Content-Type` header, if present.
    pub content_type: Option<String>,
    /// How long `Retry-After` or an exhausted rate limit asks to wait, at most an hour; `None`
    /// without a valid header.
    pub retry_after: Option<Duration>,
    /// The decompressed body, at most the limit; empty if it was read into the caller's buffer.
    pub body: Vec<u8>,
    /// Whether a redirect had left the configured host. Messages do not quote such a response: a
    /// redirect may lead to a server whose answers its readers must not see.
    pub is_foreign: bool,
}

impl Response {
    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the same request may succeed later: 429 and 5xx.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.status == 429 || self.status >= 500
    }

    /// The body as text for a message: at most 200 characters, on one line; empty for a response of
    /// another host.
    #[must_use]
    pub fn excerpt(&self) -> String {
        if self.is_foreign {
            return String::new();
        }
        let text = String::from_utf8_lossy(&self.body);
        let words: Vec<&str> = text.split_whitespace().collect();
        words.join(" ").chars().take(EXCERPT_CHARS).collect()
    }
}

/// Reads `Retry-After`: seconds, or an HTTP date (RFC 9110, 10.2.3).
pub(super) fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => since_epoch(httpdate::parse_http_date(text).ok()?).since(now),
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// Reads when an exhausted rate limit ends: `x-ratelimit-remaining: 0` and `x-ratelimit-reset` in
/// seconds since the epoch, as GitHub sends them, also with 403.
pub(super) fn parse_rate_limit(remaining: &str, reset: &str, now: Timestamp) -> Option<Duration> {
    if remaining.trim() != "0" {
        return None;
    }
    let reset = Timestamp::default() + Duration::from_secs(reset.trim().parse().ok()?);
    Some(reset.since(now).min(MAX_RETRY_AFTER))
}

fn since_epoch(time: SystemTime) -> Timestamp {
    Timestamp::default() + time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Response, parse_rate_limit, parse_retry_after};
    use crate::metric::Timestamp;

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
        assert_eq!(read("Sat, 06 Nov 1993 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(read("99999999"), Some(Duration::from_secs(3600)));
        for bad in ["", "soon", "-1", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06"] {
            assert_eq!(read(bad), None, "{bad:?} was read");
        }
    }

    #[test]
    fn a_response_of_another_host_is_not_quoted() {
        let own = Response {
            body: b"no such\n path".to_vec(),
            ..Response::default()
        };
        assert_eq!(own.excerpt(), "no such path");
        let foreign = Response {
            is_foreign: true,
            ..own
        };
        assert_eq!(foreign.excerpt(), "");
    }

    #[test]
    fn an_exhausted_rate_limit_asks_to_wait_until_its_reset() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let wait = |remaining, reset| parse_rate_limit(remaining, reset, now);
        assert_eq!(wait("0", "1700000090"), Some(Duration::from_secs(90)));
        assert_eq!(wait("0", "1600000000"), Some(Duration::ZERO));
        assert_eq!(wait("0", "1800000000"), Some(Duration::from_secs(3600)));
        assert_eq!(wait("12", "1700000090"), None);
        assert_eq!(wait("0", "soon"), None);
    }
}
