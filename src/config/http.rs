//! The keys of Prometheus' `http_config` → [`http::Settings`].

use std::path::{Path, PathBuf};

use super::problem::Problems;
use super::yaml::Document;
use crate::describe::{
    Description, Fields, FilePath, Keys, Kind, Limits, Node, ReadContext, Shape, TEXT, TextMap,
    section, worded, written,
};
use crate::runtime::http::{self, Auth, Header, OAuth2, Proxy, Secret, Tls, TlsVersion};

/// Reads a file with the keys of http_config, as for `promtool --http.config.file`; relative paths
/// start at its folder.
///
/// # Errors
/// Every problem of the file.
pub(crate) fn http_client_settings(path: &Path) -> Result<http::Settings, Problems> {
    let file = path.display().to_string();
    let text = super::text::read(path)?;
    let document = Document::parse(&file, &text)?;
    let reader = document.reader_in(ReadContext {
        base: path.parent().unwrap_or(Path::new("")),
        env: &|_| None,
    });
    let settings = reader
        .root()
        .fields_of(HttpKeys::description)
        .and_then(|mut fields| {
            let settings = HttpKeys::read_fields(&mut fields);
            fields.finish();
            settings
        });
    document
        .problems(reader.finish())
        .into_result(settings.unwrap_or_default())
}

/// The `http_config` keys, inlined into a section.
#[derive(Debug)]
pub(super) struct HttpKeys;

impl Keys for HttpKeys {
    type Value = http::Settings;

    fn description() -> Description {
        HttpClientSettings::description()
    }

    fn read_fields(fields: &mut Fields<'_>) -> Option<http::Settings> {
        let keys = HttpClientSettings::read_fields(fields)?;
        Some(settings(keys, fields.node()))
    }
}

section! {
    /// How a server is reached: the keys of Prometheus' `http_config`. At most one of `basic_auth`,
    /// `authorization`, `oauth2` and `bearer_token` may be set. Files are relative to the file that
    /// names them, and secrets in files are read again for every request.
    struct HttpClientSettings {
        /// Basic authentication.
        basic_auth: Option<BasicAuth> = None;
        /// Any other `Authorization` header.
        authorization: Option<Authorization> = None;
        /// OAuth 2.0 with client credentials.
        oauth2: Option<OAuth2> = None;
        /// A bearer token; better in a file.
        bearer_token: Option<Secret> = None, secret();
        /// A file with the bearer token.
        bearer_token_file: Option<PathBuf> as Option<FilePath> = None;
        /// Certificates and versions of TLS.
        tls_config: Tls = Tls::default();
        /// Whether a redirect is followed, at most 10 times. A POST follows only 307 and 308, and
        /// with credentials or a signature only to the same host.
        follow_redirects: bool = true;
        /// Whether HTTP/2 is offered over TLS.
        enable_http2: bool = true;
        /// Further headers by name; headers that the client sets itself are refused.
        http_headers: Vec<Header> as Headers = Vec::new(),
            secret(), example("{X-Scope-OrgID: {values: [team]}}");
        flatten {
            /// The proxy.
            proxy: Proxy as ProxyKeys;
        }
    }
}

section! {
    /// Basic authentication.
    struct BasicAuth {
        /// The user name.
        username: Option<Secret> = None;
        /// A file with the user name.
        username_file: Option<PathBuf> as Option<FilePath> = None;
        /// The password.
        password: Option<Secret> = None, secret();
        /// A file with the password.
        password_file: Option<PathBuf> as Option<FilePath> = None;
    }
}

section! {
    /// An `Authorization` header.
    struct Authorization {
        /// The scheme; not `Basic`, which is `basic_auth`.
        scheme @ "type": String = "Bearer".to_owned();
        /// What follows the scheme.
        credentials: Option<Secret> = None, secret();
        /// A file with the credentials.
        credentials_file: Option<PathBuf> as Option<FilePath> = None;
    }
}

section! {
    /// OAuth 2.0 with client credentials.
    struct OAuth2Keys {
        required {
            /// The client's identifier.
            client_id: String;
            /// Where tokens are fetched.
            token_url: String;
        }
        /// The client's secret.
        client_secret: Option<Secret> = None, secret();
        /// A file with the client's secret.
        client_secret_file: Option<PathBuf> as Option<FilePath> = None;
        /// Scopes to ask for.
        scopes: Vec<String> = Vec::new();
        /// Further form parameters of the token request.
        endpoint_params: Vec<(String, String)> as TextMap = Vec::new(), secret();
        /// TLS to the token server.
        tls_config: Tls = Tls::default();
        /// How the client proves who it is.
        grant_type: Grant = Grant::ClientCredentials;
        flatten {
            /// The proxy to the token server.
            proxy: Proxy as ProxyKeys;
        }
    }
}

/// The only supported grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grant {
    ClientCredentials,
}

worded! {
    Grant {
        "client_credentials" => Self::ClientCredentials, "";
    }
}

section! {
    /// Certificates and versions of TLS. `cert` and `key` belong together.
    struct TlsConfig {
        /// Certificates of the authorities to trust in the place of the system's, as PEM.
        ca: Option<Secret> = None;
        /// A file with the authorities.
        ca_file: Option<PathBuf> as Option<FilePath> = None;
        /// The client's certificate, as PEM.
        cert: Option<Secret> = None;
        /// A file with the certificate.
        cert_file: Option<PathBuf> as Option<FilePath> = None;
        /// The client's private key, as PEM.
        key: Option<Secret> = None, secret();
        /// A file with the key.
        key_file: Option<PathBuf> as Option<FilePath> = None;
        /// The name to expect in the server's certificate.
        server_name: Option<String> = None, default_text("the host of the URL");
        /// Whether any certificate is accepted.
        insecure_skip_verify: bool = false;
        /// The oldest version that is spoken.
        min_version: Option<TlsVersion> = None, hint("older versions are not spoken");
        /// The newest version that is spoken.
        max_version: Option<TlsVersion> = None, hint("older versions are not spoken");
    }
}

worded! {
    TlsVersion {
        "TLS12" => Self::V12, "";
        "TLS13" => Self::V13, "";
    }
}

section! {
    /// The proxy between Sidewatch and a server.
    struct ProxySettings {
        /// The proxy's address.
        proxy_url: Option<Secret> = None;
        /// Hosts, domains and networks that are reached without the proxy, with commas between
        /// them.
        no_proxy: String = String::new();
        /// Whether `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name the proxy.
        proxy_from_environment: bool = false;
        /// Headers of the CONNECT request.
        proxy_connect_header: Vec<Header> as ConnectHeaders = Vec::new(),
            secret(), example("{X-Team: [fraud]}");
    }
}

section! {
    /// The values of a header.
    struct HeaderKeys {
        /// Values.
        values: Vec<Secret> = Vec::new();
        /// Values that are secret.
        secrets: Vec<Secret> = Vec::new(), secret();
        /// Files with values.
        files: Vec<PathBuf> as Vec<FilePath> = Vec::new();
    }
}

written!(Tls as TlsConfig, tls);
written!(OAuth2 as OAuth2Keys, oauth2);

impl Shape for Secret {
    type Value = Self;

    fn kind() -> Kind {
        Kind::Scalar(&TEXT)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Self> {
        Some(Self::Inline(node.text()?))
    }
}

/// The keys of a proxy, inlined into a section.
struct ProxyKeys;

impl Keys for ProxyKeys {
    type Value = Proxy;

    fn description() -> Description {
        ProxySettings::description()
    }

    fn read_fields(fields: &mut Fields<'_>) -> Option<Proxy> {
        let keys = ProxySettings::read_fields(fields)?;
        Some(proxy(keys, fields.node()))
    }
}

/// `http_headers: {Name: {values: [], secrets: [], files: []}}`.
struct Headers;

impl Shape for Headers {
    type Value = Vec<Header>;

    fn kind() -> Kind {
        Kind::Map(Box::new(HeaderKeys::kind()))
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Vec<Header>> {
        let headers = node.entries()?.into_iter().filter_map(|(name, node)| {
            if Header::is_reserved(name) {
                node.problem("this header is set by sidewatch itself; remove it");
            }
            let keys = HeaderKeys::read(&node, &Limits::NONE)?;
            let files = keys.files.into_iter().map(Secret::File);
            Some(Header {
                name: name.to_owned(),
                values: keys
                    .values
                    .into_iter()
                    .chain(keys.secrets)
                    .chain(files)
                    .collect(),
            })
        });
        Some(headers.collect())
    }
}

/// `proxy_connect_header: {Name: [value, …]}`.
struct ConnectHeaders;

impl Shape for ConnectHeaders {
    type Value = Vec<Header>;

    fn kind() -> Kind {
        Kind::Map(Box::new(Vec::<Secret>::kind()))
    }

    fn read(node: &Node<'_>, limits: &Limits) -> Option<Vec<Header>> {
        let headers = node.entries()?.into_iter().filter_map(|(name, node)| {
            Some(Header {
                name: name.to_owned(),
                values: Vec::<Secret>::read(&node, limits)?,
            })
        });
        Some(headers.collect())
    }
}

fn settings(keys: HttpClientSettings, node: &Node<'_>) -> http::Settings {
    let bearer = either(
        node,
        "bearer_token",
        keys.bearer_token,
        keys.bearer_token_file,
    );
    let given = [
        node.has("basic_auth"),
        node.has("authorization"),
        node.has("oauth2"),
        bearer.is_some(),
    ];
    if given.iter().filter(|given| **given).count() > 1 {
        node.problem(
            "at most one of basic_auth, authorization, oauth2 and bearer_token may be set",
        );
    }
    let below = |key| node.peek(key).unwrap_or_else(|| node.clone());
    let auth = if let Some(keys) = keys.basic_auth {
        basic_auth(keys, &below("basic_auth"))
    } else if let Some(keys) = keys.authorization {
        authorization(keys, &below("authorization"))
    } else if let Some(oauth2) = keys.oauth2 {
        Auth::OAuth2(Box::new(oauth2))
    } else {
        bearer.map_or(Auth::None, |credentials| Auth::Authorization {
            scheme: "Bearer".to_owned(),
            credentials,
        })
    };
    http::Settings {
        auth,
        tls: keys.tls_config,
        proxy: keys.proxy,
        follow_redirects: keys.follow_redirects,
        enable_http2: keys.enable_http2,
        headers: keys.http_headers,
    }
}

fn basic_auth(keys: BasicAuth, node: &Node<'_>) -> Auth {
    let username = either(node, "username", keys.username, keys.username_file);
    let password = either(node, "password", keys.password, keys.password_file);
    Auth::Basic {
        username: username.unwrap_or_default(),
        password: password.unwrap_or_default(),
    }
}

fn authorization(keys: Authorization, node: &Node<'_>) -> Auth {
    if keys.scheme.trim().eq_ignore_ascii_case("basic") {
        node.problem_below("type", "must not be basic; use basic_auth instead");
    }
    let credentials = either(node, "credentials", keys.credentials, keys.credentials_file);
    Auth::Authorization {
        scheme: keys.scheme,
        credentials: credentials.unwrap_or_default(),
    }
}

fn oauth2(keys: OAuth2Keys, node: &Node<'_>) -> OAuth2 {
    let secret = either(
        node,
        "client_secret",
        keys.client_secret,
        keys.client_secret_file,
    );
    OAuth2 {
        client_id: keys.client_id,
        client_secret: secret.unwrap_or_default(),
        token_url: keys.token_url,
        scopes: keys.scopes,
        endpoint_params: keys.endpoint_params,
        tls: keys.tls_config,
        proxy: keys.proxy,
    }
}

fn tls(keys: TlsConfig, node: &Node<'_>) -> Tls {
    let tls = Tls {
        ca: either(node, "ca", keys.ca, keys.ca_file),
        cert: either(node, "cert", keys.cert, keys.cert_file),
        key: either(node, "key", keys.key, keys.key_file),
        server_name: keys.server_name,
        insecure_skip_verify: keys.insecure_skip_verify,
        min_version: keys.min_version,
        max_version: keys.max_version,
    };
    if tls.cert.is_some() != tls.key.is_some() {
        node.problem("cert and key belong together; set both or neither");
    }
    tls
}

fn proxy(keys: ProxySettings, node: &Node<'_>) -> Proxy {
    match keys.proxy_url {
        Some(_) if keys.proxy_from_environment => {
            node.problem("proxy_url and proxy_from_environment exclude each other");
            Proxy::None
        }
        Some(url) => Proxy::Url {
            url,
            no_proxy: keys.no_proxy,
            connect_headers: keys.proxy_connect_header,
        },
        None if keys.proxy_from_environment => Proxy::Environment,
        None => Proxy::None,
    }
}

/// A secret, either in the configuration or in a file.
fn either(
    node: &Node<'_>,
    key: &str,
    inline: Option<Secret>,
    file: Option<PathBuf>,
) -> Option<Secret> {
    if inline.is_some() && file.is_some() {
        node.problem(format!("{key} and {key}_file exclude each other"));
    }
    inline.or_else(|| file.map(Secret::File))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::HttpKeys;
    use crate::config::yaml::Document;
    use crate::describe::{Keys, ReadContext};
    use crate::runtime::http::{Auth, Secret, Settings};

    fn read(text: &str) -> Result<Settings, String> {
        let document = Document::parse("c.yaml", text).unwrap();
        let reader = document.reader_in(ReadContext {
            base: Path::new("/etc/sidewatch"),
            env: &|_| None,
        });
        let mut fields = reader.root().fields().unwrap();
        let settings = HttpKeys::read_fields(&mut fields).unwrap();
        fields.finish();
        document
            .problems(reader.finish())
            .into_result(settings)
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn files_are_relative_to_the_configuration() {
        let settings = read("authorization: {credentials_file: token}").unwrap();
        let Auth::Authorization {
            scheme,
            credentials,
        } = settings.auth
        else {
            panic!("no authorization")
        };
        assert_eq!(scheme, "Bearer");
        assert_eq!(credentials, Secret::File("/etc/sidewatch/token".into()));
    }

    #[test]
    fn two_ways_to_prove_who_we_are_are_a_mistake() {
        let text = "basic_auth: {username: a}\nbearer_token: b\n";
        assert!(
            read(text)
                .unwrap_err()
                .contains("at most one of basic_auth")
        );
    }

    #[test]
    fn mistakes_in_tls_name_their_line() {
        let problems = read("tls_config:\n  cert: x\n  min_version: TLS10\n").unwrap_err();
        assert!(
            problems.contains("c.yaml:1: tls_config: cert and key belong together"),
            "{problems}"
        );
        assert!(
            problems.contains("c.yaml:3: tls_config.min_version: must be TLS12 or TLS13"),
            "{problems}"
        );
    }

    #[test]
    fn headers_that_the_client_sets_are_refused_as_in_prometheus() {
        let names = "Content-Type Accept-Encoding X-Prometheus-Scrape-Timeout-Seconds X-Mine";
        let lines = names
            .split(' ')
            .map(|name| format!("  {name}: {{values: [a]}}\n"));
        let problems = read(&format!("http_headers:\n{}", lines.collect::<String>())).unwrap_err();
        let refused: Vec<&str> = problems.lines().collect();
        assert_eq!(refused.len(), 3, "{problems}");
        assert!(!problems.contains("X-Mine"), "{problems}");
    }
}
