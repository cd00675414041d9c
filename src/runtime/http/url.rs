//! URLs without their secrets, for messages and metric labels.

use reqwest::Url;

use crate::alert::template::query_escape;

/// A URL with its password masked, for messages.
#[must_use]
pub(crate) fn redacted(url: &str) -> String {
    let Some(mut parsed) = Url::parse(url).ok().filter(Url::has_host) else {
        return url
            .rsplit_once('@')
            .map_or_else(|| url.to_owned(), |(_, rest)| format!("<redacted>@{rest}"));
    };
    if parsed.password().is_some() && parsed.set_password(Some("xxxxx")).is_err() {
        return format!("{}://<redacted>", parsed.scheme());
    }
    parsed.into()
}

/// Scheme, host, port and path of a URL as written: no credentials, query or fragment.
#[must_use]
pub(crate) fn bare_url(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or("");
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or("");
    format!("{scheme}://{host}{path}")
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
    use super::{bare_url, form, redacted};

    #[test]
    fn a_password_is_never_printed() {
        let shown = redacted("http://user:hunter2@host:8000/metrics?x=1");
        assert_eq!(shown, "http://user:xxxxx@host:8000/metrics?x=1");
        assert!(!redacted("user:hunter2@host").contains("hunter2"));
        assert_eq!(redacted("http://host/metrics"), "http://host/metrics");
    }

    #[test]
    fn a_bare_url_holds_no_secret() {
        assert_eq!(
            bare_url("https://me:secret@am:9093/prefix?token=x#y"),
            "https://am:9093/prefix"
        );
        assert_eq!(bare_url("http://am"), "http://am");
        assert_eq!(bare_url("am:9093"), "am:9093");
    }

    #[test]
    fn forms_are_encoded_as_browsers_do() {
        assert_eq!(form(&[("k", "a b&c=d/é")]), "k=a+b%26c%3Dd%2F%C3%A9");
        let selector = [("match[]", "a{b=\"c d\"}"), ("start", "1")];
        assert_eq!(form(&selector), "match%5B%5D=a%7Bb%3D%22c+d%22%7D&start=1");
    }
}
