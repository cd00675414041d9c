//! The HTTP client: a connection pool with credentials.

use std::time::Duration;

use bytes::Bytes;

use super::answers::Answers;
use super::auth;
use super::error::Error;
use super::exchange::{Exchange, within};
use super::oauth2::TokenSource;
use super::request::{Method, Overflow, Request, Response};
use super::settings::{Auth, Settings};

/// Response bytes that [`Client::post_json`] keeps.
const MAX_POST_RESPONSE_BYTES: u64 = 64 << 10;

/// An HTTP client with one [`Settings`]; keeps connections open between requests.
#[derive(Debug)]
pub struct Client {
    exchange: Exchange,
    tokens: Option<Box<TokenSource>>,
}

impl Client {
    /// A client; files are read when the first request is sent.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let tokens = match &settings.auth {
            Auth::OAuth2(config) => Some(Box::new(TokenSource::new((**config).clone()))),
            Auth::None | Auth::Basic { .. } | Auth::Authorization { .. } => None,
        };
        Self {
            exchange: Exchange::new(settings),
            tokens,
        }
    }

    /// The same client, whose answers in one round have at most so many bytes together.
    #[must_use]
    pub(crate) fn with_answers(mut self, most: u64) -> Self {
        self.exchange = self.exchange.with_answers(most);
        self
    }

    /// The budget of its answers.
    pub(crate) fn answers(&self) -> &Answers {
        self.exchange.answers()
    }

    /// Sends a GET; the request fails if the response reaches `limit` bytes.
    ///
    /// # Errors
    /// When there is no complete response within `timeout` and `limit`. Any status is a response.
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

    /// Posts a JSON document; `headers` may replace the `content-type`. Keeps 64 KiB of the
    /// response.
    ///
    /// # Errors
    /// When there is no complete response within `timeout`. Any status is a response.
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
            limit: MAX_POST_RESPONSE_BYTES,
            overflow: Overflow::Truncate,
        })
        .await
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When there is no complete response within the timeout and the limit of the request. Any
    /// status is a response.
    pub async fn send(&self, request: &Request<'_>) -> Result<Response, Error> {
        let mut body = Vec::new();
        let mut response = self.send_into(request, &mut body).await?;
        response.body = body;
        Ok(response)
    }

    /// Sends a request and appends the response body to `buffer`.
    ///
    /// # Errors
    /// When there is no complete response within the timeout and the limit of the request;
    /// `buffer` may then hold a part of it.
    pub async fn send_into(
        &self,
        request: &Request<'_>,
        buffer: &mut Vec<u8>,
    ) -> Result<Response, Error> {
        let work = Box::pin(self.authorize_and_send(request, buffer));
        within(request.timeout, request.url, work).await
    }

    /// Reads the credentials afresh and sends the request with them.
    async fn authorize_and_send(
        &self,
        request: &Request<'_>,
        buffer: &mut Vec<u8>,
    ) -> Result<Response, Error> {
        let authorization = match &self.tokens {
            Some(tokens) => Some(format!("Bearer {}", tokens.token(request.timeout).await?)),
            None => auth::authorization(&self.exchange.settings().auth, request.url).await?,
        };
        let response = self
            .exchange
            .send(request, authorization.as_deref(), buffer)
            .await?;
        if response.status == 401
            && let Some(tokens) = &self.tokens
        {
            tokens.forget().await;
        }
        Ok(response)
    }
}
