//! Gets bearer tokens with client credentials (RFC 6749, section 4.4) and caches them.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::auth::basic;
use super::error::{Error, Kind};
use super::exchange::{Exchange, within};
use super::request::{Method, Overflow, Request, Response};
use super::settings::{OAuth2, Settings};
use super::url::form;
use crate::alert::template::query_escape;

/// A token is renewed this long before it expires.
const RENEWAL_MARGIN: Duration = Duration::from_secs(10);

/// Size limit of a token response in bytes.
const MAX_TOKEN_RESPONSE_BYTES: u64 = 1 << 20;

/// Requests and caches tokens.
#[derive(Debug)]
pub(super) struct TokenSource {
    config: OAuth2,
    exchange: Exchange,
    cached: Mutex<Option<CachedToken>>,
}

struct CachedToken {
    token: String,
    /// The client secret that the token was requested with.
    client_secret: String,
    /// `None` for a token that does not expire.
    renew_at: Option<Instant>,
}

impl fmt::Debug for CachedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// The body of a token response.
#[derive(Deserialize)]
struct TokenResponse {
    access_token: String,
    /// Lifetime in seconds.
    #[serde(default)]
    expires_in: Option<f64>,
}

impl TokenSource {
    pub(super) fn new(config: OAuth2) -> Self {
        let exchange = Exchange::new(Settings {
            tls: config.tls.clone(),
            proxy: config.proxy.clone(),
            ..Settings::default()
        });
        Self {
            config,
            exchange: exchange.with_secret_bodies(),
            cached: Mutex::new(None),
        }
    }

    /// A valid token. Requests a new one when the cached one has expired or the client secret has
    /// changed.
    pub(super) async fn token(&self, timeout: Duration) -> Result<String, Error> {
        let url = &self.config.token_url;
        let client_secret = self.config.client_secret.read(url).await?;
        let mut cached = self.cached.lock().await;
        if let Some(current) = &*cached
            && current.client_secret == client_secret
            && current.renew_at.is_none_or(|at| Instant::now() < at)
        {
            return Ok(current.token.clone());
        }
        let response = self.request_token(&client_secret, timeout).await?;
        let renew_at = response
            .expires_in
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .and_then(|lifetime| {
                // A lifetime beyond what the clock can hold never ends.
                Instant::now().checked_add(lifetime.saturating_sub(RENEWAL_MARGIN))
            });
        *cached = Some(CachedToken {
            token: response.access_token.clone(),
            client_secret,
            renew_at,
        });
        Ok(response.access_token)
    }

    /// Drops the cached token after the server has refused it.
    pub(super) async fn forget(&self) {
        *self.cached.lock().await = None;
    }

    /// Sends the client credentials in the header, then in the form, as Go's client does.
    async fn request_token(&self, secret: &str, timeout: Duration) -> Result<TokenResponse, Error> {
        let mut response = self.post(secret, timeout, true).await?;
        if matches!(response.status, 400 | 401) {
            response = self.post(secret, timeout, false).await?;
        }
        let fail = |detail: &str| Error::new(Kind::Credentials, &self.config.token_url, detail);
        if !response.is_success() {
            let status = response.status;
            return Err(fail(&format!(
                "the token server answered {status}, expected 200"
            )));
        }
        serde_json::from_slice(&response.body)
            .map_err(|_| fail("the token response is not a JSON object with an access_token"))
    }

    async fn post(
        &self,
        secret: &str,
        timeout: Duration,
        in_header: bool,
    ) -> Result<Response, Error> {
        let config = &self.config;
        let scopes = config.scopes.join(" ");
        let mut fields: Vec<(&str, &str)> = vec![("grant_type", "client_credentials")];
        if !scopes.is_empty() {
            fields.push(("scope", &scopes));
        }
        fields.extend(config.endpoint_params.iter().map(|(k, v)| (&**k, &**v)));
        let mut authorization = None;
        if in_header {
            let (id, secret) = (query_escape(&config.client_id), query_escape(secret));
            authorization = Some(basic(&id, &secret));
        } else {
            fields.extend([("client_id", &*config.client_id), ("client_secret", secret)]);
        }
        let content_type = "application/x-www-form-urlencoded".to_owned();
        let request = Request {
            method: Method::Post(form(&fields).into()),
            url: &config.token_url,
            headers: &[("content-type", content_type)],
            timeout,
            limit: MAX_TOKEN_RESPONSE_BYTES,
            overflow: Overflow::Fail,
        };
        let mut body = Vec::new();
        let send = self
            .exchange
            .send(&request, authorization.as_deref(), &mut body);
        let response = within(timeout, request.url, Box::pin(send)).await?;
        Ok(Response { body, ..response })
    }
}
