//! Sends requests and follows redirects.

use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::Url;
use reqwest::header::{
    CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT,
};

use super::auth;
use super::body::{self, Cap};
use super::error::{Error, Kind};
use super::oauth2::TokenSource;
use super::redirect;
use super::settings::{Auth, Settings};
use super::tls::{self, Material};

pub use super::body::Overflow;

/// The `User-Agent` of every request.
const AGENT: &str = concat!("sidewatch/", env!("CARGO_PKG_VERSION"));

/// The largest answer that [`Client::post_json`] keeps.
const MAX_REPLY: u64 = 64 << 10;

/// What is done at the URL.
#[derive(Debug, Clone)]
pub enum Method {
    /// GET.
    Get,
    /// POST of this body.
    Post(Bytes),
}

/// One request.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// GET or POST.
    pub method: Method,
    /// The address.
    pub url: &'a str,
    /// Headers of this request; they win over the client's.
    pub headers: &'a [(&'a str, String)],
    /// The time for everything, redirects and body included.
    pub timeout: Duration,
    /// Bytes from which on the answer is too large; 0 is unlimited.
    pub limit: u64,
    /// What to do then.
    pub overflow: Overflow,
}

/// A complete answer, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// `Content-Type`, if any.
    pub content_type: Option<String>,
    /// `Retry-After` when it is given in seconds.
    pub retry_after: Option<Duration>,
    /// The decompressed body, at most the limit; empty when it went into a buffer of the caller's.
    pub body: Vec<u8>,
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

    /// The body as text for a message: at most 200 characters, on one line.
    #[must_use]
    pub fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let words: Vec<&str> = text.split_whitespace().collect();
        words.join(" ").chars().take(200).collect()
    }
}

/// An HTTP client with one [`Settings`]; keeps connections open between requests.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    pool: Mutex<Option<Pool>>,
    tokens: Option<Box<TokenSource>>,
}

#[derive(Debug, Clone)]
struct Pool {
    digest: [u8; 32],
    client: reqwest::Client,
}

impl Client {
    /// A client; files are read when the first request is made.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let tokens = match &settings.auth {
            Auth::OAuth2(config) => Some(Box::new(TokenSource::new((**config).clone()))),
            Auth::None | Auth::Basic { .. } | Auth::Authorization { .. } => None,
        };
        Self {
            settings,
            pool: Mutex::new(None),
            tokens,
        }
    }

    /// GET with an answer of at most `limit` bytes.
    ///
    /// # Errors
    /// When there is no complete answer within `timeout` and `limit`. Any status is an answer.
    pub async fn get(
        &self,
        url: &str,
        headers: &[(&str, String)],
        timeout: Duration,
        limit: u64,
    ) -> Result<Response, Error> {
        self.send(&Request {
            method: Method::Get,
            url,
            headers,
            timeout,
            limit,
            overflow: Overflow::Fail,
        })
        .await
    }

    /// POST of a JSON document; `headers` may replace the `content-type`. The answer is cut at 64 KiB.
    ///
    /// # Errors
    /// When there is no complete answer within `timeout`. Any status is an answer.
    pub async fn post_json(
        &self,
        url: &str,
        headers: &[(&str, String)],
        body: impl Into<Bytes>,
        timeout: Duration,
    ) -> Result<Response, Error> {
        let mut all = vec![("content-type", "application/json".to_owned())];
        all.extend_from_slice(headers);
        self.send(&Request {
            method: Method::Post(body.into()),
            url,
            headers: &all,
            timeout,
            limit: MAX_REPLY,
            overflow: Overflow::Truncate,
        })
        .await
    }

    /// Sends any request.
    ///
    /// # Errors
    /// When there is no complete answer within the timeout and the limit. Any status is an answer.
    pub async fn send(&self, request: &Request<'_>) -> Result<Response, Error> {
        let mut body = Vec::new();
        let mut response = self.send_into(request, &mut body).await?;
        response.body = body;
        Ok(response)
    }

    /// Sends any request and appends the answer's body to `buffer`.
    ///
    /// # Errors
    /// When there is no complete answer within the timeout and the limit; `buffer` may then hold a part of it.
    pub async fn send_into(
        &self,
        request: &Request<'_>,
        buffer: &mut Vec<u8>,
    ) -> Result<Response, Error> {
        let whole = Box::pin(self.exchange(request, buffer));
        match tokio::time::timeout(request.timeout, whole).await {
            Ok(result) => result,
            Err(_) => {
                let within = crate::metric::format_duration(request.timeout);
                let detail = format!("gave up after {within}");
                Err(Error::new(Kind::Timeout, request.url, detail))
            }
        }
    }

    /// The request and its redirects, without a timeout of its own.
    async fn exchange(
        &self,
        request: &Request<'_>,
        buffer: &mut Vec<u8>,
    ) -> Result<Response, Error> {
        let bad_url = |url: &str| Error::new(Kind::Request, url, "not an http or https URL");
        let client = self.pool(request.url).await?;
        let mut url = Url::parse(request.url).map_err(|_| bad_url(request.url))?;
        let mut method = request.method.clone();
        let mut trusted = true;
        for _ in 0..=redirect::MAX {
            if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
                return Err(bad_url(url.as_str()));
            }
            let headers = self.headers(request, &method, &url, trusted).await?;
            let response = self.hop(&client, &method, &url, headers).await?;
            let status = response.status().as_u16();
            let next = match next_hop(&response, &url) {
                Some(next) if self.settings.follow_redirects => next?,
                _ => {
                    let head = head_of(&response);
                    let cap = Cap {
                        bytes: request.limit,
                        overflow: request.overflow,
                    };
                    body::read(response, request.url, cap, buffer).await?;
                    if status == 401
                        && let Some(tokens) = &self.tokens
                    {
                        tokens.forget().await;
                    }
                    return Ok(head);
                }
            };
            trusted &= redirect::same_authority(&url, &next);
            if matches!(status, 301..=303) {
                method = Method::Get;
            }
            url = next;
        }
        let detail = format!("stopped after {} redirects", redirect::MAX);
        Err(Error::new(Kind::Redirect, request.url, detail))
    }

    async fn hop(
        &self,
        client: &reqwest::Client,
        method: &Method,
        url: &Url,
        mut headers: HeaderMap,
    ) -> Result<reqwest::Response, Error> {
        let mut address = url.clone();
        if let Some(name) = &self.settings.tls.server_name
            && url.scheme() == "https"
            && let Some(host) = host_header(url)
            && address.set_host(Some(name)).is_ok()
        {
            headers.entry(HOST).or_insert(host);
        }
        let builder = match method {
            Method::Get => client.get(address),
            Method::Post(body) => client.post(address).body(body.clone()),
        };
        builder
            .headers(headers)
            .send()
            .await
            .map_err(|error| Error::from_reqwest(&error, url.as_str()))
    }

    /// The headers of one hop, secrets read afresh; without secrets once a redirect left the host.
    async fn headers(
        &self,
        request: &Request<'_>,
        method: &Method,
        url: &Url,
        trusted: bool,
    ) -> Result<HeaderMap, Error> {
        let url = url.as_str();
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if trusted {
            auth::add_headers(&mut headers, &self.settings.headers, url).await?;
            if let Some(tokens) = &self.tokens {
                let token = tokens.token(request.timeout).await?;
                auth::set(&mut headers, &format!("Bearer {token}"), url)?;
            } else if let Some(value) = auth::authorization(&self.settings.auth, url).await? {
                auth::set(&mut headers, &value, url)?;
            }
        }
        for (name, value) in request.headers {
            let bad = || Error::new(Kind::Request, url, format!("{name:?}: not a header"));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            if !trusted && !is_harmless(&name)
                || name == CONTENT_TYPE && matches!(method, Method::Get)
            {
                continue;
            }
            headers.insert(name, HeaderValue::from_str(value).map_err(|_| bad())?);
        }
        Ok(headers)
    }

    /// The pool, rebuilt when a certificate or proxy file changed.
    async fn pool(&self, url: &str) -> Result<reqwest::Client, Error> {
        let material = Material::read(&self.settings, url).await?;
        let digest = material.digest();
        let mut pool = self.pool.lock();
        if let Some(known) = &*pool
            && known.digest == digest
        {
            return Ok(known.client.clone());
        }
        let client = tls::build(&self.settings, &material, url)?;
        *pool = Some(Pool {
            digest,
            client: client.clone(),
        });
        Ok(client)
    }
}

/// Headers of a request that may follow a redirect to another host.
fn is_harmless(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "accept"
            | "accept-encoding"
            | "content-type"
            | "user-agent"
            | "x-prometheus-scrape-timeout-seconds"
    )
}

/// Host and port as a `Host` header.
fn host_header(url: &Url) -> Option<HeaderValue> {
    let host = url.host_str()?;
    let text = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    HeaderValue::from_str(&text).ok()
}

/// Where the answer redirects to, if it does.
fn next_hop(response: &reqwest::Response, url: &Url) -> Option<Result<Url, Error>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?;
    let next = location.to_str().ok().and_then(|text| url.join(text).ok());
    Some(next.ok_or_else(|| {
        let detail = "its Location is no URL";
        Error::new(Kind::Redirect, url.as_str(), detail)
    }))
}

fn head_of(response: &reqwest::Response) -> Response {
    let text = |name: HeaderName| {
        let value = response.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
    };
    Response {
        status: response.status().as_u16(),
        content_type: text(CONTENT_TYPE),
        retry_after: text(RETRY_AFTER)
            .and_then(|seconds| seconds.parse().ok())
            .map(Duration::from_secs),
        body: Vec::new(),
    }
}
