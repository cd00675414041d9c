//! Sends retraining requests to a webhook.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::runtime::http::{Client, Response, Secret};

use super::super::Error;
use super::{Format, Message, RequestKind, RetrainRequest, RetrainingNotifier};

/// A webhook that receives retraining requests.
#[derive(Clone)]
pub struct Webhook {
    /// The address.
    pub url: Arc<str>,
    /// The format of the body.
    pub format: Format,
    /// Key of the signature; no signature without it. Read for every request.
    pub secret: Option<Secret>,
    /// Additional headers of every request.
    pub headers: Vec<(String, String)>,
    /// Time limit of one request.
    pub timeout: Duration,
    /// The HTTP client with TLS and authorization of this webhook.
    pub client: Arc<Client>,
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

/// Header with the signature: `sha256=` and the hexadecimal HMAC-SHA256 of the body, as GitHub
/// signs its webhooks, so that existing receivers can verify it.
pub(crate) const SIGNATURE: &str = "X-Hub-Signature-256";
/// Header with [`RetrainRequest::id`].
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// Size limit of the description of a run in bytes.
const MAX_RUN_BYTES: u64 = 1 << 20;

impl Webhook {
    async fn post(&self, request: &RetrainRequest) -> Result<(), Error> {
        let Message { headers, body } = self.format.message(request, &self.url)?;
        let mut headers: Vec<(&str, String)> = headers
            .iter()
            .chain(&self.headers)
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        headers.push((IDEMPOTENCY_KEY, request.id.clone()));
        if let Some(secret) = &self.secret {
            let key = secret.read_bytes(&self.url).await?;
            headers.push((SIGNATURE, sign(&key, &body)?));
        }
        let target = self.format.target(&self.url);
        let response = self
            .client
            .post_json(&target, &headers, body, self.timeout)
            .await?;
        if response.status == 409 && self.has_arrived(request, &response).await? {
            return Ok(());
        }
        Error::check(&response)
    }

    /// Whether a conflict means that this request arrived before: the answer names its run, or the
    /// receiver has that run. Any other conflict is a failure.
    async fn has_arrived(
        &self,
        request: &RetrainRequest,
        conflict: &Response,
    ) -> Result<bool, Error> {
        let Some(run) = self.format.run_name(request) else {
            return Ok(false);
        };
        let names_run =
            |response: &Response| String::from_utf8_lossy(&response.body).contains(&run);
        if names_run(conflict) {
            return Ok(true);
        }
        let Some(url) = self.format.run_url(&self.url, &run) else {
            return Ok(false);
        };
        let found = self
            .client
            .get(&url, &[], self.timeout, MAX_RUN_BYTES)
            .await?;
        Ok(found.is_success() && names_run(&found))
    }
}

impl RetrainingNotifier for Webhook {
    fn request<'a>(&'a self, request: &'a RetrainRequest) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.post(request))
    }

    fn takes(&self, kind: RequestKind) -> bool {
        self.format.takes(kind)
    }
}

fn sign(secret: &[u8], body: &[u8]) -> Result<String, Error> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret)
        .map_err(|error| Error::Template(format!("cannot sign with the secret: {error}")))?;
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
