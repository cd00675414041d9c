//! Sends one request over the connection pool and follows its redirects.

use std::time::Duration;

use parking_lot::Mutex;
use reqwest::Url;
use reqwest::header::{
    CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};

use super::auth;
use super::body::{self, Limit};
use super::error::{Error, Kind};
use super::redirect;
use super::request::{Method, Request, Response, parse_retry_after};
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
    pool: Mutex<Option<Pool>>,
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
        Self {
            settings,
            pool: Mutex::new(None),
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
        let mut method = request.method.clone();
        let mut trusted = true;
        for _ in 0..=redirect::MAX_REDIRECTS {
            if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
                return Err(bad_url(url.as_str()));
            }
            let mut headers = self.headers(request, &method, &url, trusted).await?;
            if let Some(value) = authorization.filter(|_| trusted) {
                auth::set_authorization(&mut headers, value, url.as_str())?;
            }
            let response = self.hop(&client, &method, &url, headers).await?;
            let next = match redirect::next_hop(&response, &url) {
                Some(next) if self.settings.follow_redirects => next?,
                _ => {
                    let head = head_of(&response);
                    let limit = Limit {
                        bytes: request.limit,
                        overflow: request.overflow,
                    };
                    body::read(response, request.url, limit, buffer).await?;
                    return Ok(head);
                }
            };
            trusted &= redirect::same_authority(&url, &next);
            if matches!(response.status().as_u16(), 301..=303) {
                method = Method::Get;
            }
            url = next;
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

    /// The headers of one hop. Configured headers and most headers of the request are left out once
    /// a redirect has left the host.
    async fn headers(
        &self,
        request: &Request<'_>,
        method: &Method,
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
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
            if !trusted && !is_harmless(&name)
                || name == CONTENT_TYPE && matches!(method, Method::Get)
            {
                continue;
            }
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

/// Whether a header of the request may follow a redirect to another host.
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

fn head_of(response: &reqwest::Response) -> Response {
    let text = |name: HeaderName| {
        let value = response.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
    };
    Response {
        status: response.status().as_u16(),
        content_type: text(CONTENT_TYPE),
        retry_after: text(RETRY_AFTER).and_then(|text| parse_retry_after(&text, clock::now())),
        body: Vec::new(),
    }
}
