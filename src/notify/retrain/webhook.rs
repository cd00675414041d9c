//! A retraining receiver over HTTP.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::super::{Clock, Error, Method, Request, Transport, TransportError};
use super::{Format, Message, RetrainRequest, RetrainingNotifier};

/// A secret: given, or in a file that is read for every request.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// In the configuration.
    Text(String),
    /// In a file, trimmed of trailing newlines.
    File(PathBuf),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("<secret>"),
            Self::File(path) => write!(f, "<secret in {}>", path.display()),
        }
    }
}

impl Secret {
    async fn read(&self) -> Result<Vec<u8>, Error> {
        match self {
            Self::Text(text) => Ok(text.clone().into_bytes()),
            Self::File(path) => {
                // An unreadable secret may be one that is just being replaced: try again later.
                let bytes = tokio::fs::read(path).await.map_err(|error| {
                    TransportError::Connection(format!(
                        "cannot read the secret {}: {error}",
                        path.display()
                    ))
                })?;
                let end = bytes.iter().rposition(|b| !b.is_ascii_whitespace());
                let end = end.map_or(0, |at| at + 1);
                Ok(bytes[..end].to_vec())
            }
        }
    }
}

/// A webhook that is asked to retrain.
#[derive(Clone)]
pub struct Webhook {
    /// Where to.
    pub url: Arc<str>,
    /// What the body looks like.
    pub format: Format,
    /// Signs the body when set.
    pub secret: Option<Secret>,
    /// Headers added to every request.
    pub headers: Vec<(String, String)>,
    /// Time for one request.
    pub timeout: Duration,
    /// Sends the requests, with this webhook's TLS and authorization.
    pub transport: Arc<dyn Transport>,
    /// The wall clock.
    pub clock: Clock,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("format", &self.format)
            .field("secret", &self.secret)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// The header that carries the signature: `sha256=` and the hexadecimal HMAC-SHA256 of the body, as GitHub signs its
/// webhooks, so that existing receivers can check it.
pub const SIGNATURE: &str = "X-Hub-Signature-256";
/// The header that carries [`RetrainRequest::id`].
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

impl Webhook {
    async fn post(&self, request: &RetrainRequest) -> Result<(), Error> {
        let Message { mut headers, body } = self.format.message(request, &self.url)?;
        headers.push((IDEMPOTENCY_KEY.to_owned(), request.id.clone()));
        if let Some(secret) = &self.secret {
            headers.push((SIGNATURE.to_owned(), sign(&secret.read().await?, &body)?));
        }
        headers.extend(self.headers.iter().cloned());
        let sent = self.transport.send(Request {
            method: Method::Post,
            url: Arc::clone(&self.url),
            headers,
            body,
            timeout: self.timeout,
        });
        let answer = tokio::time::timeout(self.timeout, sent).await;
        let answer = answer.unwrap_or(Err(TransportError::Timeout(self.timeout)))?;
        if self.format.is_already_there(answer.status) {
            return Ok(());
        }
        Error::check(&answer, (self.clock)())
    }
}

impl RetrainingNotifier for Webhook {
    fn request<'a>(&'a self, request: &'a RetrainRequest) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.post(request))
    }
}

fn sign(secret: &[u8], body: &[u8]) -> Result<String, Error> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret)
        .map_err(|error| Error::Template(format!("the secret cannot sign: {error}")))?;
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sha256={hex}"))
}

#[cfg(test)]
mod tests {
    use super::sign;

    #[test]
    fn the_signature_is_githubs() {
        // The example of GitHub's page "Validating webhook deliveries".
        let signed = sign(b"It's a Secret to Everybody", b"Hello, World!");
        assert_eq!(
            signed.as_deref(),
            Ok("sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
        );
    }
}
