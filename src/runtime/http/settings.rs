//! Prometheus' `http_config` as plain data.

use super::secret::Secret;

/// How to reach a server, except its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Authentication.
    pub auth: Auth,
    /// Certificates and TLS versions.
    pub tls: Tls,
    /// The proxy.
    pub proxy: Proxy,
    /// Whether redirects are followed, at most 10 in a row; otherwise the 3xx is the response. A POST
    /// follows only 307 and 308, and with credentials only to the same host.
    pub follow_redirects: bool,
    /// Whether HTTP/2 is offered over TLS.
    pub enable_http2: bool,
    /// Headers of every request (`http_headers`). Not sent to another host after a redirect.
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

/// The authentication of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Auth {
    /// No authentication.
    #[default]
    None,
    /// `basic_auth`: user name and password.
    Basic {
        /// The user name.
        username: Secret,
        /// The password; empty when there is none.
        password: Secret,
    },
    /// `authorization`: a scheme, usually `Bearer`, and credentials.
    Authorization {
        /// The scheme.
        scheme: String,
        /// The credentials.
        credentials: Secret,
    },
    /// `oauth2`: a bearer token for client credentials.
    OAuth2(Box<OAuth2>),
}

/// OAuth 2.0 client credentials (RFC 6749, section 4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth2 {
    /// The identifier of the client.
    pub client_id: String,
    /// The secret of the client.
    pub client_secret: Secret,
    /// The address of the token server.
    pub token_url: String,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
    /// Additional form parameters of the token request.
    pub endpoint_params: Vec<(String, String)>,
    /// TLS of the token server.
    pub tls: Tls,
    /// The proxy for the token server.
    pub proxy: Proxy,
}

/// `tls_config`. Each part is PEM, inline or in a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Certificate authorities that replace those of the system.
    pub ca: Option<Secret>,
    /// The client certificate; needs `key`.
    pub cert: Option<Secret>,
    /// The client's private key; needs `cert`.
    pub key: Option<Secret>,
    /// The expected name in the certificate of the server, instead of the host of the URL.
    pub server_name: Option<String>,
    /// Whether certificates are accepted without verification.
    pub insecure_skip_verify: bool,
    /// The lowest accepted version.
    pub min_version: Option<TlsVersion>,
    /// The highest accepted version.
    pub max_version: Option<TlsVersion>,
}

/// A version of TLS. 1.0 and 1.1 exist in Prometheus' configuration but are not supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

impl TlsVersion {
    /// Parses `TLS12` or `TLS13`.
    ///
    /// # Errors
    /// When it is neither, with the reason for the older ones.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "TLS12" => Ok(Self::V12),
            "TLS13" => Ok(Self::V13),
            "TLS10" | "TLS11" | "SSL30" => Err(format!(
                "{text} is not there: rustls has no version below TLS 1.2, since RFC 8996 forbids them; write TLS12 or TLS13"
            )),
            _ => Err(format!("must be TLS12 or TLS13, got {text:?}")),
        }
    }
}

/// Which proxy to use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Proxy {
    /// No proxy, whatever the environment says.
    #[default]
    None,
    /// `proxy_from_environment`: `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`.
    Environment,
    /// `proxy_url`.
    Url {
        /// The address of the proxy, with credentials.
        url: Secret,
        /// `no_proxy`: a comma-separated list of hosts, domains and networks that are reached
        /// directly; may be empty.
        no_proxy: String,
        /// `proxy_connect_header`: headers of the CONNECT request.
        connect_headers: Vec<Header>,
    },
}

/// Names that `http_headers` must not set, as in Prometheus: the client or the authentication sets
/// them.
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
    /// Whether `http_headers` must not set a header of this name.
    #[must_use]
    pub fn is_reserved(name: &str) -> bool {
        RESERVED.contains(&name.to_ascii_lowercase().as_str())
    }
}

/// A header with one or more values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The name.
    pub name: String,
    /// The values.
    pub values: Vec<Secret>,
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Auth, Header, Proxy, Secret, Settings, TlsVersion};

    #[test]
    fn headers_that_the_client_sets_are_reserved() {
        assert!(Header::is_reserved("Authorization"));
        assert!(!Header::is_reserved("X-Scope-OrgID"));
    }

    #[test]
    fn versions_below_1_2_are_refused_with_the_reason() {
        for old in ["TLS10", "TLS11"] {
            let error = TlsVersion::parse(old).unwrap_err();
            assert!(
                error.contains("rustls has no version below TLS 1.2"),
                "{error}"
            );
        }
        assert_eq!(TlsVersion::parse("TLS13"), Ok(TlsVersion::V13));
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
