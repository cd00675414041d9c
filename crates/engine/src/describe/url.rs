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
            node.problem(format!("must be a URL such as {example}, got {url:?}"));
            return None;
        }
        Some(url)
    }
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
    host(url).is_some_and(|host| !host.is_empty())
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
    use super::{bare_url, without_user};

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
    fn a_url_is_written_without_user_and_password() {
        assert_eq!(
            without_user("https://me:p@ss@prom:9090/x?tenant=a"),
            "https://prom:9090/x?tenant=a"
        );
        assert_eq!(without_user("http://prom:9090"), "http://prom:9090");
    }
}
