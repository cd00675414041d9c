//! The seam to HTTP: what a delivery needs of a client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::metric::Timestamp;

/// Gives the wall clock; deliveries need it for expiry and signatures.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Request methods deliveries use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// `POST`
    #[default]
    Post,
    /// `PUT`
    Put,
}

/// One request to a receiver.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Arc<str>,
    /// Header names and values, `Content-Type` included. Authorization comes from the client.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// Time for the whole exchange.
    pub timeout: Duration,
}

impl fmt::Debug for Request {
    /// Without query, header values and body: they may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.split(['?', '#']).next().unwrap_or("");
        write!(f, "{:?} {url} ({} bytes)", self.method, self.body.len())
    }
}

/// What a receiver answered.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// `Retry-After` as it stood in the header: seconds or an HTTP date.
    pub retry_after: Option<String>,
    /// The first bytes of the body, for the log.
    pub body: Body,
}

/// The beginning of an answer's body as text.
pub type Body = String;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection could not be made or broke: refused, reset, TLS, DNS.
    #[error("{0}")]
    Connection(String),
    /// The request cannot be made at all: bad URL, unreadable secret.
    #[error("{0}")]
    Request(String),
}

/// Sends requests. The process' HTTP client implements it; so do the fakes of the tests.
pub trait Transport: Send + Sync {
    /// Sends a request and reads the answer, at most a few kilobytes of its body.
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>>;
}

impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        (**self).send(request)
    }
}
