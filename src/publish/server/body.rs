//! Requests with their body: for a server with one handler, and for calls to the running process.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use hyper::{Request, StatusCode};
use tokio::time::timeout;

use super::super::control::{Call, Control, Credentials};
use super::super::query::Query;
use super::reply::{Answer, Reply, text};

/// Largest body that is read, in bytes.
pub(super) const MAX_BODY: usize = 1024 * 1024;

/// Time for a client to send the body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers a request, given its method, path and body.
pub type Handler = Arc<dyn Fn(&str, &str, &[u8]) -> Reply + Send + Sync>;

/// Reads a request and passes it to a handler.
pub(super) async fn handle(request: Request<Incoming>, handler: Handler) -> Answer {
    match read(request).await {
        Ok(call) => handler(&call.method, &call.path, &call.body).into(),
        Err(refused) => refused,
    }
}

/// Reads a request and passes it to the running process.
pub(super) async fn control(request: Request<Incoming>, control: Control) -> Answer {
    match read(request).await {
        Ok(call) => control.call(call).await.into(),
        Err(refused) => refused,
    }
}

async fn read(request: Request<Incoming>) -> Result<Call, Answer> {
    let (parts, body) = request.into_parts();
    let body = match timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return Err(text(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is too large\n",
            ));
        }
        Ok(Err(_)) => return Err(text(StatusCode::BAD_REQUEST, "the body was cut\n")),
        Err(_) => {
            return Err(text(
                StatusCode::REQUEST_TIMEOUT,
                "the body took too long\n",
            ));
        }
    };
    let header = |name: HeaderName| {
        let value = parts.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
            .to_owned()
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
