//! Writes credentials and configured headers into requests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use super::error::{Error, Kind};
use super::settings::{Auth, Header};

/// The value of the `Authorization` header; `None` for OAuth 2 and without credentials.
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

/// Sets the `Authorization` header, marked so that no log prints it.
pub(super) fn set_authorization(
    headers: &mut HeaderMap,
    value: &str,
    url: &str,
) -> Result<(), Error> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        let detail = "they contain characters that a header cannot carry";
        Error::new(Kind::Credentials, url, detail)
    })?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(())
}

/// Adds configured headers; values of the same name are kept side by side.
pub(super) async fn add_headers(
    headers: &mut HeaderMap,
    configured: &[Header],
    url: &str,
) -> Result<(), Error> {
    for header in configured {
        let invalid = || {
            let detail = format!(
                "invalid header {:?}, or an invalid value of it",
                header.name
            );
            Error::new(Kind::Request, url, detail)
        };
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| invalid())?;
        for value in &header.values {
            let text = value.read(url).await?;
            let mut value = HeaderValue::from_str(&text).map_err(|_| invalid())?;
            value.set_sensitive(true);
            headers.append(name.clone(), value);
        }
    }
    Ok(())
}
