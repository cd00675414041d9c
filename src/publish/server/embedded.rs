//! Requests that are read whole: for a server with one handler, and for what changes a running process.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::time::timeout;

use super::super::control::{Call, Control, Credentials};
use super::super::query::Query;
use super::super::shared::Shared;
use super::routes::Answer;

/// Largest body that an embedded server reads.
pub(super) const MAX_BODY: usize = 1024 * 1024;

/// Time to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers a request, given its method, path and body.
pub type Handler = Arc<dyn Fn(&str, &str, &[u8]) -> Reply + Send + Sync>;

/// What a handler answers.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

/// The two questions of a kubelet.
pub(super) fn health(path: &str, shared: &Shared) -> Reply {
    let (status, body) = match path {
        "/-/healthy" => (200, "sidewatch is healthy\n"),
        "/-/ready" => shared
            .readiness()
            .map_or_else(|why| (503, why), |()| (200, "sidewatch is ready\n")),
        _ => (404, "only /-/healthy and /-/ready are served here\n"),
    };
    Reply {
        status,
        content_type: "text/plain; charset=utf-8",
        body: body.to_owned(),
    }
}

/// Reads a request and has it answered.
pub(super) async fn embedded(request: Request<Incoming>, handler: Handler) -> Answer {
    match read(request).await {
        Ok(call) => finished(handler(&call.method, &call.path, &call.body)),
        Err(refused) => refused,
    }
}

/// Reads a request and has the running process answer it.
pub(super) async fn controlled(request: Request<Incoming>, control: Control) -> Answer {
    match read(request).await {
        Ok(call) => finished(control.call(call).await),
        Err(refused) => refused,
    }
}

async fn read(request: Request<Incoming>) -> Result<Call, Answer> {
    let (parts, body) = request.into_parts();
    let refused = |status: StatusCode, text: &'static [u8]| {
        let mut refused = Response::new(Full::new(Bytes::from_static(text)));
        *refused.status_mut() = status;
        refused
    };
    let whole = timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await;
    let body = match whole {
        Ok(Ok(body)) => body,
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let text = b"the body is too large\n";
            return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        Ok(Err(_)) => return Err(refused(StatusCode::BAD_REQUEST, b"the body was cut\n")),
        Err(_) => {
            let text = b"the body took too long\n";
            return Err(refused(StatusCode::REQUEST_TIMEOUT, text));
        }
    };
    let header = |name: HeaderName| {
        let value = parts.headers.get(name);
        let text = value.and_then(|value| value.to_str().ok());
        text.unwrap_or("").to_owned()
    };
    Ok(Call {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: Query::parse(parts.uri.query()),
        content_type: header(CONTENT_TYPE),
        authorization: Credentials(header(AUTHORIZATION)),
        body: body.to_bytes().to_vec(),
    })
}

fn finished(reply: Reply) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(reply.body)));
    *answer.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    answer
}
