//! Buys bearer tokens with client credentials (RFC 6749, section 4.4) and keeps them until they run out.

use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::auth::basic;
use super::client::{Client, Method, Overflow, Request};
use super::error::{Error, Kind};
use super::settings::{OAuth2, Settings};

/// A token is renewed this long before it runs out.
const MARGIN: Duration = Duration::from_secs(10);

/// The largest answer of a token server.
const MAX_ANSWER: u64 = 1 << 20;

/// Where tokens come from.
#[derive(Debug)]
pub(super) struct TokenSource {
    config: OAuth2,
    client: Client,
    cached: Mutex<Option<Cached>>,
}

struct Cached {
    token: String,
    secret: String,
    until: Option<Instant>,
}

impl std::fmt::Debug for Cached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

/// A token server's answer.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    #[serde(default)]
    expires_in: Option<f64>,
}

impl TokenSource {
    pub(super) fn new(config: OAuth2) -> Self {
        let client = Client::new(Settings {
            tls: config.tls.clone(),
            proxy: config.proxy.clone(),
            ..Settings::default()
        });
        Self {
            config,
            client,
            cached: Mutex::new(None),
        }
    }

    /// A valid token; a changed client secret buys a new one.
    pub(super) async fn token(&self, timeout: Duration) -> Result<String, Error> {
        let secret = self
            .config
            .client_secret
            .read(&self.config.token_url)
            .await?;
        let mut cached = self.cached.lock().await;
        if let Some(known) = &*cached
            && known.secret == secret
            && known.until.is_none_or(|until| Instant::now() < until)
        {
            return Ok(known.token.clone());
        }
        let answer = self.buy(&secret, timeout).await?;
        let until = answer
            .expires_in
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(|life| Instant::now() + life.saturating_sub(MARGIN));
        *cached = Some(Cached {
            token: answer.access_token.clone(),
            secret,
            until,
        });
        Ok(answer.access_token)
    }

    /// Forgets the token when the server refused it.
    pub(super) async fn forget(&self) {
        *self.cached.lock().await = None;
    }

    /// Asks with credentials in the header, then in the form, as Go's client does.
    async fn buy(&self, secret: &str, timeout: Duration) -> Result<Answer, Error> {
        let first = self.ask(secret, timeout, true).await?;
        let (status, body) = match first {
            (400 | 401, _) => self.ask(secret, timeout, false).await?,
            other => other,
        };
        let url = &self.config.token_url;
        if !(200..300).contains(&status) {
            let detail = format!("the token server answered {status}, expected 200");
            return Err(Error::new(Kind::Credentials, url, detail));
        }
        serde_json::from_slice(&body).map_err(|_| {
            let detail = "the token server's answer is no JSON object with an access_token";
            Error::new(Kind::Credentials, url, detail)
        })
    }

    async fn ask(
        &self,
        secret: &str,
        timeout: Duration,
        in_header: bool,
    ) -> Result<(u16, Vec<u8>), Error> {
        let config = &self.config;
        let scopes = config.scopes.join(" ");
        let mut form: Vec<(&str, &str)> = vec![("grant_type", "client_credentials")];
        if !scopes.is_empty() {
            form.push(("scope", &scopes));
        }
        form.extend(config.endpoint_params.iter().map(|(k, v)| (&**k, &**v)));
        let mut headers = vec![(
            "content-type",
            "application/x-www-form-urlencoded".to_owned(),
        )];
        if in_header {
            let (id, secret) = (encoded(&config.client_id), encoded(secret));
            headers.push(("authorization", basic(&id, &secret)));
        } else {
            form.extend([("client_id", &*config.client_id), ("client_secret", secret)]);
        }
        let body: Vec<String> = form
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        let request = Request {
            method: Method::Post(body.join("&").into()),
            url: &config.token_url,
            headers: &headers,
            timeout,
            limit: MAX_ANSWER,
            overflow: Overflow::Fail,
        };
        let response = Box::pin(self.client.send(&request)).await?;
        Ok((response.status, response.body))
    }
}

/// Form encoding (`application/x-www-form-urlencoded`).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn forms_are_encoded_as_browsers_do() {
        assert_eq!(encoded("a b&c=d/é"), "a+b%26c%3Dd%2F%C3%A9");
    }
}
