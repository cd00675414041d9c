//! Where a redirect leads, and which hosts may receive the credentials.

use reqwest::Url;
use reqwest::header::LOCATION;

use super::error::{Error, Kind};
use crate::describe::bare_url;

/// Longest chain of redirects that is followed, as in Go.
pub(super) const MAX_REDIRECTS: usize = 10;

/// The address that the response redirects to, if it does.
pub(super) fn next_hop(response: &reqwest::Response, url: &Url) -> Option<Result<Url, Error>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?;
    let next = location.to_str().ok().and_then(|text| url.join(text).ok());
    Some(next.ok_or_else(|| {
        let detail = "its Location is not a URL";
        Error::new(Kind::Redirect, url.as_str(), detail)
    }))
}

/// Checks that a POST arrives whole when it follows this redirect.
///
/// # Errors
/// When the method would change and the body would be lost (301, 302, 303), or when a request that
/// is private to its host would be repeated on another one.
pub(super) fn check_post(status: u16, from: &Url, to: &Url, is_private: bool) -> Result<(), Error> {
    let why = if matches!(status, 301..=303) {
        "would turn the POST into a GET without its body"
    } else if is_private && !same_authority(from, to) {
        "would send credentials, a signature or configured headers to another host"
    } else {
        return Ok(());
    };
    let target = bare_url(to.as_str());
    let detail = format!(
        "status {status} redirects to {target}, which {why}; set the URL to {target} if the receiver is there"
    );
    Err(Error::new(Kind::Redirect, from.as_str(), detail))
}

/// The address without a user: another host cannot make us log in somewhere.
pub(super) fn without_user(mut url: Url) -> Url {
    // Both fail only for a URL without a host, which is refused.
    url.set_username("").ok();
    url.set_password(None).ok();
    url
}

/// Whether credentials for `from` may be sent to `to`: the same scheme, host and port, or the same
/// host over TLS on the default ports.
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
    use super::same_authority;
    use reqwest::Url;

    fn same(from: &str, to: &str) -> bool {
        same_authority(&Url::parse(from).unwrap(), &Url::parse(to).unwrap())
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
