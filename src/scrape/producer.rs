//! Producers of expositions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::negotiate::{accept, format_of};
use super::{Error, Exposition, Format, Limit};
use crate::metric::Timestamp;
use crate::runtime::http::{self, Client, Method, Overflow, Request};
use sidewatch_engine::exposition::{self, Body, Buffer};

/// A source of expositions: the `/metrics` of a target, or anything else.
///
/// The monitor calls [`produce`](Self::produce) once per interval and never concurrently. `at` is
/// the scheduled time; a producer that replays a recording may return a time of its own. The future
/// is dropped when the process stops or the target is removed, so it must be cancel safe: dropping
/// it at any await may lose that exposition and nothing else.
pub trait MetricProducer: Send {
    /// The exposition for the scrape that is due at `at`.
    ///
    /// # Errors
    /// Why there is none. The monitor marks every series of the target stale and calls again an
    /// interval later.
    fn produce(&mut self, at: Timestamp) -> BoxFuture<'_, Result<Exposition, Error>>;
}

/// Why a response of another host has no usable type; the type itself is not quoted.
const FOREIGN: &str = "a redirect led to another host, whose response is no exposition";

/// The request to a target and how to read the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The address, including the query.
    pub url: String,
    /// Time limit of the whole scrape.
    pub timeout: Duration,
    /// Size limit of the decompressed response in bytes; 0 means no limit.
    pub body_size_limit: u64,
    /// Whether to ask for a compressed response.
    pub enable_compression: bool,
    /// The names of the protocols to ask for, in the order of preference, as in `scrape_protocols`
    /// of Prometheus; all that are known if empty.
    pub protocols: Vec<String>,
    /// The format of a response whose `Content-Type` names none.
    pub fallback: Option<Format>,
}

impl Target {
    /// A target with Prometheus' defaults (a timeout of 10 s, compression, no fallback) and a limit
    /// of 64 MiB.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            timeout: Duration::from_secs(10),
            body_size_limit: super::ScrapeLimits::DEFAULT.body_size,
            enable_compression: true,
            protocols: Vec::new(),
            fallback: None,
        }
    }
}

/// Scrapes one target over HTTP as Prometheus does. All bodies use the same buffer.
pub struct HttpProducer {
    target: Target,
    client: Arc<Client>,
    headers: Vec<(&'static str, String)>,
    buffer: Arc<Buffer>,
}

impl fmt::Debug for HttpProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpProducer")
            .field("url", &http::redacted(&self.target.url))
            .finish_non_exhaustive()
    }
}

impl HttpProducer {
    /// A producer for a target. Targets with the same settings may share the client.
    #[must_use]
    pub fn new(target: Target, client: Arc<Client>) -> Self {
        let encoding = if target.enable_compression {
            "gzip"
        } else {
            "identity"
        };
        let headers = vec![
            ("accept", accept(&target.protocols)),
            ("accept-encoding", encoding.to_owned()),
            (
                "x-prometheus-scrape-timeout-seconds",
                target.timeout.as_secs_f64().to_string(),
            ),
        ];
        Self {
            target,
            client,
            headers,
            buffer: Arc::new(Buffer::default()),
        }
    }

    async fn scrape(&self, at: Timestamp) -> Result<Exposition, Error> {
        let target = &self.target;
        let start = Instant::now();
        let request = Request {
            method: Method::Get,
            url: &target.url,
            headers: &self.headers,
            timeout: target.timeout,
            limit: target.body_size_limit,
            overflow: Overflow::Fail,
        };
        let mut body = Body::lent(self.buffer.take(), Arc::clone(&self.buffer));
        let response = self
            .client
            .send_into(&request, body.bytes_mut())
            .await
            .map_err(|error| self.scrape_error(error))?;
        if response.status != 200 {
            return Err(Error::Status {
                url: http::redacted(&target.url),
                status: response.status,
            });
        }
        let format = match format_of(response.content_type.as_deref(), target.fallback) {
            Ok(format) => format,
            // For Prometheus an empty body is a successful scrape, whatever its type is.
            Err(_) if body.is_empty() => Format::Text,
            Err(problem) => {
                let problem = if response.is_foreign {
                    FOREIGN.to_owned()
                } else {
                    problem
                };
                return Err(Error::ContentType {
                    url: http::redacted(&target.url),
                    problem,
                });
            }
        };
        Ok(Exposition {
            body,
            format,
            at,
            duration: start.elapsed(),
            is_foreign: response.is_foreign,
        })
    }

    /// Turns an error of the client into an error of the scrape.
    fn scrape_error(&self, error: http::Error) -> Error {
        match error.kind() {
            http::Kind::Timeout => Error::Timeout {
                url: http::redacted(&self.target.url),
                timeout: self.target.timeout,
            },
            http::Kind::BodyTooLarge => exposition::ExpositionError::Limit {
                setting: Limit::BodySize,
                limit: self.target.body_size_limit,
                found: self.target.body_size_limit,
                what: format!("the body of {}", http::redacted(&self.target.url)),
            }
            .into(),
            http::Kind::Connect
            | http::Kind::Tls
            | http::Kind::Reset
            | http::Kind::NoRoom
            | http::Kind::Encoding
            | http::Kind::Redirect
            | http::Kind::Credentials
            | http::Kind::Request
            | http::Kind::Other => Error::Http(error),
        }
    }
}

impl MetricProducer for HttpProducer {
    fn produce(&mut self, at: Timestamp) -> BoxFuture<'_, Result<Exposition, Error>> {
        Box::pin(self.scrape(at))
    }
}
