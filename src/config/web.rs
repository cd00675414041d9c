//! The web configuration file, in exporter-toolkit's format → [`Web`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::problem::Problems;
use super::text::read;
use super::yaml::Document;
use crate::describe::{Kind, Limits, Node, ReadContext, Shape, TEXT, section};
use crate::publish::web::{
    Acceptor, CipherSuite, ClientAuth, Headers, KeyExchange, Material, RateLimit, Tls, Users,
    Version, Web, cipher_suite, curve,
};
use crate::runtime::http::Secret;

section! {
    /// The web configuration file (`--web.config.file`), in exporter-toolkit's format: TLS,
    /// passwords, headers and a rate limit for everything that Sidewatch serves.
    #[derive(Debug)]
    pub(crate) struct WebConfiguration {
        /// TLS; without it everything is served as plain HTTP. A change within it is applied, but it
        /// can be neither added nor removed without a restart.
        tls_server_config: Option<TlsServer> = None;
        /// How requests are answered.
        http_server_config: HttpServer = HttpServer::default();
        /// Most requests in a time, over all clients.
        rate_limit: Option<RateLimitKeys> = None;
        /// Users and the bcrypt hashes of their passwords; without the key no password is needed.
        basic_auth_users: Users as UserMap = Users::default(), secret(), example("{alice: $2y$10$…}");
    }
}

section! {
    /// TLS. A certificate and its key are needed, each inline or in a file.
    #[derive(Debug)]
    struct TlsServer {
        /// The server's certificates, its own first, as PEM.
        cert: Option<Secret> = None;
        /// A file with the certificates, relative to this file; a new one is picked up.
        cert_file: Option<String> = None;
        /// The server's private key, as PEM.
        key: Option<Secret> = None, secret();
        /// A file with the key.
        key_file: Option<String> = None;
        /// Whether clients show certificates: `NoClientCert`, `RequestClientCert`,
        /// `RequireAnyClientCert`, `VerifyClientCertIfGiven` or `RequireAndVerifyClientCert`.
        client_auth_type: Option<ClientAuth> as Option<Parsed<ClientAuth>> = None,
            default_text("`NoClientCert`");
        /// The authorities of clients, as PEM.
        client_ca: Option<Secret> = None;
        /// A file with the authorities.
        client_ca_file: Option<String> = None;
        /// Names of which a client's certificate must have one.
        client_allowed_sans: Vec<String> = Vec::new();
        /// The oldest version that is spoken: `TLS12` or `TLS13`.
        min_version: Option<Version> as Option<Parsed<Version>> = None, default_text("`TLS12`");
        /// The newest version that is spoken: `TLS12` or `TLS13`.
        max_version: Option<Version> as Option<Parsed<Version>> = None, default_text("`TLS13`");
        /// Cipher suites of TLS 1.2, by their names in Go.
        cipher_suites: Vec<Suite> as Vec<Parsed<Suite>> = Vec::new(),
            default_text("all that are safe"), example("[TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]");
        /// Curves, by their names in Go.
        curve_preferences: Vec<Curve> as Vec<Parsed<Curve>> = Vec::new(),
            default_text("all that are safe"), example("[X25519, CurveP256]");
        /// Whether the server's order of cipher suites counts.
        prefer_server_cipher_suites: bool = true;
    }
}

section! {
    /// How requests are answered.
    #[derive(Debug)]
    struct HttpServer {
        /// Whether HTTP/2 is allowed; accepted for exporter-toolkit's sake. The server speaks
        /// HTTP/1.1 only.
        http2: bool = true;
        /// Headers of every answer; those that exporter-toolkit knows.
        headers: Headers as HeaderMap = Headers::default(), example("{X-Frame-Options: deny}");
    }
}

section! {
    /// Most requests in a time, over all clients.
    #[derive(Debug)]
    struct RateLimitKeys {
        /// Time in which one more request is allowed; 0 for no limit.
        interval: Duration = Duration::ZERO;
        /// Most requests at once; 1 or more when there is an interval.
        burst: u64 = 0;
    }
}

/// Reads a web configuration file and the certificates that it names, relative to its folder.
///
/// # Errors
/// Every problem, those of the certificates too.
pub(crate) fn load_web(path: &Path) -> Result<Web, Problems> {
    let file = path.display().to_string();
    let text = read(path)?;
    let base = path.parent().unwrap_or(Path::new(""));
    let mut web = read_web(&file, &text, base)?;
    web.files.insert(0, path.to_path_buf());
    Ok(web)
}

/// Reads the text of a web configuration file; relative files are below `base`.
///
/// # Errors
/// Every problem.
pub fn read_web(file: &str, text: &str, base: &Path) -> Result<Web, Problems> {
    let document = Document::parse(file, text)?;
    let reader = document.reader_in(ReadContext {
        base,
        env: &|_| None,
    });
    let root = reader.root();
    let mut web = Web::default();
    if let Some(keys) = WebConfiguration::read(&root, &Limits::NONE) {
        let http = keys.http_server_config;
        if let (Some(keys), Some(node)) = (keys.tls_server_config, root.peek("tls_server_config")) {
            web.tls = tls(keys, &node, &mut web.files);
        }
        web.headers = http.headers;
        web.users = keys.basic_auth_users;
        web.rate_limit = keys
            .rate_limit
            .and_then(|keys| rate_limit(&keys, &root.peek("rate_limit")?));
    }
    // An empty key would disable passwords, although the user meant to enable them.
    if root.peek("basic_auth_users").is_some() && !root.has("basic_auth_users") {
        root.problem_below("basic_auth_users", NO_USERS);
    }
    document.problems(reader.finish()).into_result(web)
}

const NO_USERS: &str = "names no user, so that no password would be needed; add NAME: BCRYPT_HASH, or remove the key to serve without passwords";

fn rate_limit(keys: &RateLimitKeys, node: &Node<'_>) -> Option<RateLimit> {
    if keys.interval.is_zero() {
        return None;
    }
    let burst = u32::try_from(keys.burst).unwrap_or(u32::MAX);
    if burst == 0 {
        node.problem_below(
            "burst",
            "must be 1 or more, since 0 lets no request through",
        );
        return None;
    }
    Some(RateLimit {
        interval: keys.interval,
        burst,
    })
}

fn tls(keys: TlsServer, node: &Node<'_>, files: &mut Vec<PathBuf>) -> Option<Acceptor> {
    let mut material = |key, inline, file| material(key, inline, file, node, files);
    let cert = material("cert", keys.cert, keys.cert_file);
    let key = material("key", keys.key, keys.key_file);
    let client_ca = material("client_ca", keys.client_ca, keys.client_ca_file);
    for name in ["cert", "key"] {
        let file = format!("{name}_file");
        if !node.has(name) && !node.has(&file) {
            node.problem(format!(
                "{file} is missing; remove tls_server_config to serve without TLS"
            ));
        }
    }
    let tls = Tls {
        cert: cert?,
        key: key?,
        client_auth: keys.client_auth_type.unwrap_or_default(),
        client_ca,
        allowed_sans: keys.client_allowed_sans,
        min_version: keys.min_version.unwrap_or(Version::V12),
        max_version: keys.max_version.unwrap_or(Version::V13),
        cipher_suites: keys
            .cipher_suites
            .into_iter()
            .map(|suite| suite.0)
            .collect(),
        curves: keys
            .curve_preferences
            .into_iter()
            .map(|curve| curve.0)
            .collect(),
        prefer_server_suites: keys.prefer_server_cipher_suites,
    };
    let report = |mistakes: Vec<(String, String)>| {
        for (key, message) in mistakes {
            node.problem_below(&key, message);
        }
    };
    Acceptor::new(&tls).map_err(report).ok()
}

/// The value of `key` or of the file under `key_file`; empty text counts as absent.
fn material(
    key: &str,
    inline: Option<Secret>,
    file: Option<String>,
    node: &Node<'_>,
    files: &mut Vec<PathBuf>,
) -> Option<Material> {
    let inline = inline.and_then(|secret| match secret {
        Secret::Inline(text) => Some(text).filter(|text| !text.is_empty()),
        Secret::File(_) => None,
    });
    let file = file.filter(|file| !file.is_empty());
    match (inline, file) {
        (Some(_), Some(_)) => {
            node.problem(format!("at most one of {key} and {key}_file may be set"));
            None
        }
        (Some(text), None) => Some(Material::Text(text)),
        (None, Some(file)) => {
            let path = node.base().join(file);
            files.push(path.clone());
            Some(Material::File(path))
        }
        (None, None) => None,
    }
}

/// A cipher suite of TLS 1.2.
#[derive(Debug)]
struct Suite(CipherSuite);

/// A group of the key exchange.
#[derive(Debug)]
struct Curve(KeyExchange);

/// A word of exporter-toolkit, parsed by the server.
trait Parse: Sized {
    fn parse(text: &str) -> Result<Self, String>;
}

impl Parse for ClientAuth {
    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

impl Parse for Version {
    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

impl Parse for Suite {
    fn parse(text: &str) -> Result<Self, String> {
        cipher_suite(text).map(Self)
    }
}

impl Parse for Curve {
    fn parse(text: &str) -> Result<Self, String> {
        curve(text).map(Self)
    }
}

/// A parsed word; empty text counts as absent.
struct Parsed<T>(std::marker::PhantomData<T>);

impl<T: Parse> Shape for Parsed<T> {
    type Value = T;

    fn kind() -> Kind {
        Kind::Scalar(&TEXT)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<T> {
        let text = node.text().filter(|text| !text.is_empty())?;
        let parsed = T::parse(&text);
        if let Err(message) = &parsed {
            if node.is_repeatable() || looks_like_constant(&text) {
                node.problem(message.as_str());
            } else {
                let hidden = message.replace(&format!("{text:?}"), &node.got());
                let is_hidden = !hidden.contains(&text);
                let unknown = || format!("is not known here, got {}", node.got());
                node.problem(Some(hidden).filter(|_| is_hidden).unwrap_or_else(unknown));
            }
        }
        parsed.ok()
    }
}

/// Whether a text looks like one of Go's constants, which no secret does.
fn looks_like_constant(text: &str) -> bool {
    let beginnings = [
        "TLS", "SSL", "Curve", "X25519", "No", "Request", "Require", "Verify",
    ];
    beginnings.iter().any(|start| text.starts_with(start))
}

/// `headers: {Name: value}`; a header with empty text is not sent.
struct HeaderMap;

impl Shape for HeaderMap {
    type Value = Headers;

    fn kind() -> Kind {
        Kind::Map(Box::new(Kind::Scalar(&TEXT)))
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Headers> {
        let mut headers = Headers::default();
        for (name, node) in node.entries()? {
            if node.peek_text().is_some_and(|text| text.is_empty()) {
                continue;
            }
            if let Some(value) = node.text()
                && let Err(message) = headers.insert(name, &value)
            {
                node.problem(message);
            }
        }
        Some(headers)
    }
}

/// `basic_auth_users: {name: hash}`.
struct UserMap;

impl Shape for UserMap {
    type Value = Users;

    fn kind() -> Kind {
        Kind::Map(Box::new(Kind::Scalar(&TEXT)))
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Users> {
        let mut users = Users::default();
        let entries = node.entries()?;
        if entries.is_empty() {
            node.problem(NO_USERS);
        }
        for (name, node) in entries {
            let hash = node.peek_text().unwrap_or_default();
            if let Err(message) = users.insert(name, &hash) {
                node.problem(message);
            }
        }
        Some(users)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{load_web, read_web};

    fn problems(text: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        let cert = params.self_signed(&key).unwrap();
        fs::write(dir.path().join("tls.crt"), cert.pem()).unwrap();
        fs::write(dir.path().join("tls.key"), key.serialize_pem()).unwrap();
        let other = rcgen::KeyPair::generate().unwrap();
        fs::write(dir.path().join("other.key"), other.serialize_pem()).unwrap();
        let path = dir.path().join("web.yml");
        fs::write(&path, text).unwrap();
        let Err(problems) = load_web(&path) else {
            return Vec::new();
        };
        let folder = format!("{}/", dir.path().display());
        let text = problems.to_string().replace(&folder, "");
        text.lines().map(str::to_owned).collect()
    }

    const HASH: &str = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

    #[test]
    fn everything_that_exporter_toolkit_knows_is_read() {
        let text = format!(
            "tls_server_config:
  cert_file: tls.crt
  key_file: tls.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: tls.crt
  client_allowed_sans: [prom.test]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: true
  curve_preferences: [X25519, CurveP256]
http_server_config:
  http2: true
  headers:
    Strict-Transport-Security: max-age=31536000
    X-Frame-Options: deny
rate_limit: {{interval: 1s, burst: 20}}
basic_auth_users:
  alice: {HASH}
"
        );
        assert_eq!(problems(&text), Vec::<String>::new());
    }

    #[test]
    fn every_mistake_is_reported_at_once_with_its_line() {
        let text = "tls_server_config:
  cert_file: tls.crt
  key_file: tls.key
  client_auth_type: Always
  min_version: TLS11
  cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]
  curve_preferences: [CurveP521]
http_server_config:
  headers:
    X-Frame-Options: allow
    Access-Control-Allow-Origin: '*'
rate_limit: {interval: 1s}
basic_auth_users: {alice: hunter2}
basic_auth: {}
";
        let found = problems(text);
        let starts = [
            "web.yml:4: tls_server_config.client_auth_type: must be one of NoClientCert, ",
            "web.yml:5: tls_server_config.min_version: TLS11 is not there: rustls has no version below TLS 1.2",
            "web.yml:6: tls_server_config.cipher_suites[0]: rustls has no TLS_RSA_WITH_AES_128_CBC_SHA",
            "web.yml:7: tls_server_config.curve_preferences[0]: CurveP521 is not there",
            "web.yml:10: http_server_config.headers.X-Frame-Options: must be deny or sameorigin, got \"allow\"",
            "web.yml:11: http_server_config.headers.Access-Control-Allow-Origin: only these headers",
            "web.yml:12: rate_limit.burst: must be 1 or more",
            "web.yml:13: basic_auth_users.alice: must be a bcrypt hash such as",
            "web.yml:14: basic_auth: unknown key",
        ];
        assert_eq!(found.len(), starts.len(), "{found:#?}");
        for (line, start) in found.iter().zip(starts) {
            assert!(line.starts_with(start), "{line}\n{start}");
            assert!(!line.contains("hunter2"), "{line}");
        }
    }

    #[test]
    fn certificates_are_checked_with_the_file() {
        let both = |rest: &str| {
            problems(&format!(
                "tls_server_config:\n  cert_file: tls.crt\n  key_file: {rest}\n"
            ))
        };
        for (rest, expected) in [
            (
                "gone.key",
                "web.yml:3: tls_server_config.key_file: cannot read gone.key: ",
            ),
            (
                "other.key",
                "web.yml:3: tls_server_config.key_file: does not fit cert_file: ",
            ),
            (
                "tls.crt",
                "web.yml:3: tls_server_config.key_file: has no private key in it",
            ),
            (
                "tls.key\n  client_ca_file: tls.crt",
                "web.yml:4: tls_server_config.client_ca_file: is not used without client_auth_type",
            ),
            (
                "tls.key\n  client_auth_type: RequireAndVerifyClientCert",
                "web.yml:4: tls_server_config.client_auth_type: needs client_ca_file",
            ),
            (
                "tls.key\n  client_allowed_sans: [a]",
                "web.yml:4: tls_server_config.client_allowed_sans: needs client_auth_type",
            ),
            (
                "tls.key\n  min_version: TLS13\n  max_version: TLS12",
                "web.yml:4: tls_server_config.min_version: must not be newer than max_version",
            ),
        ] {
            let found = both(rest);
            assert_eq!(found.len(), 1, "{found:#?}");
            assert!(found[0].starts_with(expected), "{}\n{expected}", found[0]);
        }
    }

    #[test]
    fn an_empty_list_of_users_is_refused() {
        for text in ["basic_auth_users:\n", "basic_auth_users: {}\n"] {
            let found = problems(text);
            assert!(found[0].contains("names no user"), "{found:?}");
        }
        assert_eq!(problems("{}\n"), Vec::<String>::new());
        let half = problems("tls_server_config: {cert_file: tls.crt}\n");
        assert!(half[0].contains("key_file is missing"), "{half:?}");
    }

    #[test]
    fn secrets_do_not_show() {
        let text = format!("basic_auth_users: {{alice: {HASH}}}\n");
        let web = read_web("web.yml", &text, Path::new("")).unwrap();
        let shown = format!("{web:?}");
        assert!(
            !shown.contains("QOauh") && !shown.contains("alice"),
            "{shown}"
        );
    }
}
