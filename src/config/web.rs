//! The web configuration file, in exporter-toolkit's format → [`Web`].

use std::path::{Path, PathBuf};

use super::text::read;
use super::problem::Problems;
use super::yaml::Document;
use crate::describe::{Fields, Node, Value};
use crate::publish::web::{
    Acceptor, ClientAuth, Field, Headers, Material, RateLimit, Tls, Users, Version, Web,
    cipher_suite, curve,
};

/// Reads a web configuration file and the certificates that it names, relative to its folder.
///
/// # Errors
/// Every problem, those of the certificates too.
pub fn load_web(path: &Path) -> Result<Web, Problems> {
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
    let reader = document.reader();
    let mut web = Web {
        tls: None,
        users: Users::default(),
        headers: Headers::default(),
        rate_limit: None,
        files: Vec::new(),
    };
    if let Some(mut fields) = reader.root().fields() {
        let mut http2 = true;
        if let Some(node) = fields.get("http_server_config") {
            http2 = http(&node, &mut web.headers);
        }
        if let Some(node) = fields.get("tls_server_config") {
            web.tls = tls(&node, base, http2, &mut web.files);
        }
        web.rate_limit = fields.get("rate_limit").and_then(|node| rate_limit(&node));
        // An empty list of users would let everybody in, which nobody writes it for.
        fields.get("basic_auth_users");
        if let Some(node) = reader.root().peek("basic_auth_users") {
            web.users = users(&node);
        }
        fields.finish();
    }
    document.problems(reader.finish()).into_result(web)
}

fn http(node: &Node<'_>, headers: &mut Headers) -> bool {
    let Some(mut fields) = node.fields() else {
        return true;
    };
    let http2 = fields.boolean("http2").unwrap_or(true);
    if let Some(node) = fields.get("headers") {
        for (name, node) in node.entries().unwrap_or_default() {
            // Nothing behind the name means that the header is not sent.
            if node.peek_text().is_some_and(|text| text.is_empty()) {
                continue;
            }
            if let Some(value) = node.text()
                && let Err(message) = headers.insert(name, &value)
            {
                node.problem(message);
            }
        }
    }
    fields.finish();
    http2
}

fn rate_limit(node: &Node<'_>) -> Option<RateLimit> {
    let mut fields = node.fields()?;
    let interval = fields.duration("interval").unwrap_or_default();
    let burst = fields.count("burst");
    let here = fields.node().clone();
    fields.finish();
    if interval.is_zero() {
        return None;
    }
    let burst = burst.unwrap_or(0);
    let burst = u32::try_from(burst).unwrap_or(u32::MAX);
    if burst == 0 {
        here.problem_below(
            "burst",
            "must be 1 or more, since 0 lets no request through",
        );
        return None;
    }
    Some(RateLimit { interval, burst })
}

fn users(node: &Node<'_>) -> Users {
    let mut users = Users::default();
    let entries = if *node.value() == Value::Null {
        Vec::new()
    } else {
        let Some(entries) = node.entries() else {
            return users;
        };
        entries
    };
    if entries.is_empty() {
        node.problem("names nobody, so that everybody could ask; add NAME: BCRYPT_HASH, or remove the key to serve without passwords");
    }
    for (name, node) in entries {
        let hash = node.peek_text().unwrap_or_default();
        if let Err(message) = users.insert(name, &hash) {
            node.problem(message);
        }
    }
    users
}

fn tls(node: &Node<'_>, base: &Path, http2: bool, files: &mut Vec<PathBuf>) -> Option<Acceptor> {
    let mut fields = node.fields()?;
    let cert = material(&mut fields, "cert", "cert_file", base, files);
    let key = material(&mut fields, "key", "key_file", base, files);
    let client_ca = material(&mut fields, "client_ca", "client_ca_file", base, files);
    let client_auth = word(&mut fields, "client_auth_type", ClientAuth::parse);
    let min_version = word(&mut fields, "min_version", Version::parse);
    let max_version = word(&mut fields, "max_version", Version::parse);
    let allowed_sans = fields.texts("client_allowed_sans");
    let cipher_suites = words(&mut fields, "cipher_suites", cipher_suite);
    let curves = words(&mut fields, "curve_preferences", curve);
    let prefer_server_suites = fields
        .boolean("prefer_server_cipher_suites")
        .unwrap_or(true);
    for (found, one, other) in [(&cert, "cert", "cert_file"), (&key, "key", "key_file")] {
        if found.is_none() && fields.get(one).is_none() && fields.get(other).is_none() {
            let message =
                format!("{other} is missing; remove tls_server_config to serve without TLS");
            fields.node().problem(message);
        }
    }
    let place = fields.node().clone();
    fields.finish();
    let tls = Tls {
        cert: cert?,
        key: key?,
        client_auth: client_auth.unwrap_or_default(),
        client_ca,
        allowed_sans,
        min_version: min_version.unwrap_or(Version::V12),
        max_version: max_version.unwrap_or(Version::V13),
        cipher_suites,
        curves,
        prefer_server_suites,
        http2,
    };
    let built = Acceptor::new(&tls);
    let report = |wrong: Vec<(Field, String)>| {
        for (field, message) in wrong {
            place.problem_below(key_of(field, &tls), message);
        }
    };
    built.map_err(report).ok()
}

/// The key that a mistake is about, as it is written.
fn key_of(field: Field, tls: &Tls) -> &'static str {
    let written = |material: &Material, text: &'static str, file: &'static str| match material {
        Material::Text(_) => text,
        Material::File(_) => file,
    };
    match field {
        Field::Cert => written(&tls.cert, "cert", "cert_file"),
        Field::Key => written(&tls.key, "key", "key_file"),
        Field::ClientCa => match &tls.client_ca {
            Some(ca) => written(ca, "client_ca", "client_ca_file"),
            None => "client_ca_file",
        },
        Field::ClientAuth => "client_auth_type",
        Field::Sans => "client_allowed_sans",
        Field::CipherSuites => "cipher_suites",
        Field::Curves => "curve_preferences",
        Field::MinVersion => "min_version",
    }
}

fn material(
    fields: &mut Fields<'_>,
    text: &'static str,
    file: &'static str,
    base: &Path,
    files: &mut Vec<PathBuf>,
) -> Option<Material> {
    let written = fields.text(text).filter(|text| !text.is_empty());
    let named = fields.text(file).filter(|path| !path.is_empty());
    match (written, named) {
        (Some(_), Some(_)) => {
            let message = format!("at most one of {text} and {file} may be set");
            fields.node().problem(message);
            None
        }
        (Some(text), None) => Some(Material::Text(text)),
        (None, Some(path)) => {
            let path = base.join(path);
            files.push(path.clone());
            Some(Material::File(path))
        }
        (None, None) => None,
    }
}

fn word<T>(
    fields: &mut Fields<'_>,
    key: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let node = fields.get(key)?;
    let text = node.text().filter(|text| !text.is_empty())?;
    parse(&text).map_err(|message| node.problem(message)).ok()
}

fn words<T>(
    fields: &mut Fields<'_>,
    key: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let nodes = fields.list(key);
    let parsed = nodes.iter().filter_map(|node| {
        let text = node.text()?;
        parse(&text).map_err(|message| node.problem(message)).ok()
    });
    parsed.collect()
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
    fn every_mistake_is_told_at_once_with_its_line() {
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
    fn what_would_let_everybody_in_by_accident_is_refused() {
        for text in ["basic_auth_users:\n", "basic_auth_users: {}\n"] {
            let found = problems(text);
            assert!(found[0].contains("names nobody"), "{found:?}");
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
