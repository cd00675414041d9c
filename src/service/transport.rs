//! The deliveries' seam to HTTP, filled by the process' client.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::notify::{Method, Request, Response, Transport, TransportError};
use crate::runtime::http::{self, Client, Kind};

/// Bytes of an answer that are kept for the log.
const EXCERPT: u64 = 4096;

/// A client for one receiver's settings.
#[derive(Debug)]
pub(super) struct HttpTransport(Client);

impl HttpTransport {
    pub(super) fn shared(settings: &http::Settings) -> Arc<dyn Transport> {
        Arc::new(Self(Client::new(settings.clone())))
    }

    async fn post(&self, request: Request) -> Result<Response, TransportError> {
        if request.method != Method::Post {
            return Err(TransportError::Request("only POST is sent".to_owned()));
        }
        let headers: Vec<(&str, String)> = request
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        let post = http::Request {
            method: http::Method::Post(request.body.clone()),
            url: &request.url,
            headers: &headers,
            timeout: request.timeout,
            limit: EXCERPT,
            overflow: http::Overflow::Truncate,
        };
        let answer = self.0.send(&post).await.map_err(|error| {
            if error.kind() == Kind::Timeout {
                TransportError::Timeout(request.timeout)
            } else if error.kind() == Kind::Request {
                TransportError::Request(error.to_string())
            } else {
                TransportError::Connection(error.to_string())
            }
        })?;
        Ok(Response {
            status: answer.status,
            retry_after: answer.retry_after.map(|wait| wait.as_secs().to_string()),
            body: answer.excerpt(),
        })
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(self.post(request))
    }
}
