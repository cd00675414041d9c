//! Sends one request over the connection pool and follows its redirects.

use std::time::Duration;

use parking_lot::Mutex;
use reqwest::Url;
use reqwest::header::{
    CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};

use super::answers::Answers;
use super::auth;
use super::body::{self, Limit};
use super::error::{Error, Kind};
use super::redirect;
use super::request::{Method, Request, Response, parse_rate_limit, parse_retry_after};
use super::settings::Settings;
use super::tls::{self, PoolFiles};
use crate::runtime::clock;

/// The `User-Agent` of every request.
const USER_AGENT_VALUE: &str = concat!("sidewatch/", env!("CARGO_PKG_VERSION"));

/// A connection pool with its settings. It applies everything but `auth`; the caller passes the
/// value of the `Authorization` header.
#[derive(Debug)]
pub(super) struct Exchange {
    settings: Settings,
    /// Whether the bodies of requests hold a secret.
    secret_bodies: bool,
    pool: Mutex<Option<Pool>>,
    /// For the hosts that a redirect leads to, without our certificate and the server's name;
    /// `None` without any.
    strangers: Option<Box<Exchange>>,
    answers: Answers,
}

#[derive(Debug, Clone)]
struct Pool {
    /// Digest of the files that the pool was built from.
    digest: [u8; 32],
    client: reqwest::Client,
}

/// Fails with [`Kind::Timeout`] if `work` takes longer than `timeout`.
pub(super) async fn within<T>(
    timeout: Duration,
    url: &str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(timeout, work).await {
        Ok(result) => result,
        Err(_) => {
            let limit = crate::metric::format_duration(timeout);
            Err(Error::new(
                Kind::Timeout,
                url,
                format!("gave up after {limit}"),
            ))
        }
    }
}

impl Exchange {
    /// A pool for these settings; files are read when the first request is sent.
    pub(super) fn new(settings: Settings) -> Self {
        let tls = &settings.tls;
        let has_own = tls.cert.is_some() || tls.key.is_some() || tls.server_name.is_some();
        let strangers = has_own.then(|| Box::new(Self::new(for_strangers(&settings))));
        Self {
            settings,
            secret_bodies: false,
            pool: Mutex::new(None),
            strangers,
            answers: Answers::new(u64::MAX),
        }
    }

    /// The same pool, whose answers in one round have at most so many bytes together.
    pub(super) fn with_answers(self, most: u64) -> Self {
        Self {
            answers: Answers::new(most),
            ..self
        }
    }

    /// The budget of its answers.
    pub(super) fn answers(&self) -> &Answers {
        &self.answers
    }

    /// The same pool for requests whose bodies hold a secret.
    pub(super) fn with_secret_bodies(self) -> Self {
        Self {
            secret_bodies: true,
            ..self
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends the request and appends the body of the last response to `buffer`. Does not apply the
    /// timeout of the request.
    pub(super) async fn send(
        &self,
        request: &Request<'_>,
        authorization: Option<&str>,
        buffer: &mut Vec<u8>,
    ) -> Result<Response, Error> {
        let bad_url = |url: &str| Error::new(Kind::Request, url, "not an http or https URL");
        let client = self.pool(request.url).await?;
        let mut url = Url::parse(request.url).map_err(|_| bad_url(request.url))?;
        let mut trusted = true;
        for _ in 0..=redirect::MAX_REDIRECTS {
            if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
                return Err(bad_url(url.as_str()));
            }
            let mut headers = self.headers(request, &url, trusted).await?;
            if let Some(value) = authorization.filter(|_| trusted) {
                auth::set_authorization(&mut headers, value, url.as_str())?;
            }
            let response = match &self.strangers {
                Some(strangers) if !trusted => {
                    let client = strangers.pool(request.url).await?;
                    strangers
                        .hop(&client, &request.method, &url, headers)
                        .await?
                }
                _ => self.hop(&client, &request.method, &url, headers).await?,
            };
            let next = match redirect::next_hop(&response, &url) {
                Some(next) if self.settings.follow_redirects => next?,
                _ => {
                    let head = Response {
                        is_foreign: !trusted,
                        ..head_of(&response)
                    };
                    let limit = Limit {
                        bytes: request.limit,
                        overflow: request.overflow,
                        answers: Some(&self.answers),
                    };
                    body::read(response, request.url, limit, buffer).await?;
                    return Ok(head);
                }
            };
            let status = response.status().as_u16();
            if let Method::Post(_) = request.method {
                let is_private = self.is_private(request, authorization);
                redirect::check_post(status, &url, &next, is_private)?;
            }
            trusted &= redirect::same_authority(&url, &next);
            url = if trusted {
                next
            } else {
                redirect::without_user(next)
            };
        }
        let detail = format!("stopped after {} redirects", redirect::MAX_REDIRECTS);
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
        let send = || {
            let builder = match method {
                Method::Get => client.get(address.clone()),
                Method::Post(body) => client.post(address.clone()).body(body.clone()),
            };
            builder.headers(headers.clone()).send()
        };
        let failed = |error: reqwest::Error| Error::from_reqwest(&error, url.as_str());
        match send().await.map_err(failed) {
            // The server has closed a connection that was kept, at the moment when it was used
            // again. A GET may be repeated, as in Go's client.
            Err(error) if error.kind() == Kind::Reset && matches!(method, Method::Get) => {
                send().await.map_err(failed)
            }
            result => result,
        }
    }

    /// Whether the request holds something that only the configured host may receive: credentials,
    /// a client certificate, a signature, configured headers or a secret in the body.
    fn is_private(&self, request: &Request<'_>, authorization: Option<&str>) -> bool {
        let mut names = request.headers.iter().map(|(name, _)| *name);
        let has_user = Url::parse(request.url)
            .is_ok_and(|url| !url.username().is_empty() || url.password().is_some());
        authorization.is_some()
            || has_user
            || self.secret_bodies
            || self.settings.tls.cert.is_some()
            || !self.settings.headers.is_empty()
            || names.any(|name| !is_harmless(name))
    }

    /// The headers of one hop. Configured headers and most headers of the request are left out once
    /// a redirect has left the host.
    async fn headers(
        &self,
        request: &Request<'_>,
        url: &Url,
        trusted: bool,
    ) -> Result<HeaderMap, Error> {
        let url = url.as_str();
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_VALUE));
        if trusted {
            auth::add_headers(&mut headers, &self.settings.headers, url).await?;
        }
        for (name, value) in request.headers {
            let invalid = || Error::new(Kind::Request, url, format!("{name:?}: not a header"));
            if !trusted && !is_harmless(name) {
                continue;
            }
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
            headers.insert(name, HeaderValue::from_str(value).map_err(|_| invalid())?);
        }
        Ok(headers)
    }

    /// The pool, rebuilt when a certificate or proxy file has changed.
    async fn pool(&self, url: &str) -> Result<reqwest::Client, Error> {
        let files = PoolFiles::read(&self.settings, url).await?;
        let digest = files.digest();
        let mut pool = self.pool.lock();
        if let Some(current) = &*pool
            && current.digest == digest
        {
            return Ok(current.client.clone());
        }
        let client = tls::build(&self.settings, &files, url)?;
        *pool = Some(Pool {
            digest,
            client: client.clone(),
        });
        Ok(client)
    }
}

/// The settings for a host that is not the configured one.
fn for_strangers(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    settings.tls.cert = None;
    settings.tls.key = None;
    settings.tls.server_name = None;
    settings
}

/// Whether a header of the request may follow a redirect to another host. The attributes of a
/// CloudEvent and the key of a request are part of the message, as its body is.
fn is_harmless(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("ce-")
        || matches!(
            name.as_str(),
            "accept"
                | "accept-encoding"
                | "content-type"
                | "idempotency-key"
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

fn head_of(response: &reqwest::Response) -> Response {
    let text = |name: &str| {
        let value = response.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
    };
    let now = clock::now();
    let rate_limit = || {
        let (remaining, reset) = (text("x-ratelimit-remaining")?, text("x-ratelimit-reset")?);
        parse_rate_limit(&remaining, &reset, now)
    };
    Response {
        status: response.status().as_u16(),
        content_type: text(CONTENT_TYPE.as_str()),
        retry_after: text(RETRY_AFTER.as_str())
            .and_then(|text| parse_retry_after(&text, now))
            .or_else(rate_limit),
        body: Vec::new(),
        is_foreign: false,
    }
}
