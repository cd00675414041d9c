//! Client of the HTTP API that Prometheus, Thanos, Mimir and VictoriaMetrics share.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tracing::warn;

use super::response::{ApiResponse, is_too_large};
use super::{Error, Range};
use crate::metric::{Labels, Selector, Timestamp};
use crate::runtime::http::{
    Client, Kind, Method, Overflow, Request, Response, Settings, form, redacted,
};
use crate::scrape::ScrapeLimits;

/// Maximum number of warnings of one server that are logged.
const MAX_WARNINGS: usize = 20;

/// Limits of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Time limit of one attempt. Default 2m.
    pub timeout: Duration,
    /// Size limit of a response in bytes. Default 512 MiB.
    pub answer: u64,
    /// Attempts when the server is busy or unavailable. Default 3.
    pub attempts: u32,
    /// Limits of the series in an answer. Default none.
    pub series: ScrapeLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(120),
            answer: 512 << 20,
            attempts: 3,
            series: ScrapeLimits::NONE,
        }
    }
}

/// Client of the Prometheus HTTP query API.
#[derive(Debug)]
pub struct Prometheus {
    client: Client,
    url: String,
    limits: Limits,
    /// The server refuses POST, as some read-only proxies do.
    use_get: AtomicBool,
    /// Warnings of the server that have been logged.
    warned: Mutex<BTreeSet<String>>,
}

impl Prometheus {
    /// A client for the base URL of a server, such as `http://prometheus:9090` or
    /// `https://mimir/prometheus`.
    #[must_use]
    pub fn new(url: &str, settings: Settings) -> Self {
        Self {
            client: Client::new(settings),
            url: url.trim_end_matches('/').to_owned(),
            limits: Limits::default(),
            use_get: AtomicBool::new(false),
            warned: Mutex::default(),
        }
    }

    /// The same client with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Checks the series of an answer.
    ///
    /// # Errors
    /// They exceed a limit.
    pub(super) fn check<'a>(
        &self,
        series: impl ExactSizeIterator<Item = &'a Labels>,
    ) -> Result<(), Error> {
        let checked = self.limits.series.check_answer(series);
        checked.map_err(|error| self.invalid(error.to_string()))
    }

    /// The base URL, with its password masked.
    #[must_use]
    pub fn url(&self) -> String {
        redacted(&self.url)
    }

    pub(super) async fn post_range_query(
        &self,
        expr: &str,
        range: Range,
    ) -> Result<Vec<u8>, Error> {
        let [thanos, victoria_metrics] = complete_response();
        let form = [
            ("query", expr.to_owned()),
            ("start", timestamp(range.start)),
            ("end", timestamp(range.end)),
            ("step", range.step.as_secs_f64().to_string()),
            thanos,
            victoria_metrics,
        ];
        self.post("/api/v1/query_range", &form).await
    }

    /// Posts a form and returns the body of a 2xx; retries temporary failures. Uses GET if the
    /// server refuses POST.
    pub(super) async fn post(
        &self,
        path: &str,
        fields: &[(&str, String)],
    ) -> Result<Vec<u8>, Error> {
        if self.use_get.load(Ordering::Relaxed) {
            return self.get(path, fields).await;
        }
        let url = format!("{}{path}", self.url);
        let content_type = "application/x-www-form-urlencoded".to_owned();
        let headers = [("content-type", content_type), accept_gzip()];
        let method = Method::Post(query_string(fields).into());
        let result = self.send(&self.request(method, &url, &headers)).await;
        if let Err(Error::Api {
            status: 405 | 501, ..
        }) = &result
        {
            self.use_get.store(true, Ordering::Relaxed);
            return self.get(path, fields).await;
        }
        result
    }

    /// Sends a GET and returns the body of a 2xx; retries temporary failures.
    pub(super) async fn get(
        &self,
        path: &str,
        fields: &[(&str, String)],
    ) -> Result<Vec<u8>, Error> {
        let url = format!("{}{path}?{}", self.url, query_string(fields));
        self.send(&self.request(Method::Get, &url, &[accept_gzip()]))
            .await
    }

    fn request<'a>(
        &self,
        method: Method,
        url: &'a str,
        headers: &'a [(&'a str, String)],
    ) -> Request<'a> {
        Request {
            method,
            url,
            headers,
            timeout: self.limits.timeout,
            limit: self.limits.answer,
            overflow: Overflow::Fail,
        }
    }

    async fn send(&self, request: &Request<'_>) -> Result<Vec<u8>, Error> {
        let mut attempt = 1;
        loop {
            let (error, is_temporary) = match self.client.send(request).await {
                Ok(response) if response.is_success() => return Ok(response.body),
                Ok(response) => (self.status_error(&response), response.is_retryable()),
                Err(error) if error.kind() == Kind::BodyTooLarge => {
                    return Err(self.api_error(200, error.to_string(), Failure::TooLarge));
                }
                Err(error) => {
                    let is_temporary =
                        matches!(error.kind(), Kind::Timeout | Kind::Connect | Kind::Reset);
                    (Error::Http(error), is_temporary)
                }
            };
            if !is_temporary || attempt >= self.limits.attempts {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_secs(1) * attempt).await;
            attempt += 1;
        }
    }

    /// The error for a response with an error status: the message of the server, if it has one.
    fn status_error(&self, response: &Response) -> Error {
        let reason = match serde_json::from_slice::<ApiResponse<IgnoredAny>>(&response.body) {
            Ok(body) if !body.error.is_empty() && !response.is_foreign => {
                let words: Vec<&str> = body.error.split_whitespace().collect();
                words.join(" ")
            }
            _ => response.excerpt(),
        };
        let remedy = match response.status {
            401 | 403 => {
                "; set basic_auth, authorization or a tenant in http_headers, as in http_config"
            }
            404 => {
                "; is the path complete, such as /prometheus for Mimir or /select/0/prometheus for VictoriaMetrics?"
            }
            _ => "",
        };
        let message = if reason.is_empty() || !remedy.is_empty() || !response.body.starts_with(b"{")
        {
            format!("the server answered {}: {reason}{remedy}", response.status)
        } else {
            reason
        };
        // Thanos reports an unavailable store as an error of the expression.
        let is_unavailable = message.contains("rpc error");
        let failure = if is_too_large(&message) {
            Failure::TooLarge
        } else if response.is_retryable() || is_unavailable {
            Failure::Temporary
        } else {
            Failure::Permanent
        };
        self.api_error(response.status, message, failure)
    }

    /// The error for a response that is unusable although its status is 200.
    pub(super) fn invalid(&self, message: impl Into<String>) -> Error {
        self.api_error(200, message.into(), Failure::Permanent)
    }

    fn api_error(&self, status: u16, message: String, failure: Failure) -> Error {
        Error::Api {
            url: self.url(),
            status,
            message,
            too_large: failure == Failure::TooLarge,
            again: failure == Failure::Temporary,
        }
    }

    /// Decodes the data of a response.
    pub(super) fn data<'a, T: Deserialize<'a>>(&self, body: &'a [u8]) -> Result<T, Error> {
        let invalid =
            |reason: String| self.invalid(format!("not a Prometheus API response: {reason}"));
        let response: ApiResponse<T> =
            serde_json::from_slice(body).map_err(|error| invalid(error.to_string()))?;
        if response.is_partial {
            let message = "the response is partial because a part of the server is unavailable; missing counts would look like a drop";
            return Err(self.api_error(200, message.to_owned(), Failure::Temporary));
        }
        self.log_warnings(response.warnings);
        let data = response.data.filter(|_| response.status == "success");
        data.ok_or_else(|| invalid(response.error))
    }

    pub(super) fn number(&self, text: &str) -> Result<f64, Error> {
        crate::scrape::parse::parse_value(text.as_bytes()).map_err(|error| self.invalid(error))
    }

    /// Logs each warning of the server once.
    fn log_warnings(&self, warnings: Vec<String>) {
        let mut warned = self.warned.lock();
        for warning in warnings {
            if warned.len() < MAX_WARNINGS && warned.insert(warning.clone()) {
                warn!(
                    server = self.url(),
                    warning, "the server returned a warning"
                );
            }
        }
    }
}

/// Whether a failed request can be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Permanent,
    /// The same request may succeed later.
    Temporary,
    /// A shorter range may succeed.
    TooLarge,
}

/// A week of many series compresses well.
fn accept_gzip() -> (&'static str, String) {
    ("accept-encoding", "gzip".to_owned())
}

/// Encodes parameters for a body or a URL; a space becomes `%20`, which is valid in both.
fn query_string(fields: &[(&str, String)]) -> String {
    form(fields).replace('+', "%20")
}

/// The selector with its name among the matchers, a form that every server parses whatever the
/// name.
pub(super) fn selector_query(selector: &Selector) -> String {
    let matchers: Vec<String> = selector
        .matchers()
        .iter()
        .map(ToString::to_string)
        .collect();
    format!("{{{}}}", matchers.join(","))
}

/// A time as a query parameter, in seconds.
pub(super) fn timestamp(at: Timestamp) -> String {
    at.as_secs_f64().to_string()
}

/// Parameters that forbid partial responses of Thanos and VictoriaMetrics: missing counts would
/// look like a drop. Other servers ignore them.
pub(super) fn complete_response() -> [(&'static str, String); 2] {
    [
        ("partial_response", "false".to_owned()),
        ("deny_partial_response", "1".to_owned()),
    ]
}
