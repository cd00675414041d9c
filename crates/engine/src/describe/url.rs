//! URLs in configuration files.

use serde_json::json;

use super::{Kind, Limits, Node, Scalar, Shape};

static URL: Scalar = Scalar {
    name: "URL",
    doc: "An absolute URL with the scheme `http` or `https`; `${VAR}` is replaced by the environment variable `VAR`.",
    schema: || json!({"type": "string", "pattern": "^(https?://.|.*\\$)"}),
    show: |number| number.to_string(),
};

/// The URL of an endpoint, kept as it is.
#[derive(Debug)]
pub struct HttpUrl;

impl Shape for HttpUrl {
    type Value = String;

    fn kind() -> Kind {
        Kind::Scalar(&URL)
    }

    fn read(node: &Node<'_>, limits: &Limits) -> Option<String> {
        let url = node.expand(&node.text()?);
        if !is_http_url(&url) {
            let example = limits.example;
            let got = wrong_url(&url);
            node.problem(format!("must be a URL such as {example}, got {got}"));
            return None;
        }
        Some(url)
    }
}

/// Whether a text is empty or no more than a name or an address, with or without a port: no password
/// is written in so few characters.
fn is_host_name(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, ""));
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || b".-".contains(&byte));
    let is_address = name
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    (is_name || is_address) && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// The base URL of a server, to which a path is appended.
#[derive(Debug)]
pub struct ServerUrl;

impl Shape for ServerUrl {
    type Value = String;

    fn kind() -> Kind {
        Kind::Scalar(&URL)
    }

    fn read(node: &Node<'_>, limits: &Limits) -> Option<String> {
        let url = HttpUrl::read(node, limits)?;
        Some(url.trim_end_matches('/').to_owned())
    }
}

/// Whether this is an absolute http or https URL with a host.
#[must_use]
pub fn is_http_url(url: &str) -> bool {
    host(url).is_some_and(|host| {
        // A password with a slash looks like a port.
        let port = host.rsplit_once(']').map_or(host, |(_, rest)| rest);
        let port = port.rsplit_once(':').map_or("", |(_, port)| port);
        !host.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// What stands in the place of an http or https URL, for a message: no more than scheme and host,
/// since the rest may be secret.
#[must_use]
pub fn wrong_url(text: &str) -> String {
    let is_scheme = |scheme: &str| {
        (1..=10).contains(&scheme.len()) && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    match text.split_once("://") {
        Some(("http" | "https", _)) if is_http_url(text) => {
            "a URL with a query or a fragment".to_owned()
        }
        Some(("http" | "https", _)) => {
            "one whose host or port is wrong; write special characters of a password as %40"
                .to_owned()
        }
        Some((scheme, rest)) if is_scheme(scheme) && rest.chars().all(is_host) => {
            format!("{text:?}")
        }
        Some((scheme, _)) if is_scheme(scheme) => format!("one with the scheme {scheme}"),
        None if is_host_name(text) => format!("{text:?}"),
        _ => "text without http:// or https://".to_owned(),
    }
}

/// `host:port` of a URL, without credentials; `None` when it is not http or https.
#[must_use]
pub fn host(url: &str) -> Option<&str> {
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    (!host.contains(char::is_whitespace)).then_some(host)
}

/// A URL as written, without user and password.
#[must_use]
pub fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or("");
    format!("{scheme}://{host}{path}")
}

/// Scheme, host, port and path of a URL as written: no credentials, query or fragment.
#[must_use]
pub fn bare_url(url: &str) -> String {
    without_user(url.split(['?', '#']).next().unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::{bare_url, is_http_url, without_user, wrong_url};

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
    fn a_port_is_a_number() {
        for url in [
            "http://a",
            "http://a:8000/x",
            "https://u:p@[::1]:80",
            "http://[::1]",
        ] {
            assert!(is_http_url(url), "{url}");
        }
        for url in ["http://me:sec/ret@a", "http://a:x", "ftp://a", "http://"] {
            assert!(!is_http_url(url), "{url}");
        }
    }

    #[test]
    fn of_a_wrong_url_only_scheme_and_host_are_repeated() {
        for secret in [
            "htp://u:s3cret@h",
            "ftp://h/s3cret",
            "u:s3cret@h/x",
            "hooks.example/s3cret",
            "http://u:s3cret@h h/x",
            "http://u:s3/cret@h",
            "http://h/x?s3cret",
            "s3cret://x y",
            "Bearer s3cret",
        ] {
            let got = wrong_url(secret);
            let is_scheme = secret.starts_with("s3cret://");
            assert!(
                is_scheme || !got.contains("cret") && !got.contains("s3"),
                "{got}"
            );
        }
        assert_eq!(wrong_url("ftp://x:21"), "\"ftp://x:21\"");
        for host in ["", "mimir", "localhost:8000", "10.0.0.1:9090"] {
            assert_eq!(wrong_url(host), format!("{host:?}"));
        }
        assert_eq!(wrong_url("ftp://x/y"), "one with the scheme ftp");
    }

    #[test]
    fn a_url_is_written_without_user_and_password() {
        assert_eq!(
            without_user("https://me:p@ss@prom:9090/x?tenant=a"),
            "https://prom:9090/x?tenant=a"
        );
        assert_eq!(without_user("http://prom:9090"), "http://prom:9090");
    }
}
