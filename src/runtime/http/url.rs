//! URLs without their secrets, for messages and metric labels.

use reqwest::Url;

use crate::alert::template::query_escape;

/// A URL without user, password, query and fragment, for messages.
#[must_use]
pub(crate) fn redacted(url: &str) -> String {
    let Some(mut parsed) = Url::parse(url).ok().filter(Url::has_host) else {
        let url = url.split(['?', '#']).next().unwrap_or("");
        return url
            .rsplit_once('@')
            .map_or_else(|| url.to_owned(), |(_, rest)| format!("<redacted>@{rest}"));
    };
    let is_stripped = parsed
        .set_username("")
        .and(parsed.set_password(None))
        .is_ok();
    if !is_stripped {
        return format!("{}://<redacted>", parsed.scheme());
    }
    parsed.set_query(None);
    parsed.set_fragment(None);
    parsed.into()
}

/// Scheme, host and port of a URL.
#[must_use]
pub(crate) fn origin(url: &str) -> String {
    known_origin(url).unwrap_or_else(|| "<redacted>".to_owned())
}

/// Scheme, host and port of a URL; `None` if it has no host.
pub(crate) fn known_origin(url: &str) -> Option<String> {
    let parsed = Url::parse(url).ok().filter(Url::has_host)?;
    Some(parsed.origin().ascii_serialization())
}

/// Encodes a form or a query (`application/x-www-form-urlencoded`).
#[must_use]
pub(crate) fn form<T: AsRef<str>>(pairs: &[(&str, T)]) -> String {
    let encoded: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", query_escape(name), query_escape(value.as_ref())))
        .collect();
    encoded.join("&")
}

#[cfg(test)]
mod tests {
    use super::{form, origin, redacted};

    #[test]
    fn user_password_and_query_are_never_printed() {
        let shown = redacted("http://user:hunter2@host:8000/metrics?token=x#y");
        assert_eq!(shown, "http://host:8000/metrics");
        assert_eq!(redacted("host?token=hunter2"), "host");
        assert!(!redacted("user:hunter2@host").contains("hunter2"));
        assert_eq!(redacted("http://host/metrics"), "http://host/metrics");
    }

    #[test]
    fn an_origin_holds_neither_path_nor_credentials() {
        let url = "https://me:secret@hooks.example:8443/services/T0/token?x=1";
        assert_eq!(origin(url), "https://hooks.example:8443");
        assert_eq!(origin("secret"), "<redacted>");
    }

    #[test]
    fn forms_are_encoded_as_browsers_do() {
        assert_eq!(form(&[("k", "a b&c=d/é")]), "k=a+b%26c%3Dd%2F%C3%A9");
        let selector = [("match[]", "a{b=\"c d\"}"), ("start", "1")];
        assert_eq!(form(&selector), "match%5B%5D=a%7Bb%3D%22c+d%22%7D&start=1");
    }
}
