//! Answers in one piece.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{HeaderMap, Response, StatusCode};

/// An answer as hyper sends it.
pub(super) type Answer = Response<Full<Bytes>>;

/// An answer to a request.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Reply {
    /// A reply with a body of some media type.
    pub(super) fn new(status: u16, content_type: &'static str, body: String) -> Self {
        Self {
            status,
            content_type,
            body,
        }
    }

    /// A reply in plain text.
    pub(super) fn text(status: u16, text: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", text.to_owned())
    }
}

impl Reply {
    /// The headers of every answer. What is served changes with every tick or is for one client, so
    /// no cache may keep it.
    pub(super) fn headers(&self) -> HeaderMap {
        HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static(self.content_type)),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ])
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        assemble(reply.status, reply.headers(), reply.body.into())
    }
}

/// An answer from its parts.
pub(super) fn assemble(status: u16, headers: HeaderMap, body: Bytes) -> Answer {
    let mut answer = Answer::new(Full::new(body));
    let status = StatusCode::from_u16(status);
    *answer.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *answer.headers_mut() = headers;
    answer
}
