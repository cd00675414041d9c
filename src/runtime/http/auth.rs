//! Reads secrets and writes them into headers, afresh for every request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::error::{Error, Kind};
use super::settings::{Auth, Header, Secret};

/// The largest file that is taken for a secret or a certificate.
const MAX_FILE: u64 = 1 << 20;

impl Secret {
    /// The value as it is now, trimmed.
    pub(super) async fn read(&self, url: &str) -> Result<String, Error> {
        let path = match self {
            Self::Inline(value) => return Ok(value.trim().to_owned()),
            Self::File(path) => path,
        };
        let fail = |why: String| {
            let detail = format!("{}: {why}", path.display());
            Error::new(Kind::Credentials, url, detail)
        };
        let meta = tokio::fs::metadata(path)
            .await
            .map_err(|error| fail(error.to_string()))?;
        if meta.len() > MAX_FILE {
            return Err(fail(format!("{} bytes are no secret", meta.len())));
        }
        let text = tokio::fs::read_to_string(path)
            .await
            .map_err(|error| fail(error.to_string()))?;
        Ok(text.trim().to_owned())
    }
}

/// The value of an `Authorization` header, `None` for OAuth 2 and for no credentials.
pub(super) async fn authorization(auth: &Auth, url: &str) -> Result<Option<String>, Error> {
    match auth {
        Auth::None | Auth::OAuth2(_) => Ok(None),
        Auth::Basic { username, password } => {
            let (user, password) = (username.read(url).await?, password.read(url).await?);
            Ok(Some(basic(&user, &password)))
        }
        Auth::Authorization {
            scheme,
            credentials,
        } => Ok(Some(format!("{scheme} {}", credentials.read(url).await?))),
    }
}

/// Basic credentials (RFC 7617).
pub(super) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Adds an `Authorization` header that no log prints.
pub(super) fn set(headers: &mut HeaderMap, value: &str, url: &str) -> Result<(), Error> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        let detail = "they contain characters that no header may have";
        Error::new(Kind::Credentials, url, detail)
    })?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(())
}

/// Adds configured headers; later ones join earlier ones of the same name.
pub(super) async fn add_headers(
    headers: &mut HeaderMap,
    configured: &[Header],
    url: &str,
) -> Result<(), Error> {
    for header in configured {
        let bad = || {
            let detail = format!(
                "{:?} is no header, or has a value no header may have",
                header.name
            );
            Error::new(Kind::Request, url, detail)
        };
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| bad())?;
        for value in &header.values {
            let text = value.read(url).await?;
            let mut value = HeaderValue::from_str(&text).map_err(|_| bad())?;
            value.set_sensitive(true);
            headers.append(name.clone(), value);
        }
    }
    Ok(())
}
