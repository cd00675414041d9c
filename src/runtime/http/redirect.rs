//! Where a redirect leads, and which hosts may see the credentials.

use reqwest::Url;

/// How many redirects are followed, as in Go.
pub(super) const MAX: usize = 10;

/// A URL without its password, for messages.
#[must_use]
pub fn redacted(url: &str) -> String {
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

/// Whether credentials meant for `from` may be sent to `to`: the same host and port, or the same host over TLS on the
/// usual ports.
pub(super) fn same_authority(from: &Url, to: &Url) -> bool {
    if from.host_str() != to.host_str() {
        return false;
    }
    let ports = (from.port_or_known_default(), to.port_or_known_default());
    match (from.scheme(), to.scheme()) {
        ("http", "https") => ports == (Some(80), Some(443)),
        (a, b) => a == b && ports.0 == ports.1,
    }
}

#[cfg(test)]
mod tests {
    use super::{redacted, same_authority};
    use reqwest::Url;

    fn same(from: &str, to: &str) -> bool {
        same_authority(&Url::parse(from).unwrap(), &Url::parse(to).unwrap())
    }

    #[test]
    fn a_password_is_never_printed() {
        let shown = redacted("http://user:hunter2@host:8000/metrics?x=1");
        assert_eq!(shown, "http://user:xxxxx@host:8000/metrics?x=1");
        assert!(!redacted("user:hunter2@host").contains("hunter2"));
        assert_eq!(redacted("http://host/metrics"), "http://host/metrics");
    }

    #[test]
    fn credentials_stay_on_their_host_and_port() {
        assert!(same("http://a:8000/x", "http://a:8000/y"));
        assert!(same("http://a/x", "https://a/x"));
        assert!(!same("http://a/", "http://b/"));
        assert!(!same("http://a:8000/", "http://a:9000/"));
        assert!(!same("https://a/", "http://a/"));
        assert!(!same("https://a:443/", "http://a:443/"));
    }
}
