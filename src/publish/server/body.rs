//! Requests that are read whole: for a server with one handler, and for calls to the running
//! process.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use tokio::time::timeout;

use super::super::control::{Call, Credentials};
use super::super::query::Query;
use super::gate::header;
use super::reply::{Answer, Reply};

/// Largest body that is read, in bytes.
pub(super) const MAX_BODY: usize = 1024 * 1024;
/// Time for a client to send the body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers a request, given its method, path and body.
pub(crate) type Handler = Arc<dyn Fn(&str, &str, &[u8]) -> Reply + Send + Sync>;

/// Reads a request with its body and answers it.
pub(super) async fn respond<F>(request: Request<Incoming>, reply: impl FnOnce(Call) -> F) -> Answer
where
    F: Future<Output = Reply>,
{
    match read(request).await {
        Ok(call) => reply(call).await.into(),
        Err(refused) => refused.into(),
    }
}

/// The request with its body; the error is the reply to the client.
async fn read(request: Request<Incoming>) -> Result<Call, Reply> {
    let mut call = Call {
        method: request.method().as_str().to_owned(),
        path: request.uri().path().to_owned(),
        query: Query::parse(request.uri().query()),
        content_type: header(&request, &CONTENT_TYPE).to_owned(),
        authorization: Credentials(header(&request, &AUTHORIZATION).to_owned()),
        body: Vec::new(),
    };
    let body = Limited::new(request.into_body(), MAX_BODY).collect();
    let (status, text) = match timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => {
            call.body = body.to_bytes().to_vec();
            return Ok(call);
        }
        Ok(Err(error)) if error.is::<LengthLimitError>() => (413, "the body is too large\n"),
        Ok(Err(_)) => (400, "the body was cut\n"),
        Err(_) => (408, "the body took too long\n"),
    };
    Err(Reply::text(status, text))
}
