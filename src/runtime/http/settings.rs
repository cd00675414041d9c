//! Prometheus' `http_config` as plain data.

use std::fmt;
use std::path::{Path, PathBuf};

/// Everything about how to reach a server but its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How to prove who we are.
    pub auth: Auth,
    /// Certificates and TLS versions.
    pub tls: Tls,
    /// The proxy in between.
    pub proxy: Proxy,
    /// Whether a 3xx is followed, at most 10 times; when not, the 3xx is the answer.
    pub follow_redirects: bool,
    /// Whether HTTP/2 is offered over TLS.
    pub enable_http2: bool,
    /// Headers for every request (`http_headers`); not sent to another host after a redirect.
    pub headers: Vec<Header>,
}

impl Default for Settings {
    /// No credentials, the system's roots, no proxy, redirects followed, HTTP/2 offered.
    fn default() -> Self {
        Self {
            auth: Auth::None,
            tls: Tls::default(),
            proxy: Proxy::None,
            follow_redirects: true,
            enable_http2: true,
            headers: Vec::new(),
        }
    }
}

/// How a request proves who sends it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// `basic_auth`: user name and password.
    Basic {
        /// The user name.
        username: Secret,
        /// The password; empty when there is none.
        password: Secret,
    },
    /// `authorization`: a scheme, usually `Bearer`, and what follows it.
    Authorization {
        /// The scheme.
        scheme: String,
        /// What follows the scheme.
        credentials: Secret,
    },
    /// `oauth2`: a bearer token bought with client credentials.
    OAuth2(Box<OAuth2>),
}

/// OAuth 2.0 client credentials (RFC 6749, section 4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth2 {
    /// The client's identifier.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: Secret,
    /// Where tokens are bought.
    pub token_url: String,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
    /// Further form parameters of the token request.
    pub endpoint_params: Vec<(String, String)>,
    /// TLS towards the token server.
    pub tls: Tls,
    /// The proxy towards the token server.
    pub proxy: Proxy,
}

/// A value that never appears in logs: written in the configuration, or in a file that is read for every request.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The value itself.
    Inline(String),
    /// A file that holds it; blanks and newlines around it are dropped.
    File(PathBuf),
}

impl Secret {
    /// The value, when it needs no file.
    #[must_use]
    pub fn is_inline(&self) -> bool {
        matches!(self, Self::Inline(_))
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self::Inline(String::new())
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self::Inline(value.to_owned())
    }
}

impl From<&Path> for Secret {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("<secret>"),
            Self::File(path) => write!(f, "<secret from {}>", path.display()),
        }
    }
}

/// `tls_config`. Each part is PEM, inline or in a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Authorities to trust instead of the system's.
    pub ca: Option<Secret>,
    /// The client certificate; needs `key`.
    pub cert: Option<Secret>,
    /// The client's private key; needs `cert`.
    pub key: Option<Secret>,
    /// The name to expect in the server's certificate instead of the URL's host.
    pub server_name: Option<String>,
    /// Whether any certificate is believed.
    pub insecure_skip_verify: bool,
    /// The lowest version to accept.
    pub min_version: Option<TlsVersion>,
    /// The highest version to accept.
    pub max_version: Option<TlsVersion>,
}

/// A version of TLS. 1.0 and 1.1 exist in Prometheus' configuration and are not spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

/// Which proxy to use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Proxy {
    /// None, whatever the environment says.
    #[default]
    None,
    /// `proxy_from_environment`: `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`.
    Environment,
    /// `proxy_url`.
    Url {
        /// The proxy's address, credentials included.
        url: Secret,
        /// `no_proxy`: a comma-separated list of hosts, domains and networks to reach directly; may be empty.
        no_proxy: String,
        /// `proxy_connect_header`: headers of the CONNECT request.
        connect_headers: Vec<Header>,
    },
}

/// Names that `http_headers` must not set: the client or the authentication does, as in Prometheus.
const RESERVED: [&str; 18] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "user-agent",
    "www-authenticate",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-prometheus-remote-read-version",
    "x-prometheus-remote-write-version",
    "x-prometheus-scrape-timeout-seconds",
];

impl Header {
    /// Whether a configuration must not set a header of this name.
    #[must_use]
    pub fn is_reserved(name: &str) -> bool {
        RESERVED.contains(&name.to_ascii_lowercase().as_str())
    }
}

/// A header with one or more values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The header's name.
    pub name: String,
    /// Its values.
    pub values: Vec<Secret>,
}

#[cfg(test)]
mod tests {
    use super::{Auth, Header, Proxy, Secret, Settings};
    use std::path::PathBuf;

    #[test]
    fn headers_that_the_client_sets_are_reserved() {
        assert!(Header::is_reserved("Authorization"));
        assert!(!Header::is_reserved("X-Scope-OrgID"));
    }

    #[test]
    fn settings_debug_without_any_secret() {
        let settings = Settings {
            auth: Auth::Basic {
                username: "hunter".into(),
                password: "hunter2".into(),
            },
            proxy: Proxy::Url {
                url: "http://user:hunter3@proxy:3128".into(),
                no_proxy: String::new(),
                connect_headers: Vec::new(),
            },
            ..Settings::default()
        };
        assert!(!format!("{settings:?}").contains("hunter"));
        let file = Secret::File(PathBuf::from("token"));
        assert_eq!(format!("{file:?}"), "<secret from token>");
    }
}
