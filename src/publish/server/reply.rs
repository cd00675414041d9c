//! Answers in one piece.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};

/// An answer in one piece.
pub(super) type Answer = Response<Full<Bytes>>;

/// What a [`Handler`](super::Handler) or a [`Control`](super::super::Control) answers.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        let status = StatusCode::from_u16(reply.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        answer(status, reply.content_type, reply.body)
    }
}

/// An answer of any media type.
pub(super) fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// An answer in plain text.
pub(super) fn text(status: StatusCode, text: &'static str) -> Answer {
    answer(status, "text/plain; charset=utf-8", text)
}
