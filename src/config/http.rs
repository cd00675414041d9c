//! The keys of Prometheus' `http_config` → [`http::Settings`].

use std::path::{Path, PathBuf};

use super::problem::Problems;
use super::read::{Fields, Node, Reader};
use super::yaml::Document;
use crate::runtime::http::{Auth, Header, OAuth2, Proxy, Secret, Settings, Tls, TlsVersion};

/// Headers that the client sets itself.
const RESERVED: [&str; 8] = [
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
];

/// Reads a file whose keys are those of http_config, as `promtool --http.config.file` takes it; relative files are beside it.
///
/// # Errors
/// Every problem of the file.
pub fn http_client_settings(path: &Path) -> Result<Settings, Problems> {
    let file = path.display().to_string();
    let text = super::load::read(path)?;
    let document = Document::parse(&file, &text)?;
    let reader = Reader::new(&document);
    let settings = reader.root().fields().map(|mut fields| {
        let settings = read_http(&mut fields, path.parent().unwrap_or(Path::new("")));
        fields.finish();
        settings
    });
    reader.finish().into_result(settings.unwrap_or_default())
}

/// Reads the http_config keys that stand among the other keys of a section; relative files are below `base`.
pub(super) fn read_http(fields: &mut Fields<'_>, base: &Path) -> Settings {
    let default = Settings::default();
    Settings {
        auth: auth(fields, base),
        tls: fields
            .get("tls_config")
            .map(|node| tls(&node, base))
            .unwrap_or_default(),
        proxy: proxy(fields, base),
        follow_redirects: fields
            .boolean("follow_redirects")
            .unwrap_or(default.follow_redirects),
        enable_http2: fields
            .boolean("enable_http2")
            .unwrap_or(default.enable_http2),
        headers: fields
            .get("http_headers")
            .map(|node| headers(&node, base))
            .unwrap_or_default(),
    }
}

fn auth(fields: &mut Fields<'_>, base: &Path) -> Auth {
    let basic = fields.get("basic_auth");
    let authorization = fields.get("authorization");
    let oauth2 = fields.get("oauth2");
    let bearer = secret(fields, "bearer_token", "bearer_token_file", base);
    let given = [
        basic.is_some(),
        authorization.is_some(),
        oauth2.is_some(),
        bearer.is_some(),
    ];
    if given.iter().filter(|given| **given).count() > 1 {
        fields.node().problem(
            "at most one of basic_auth, authorization, oauth2 and bearer_token may be set",
        );
    }
    if let Some(node) = basic {
        return basic_auth(&node, base).unwrap_or_default();
    }
    if let Some(node) = authorization {
        return scheme(&node, base).unwrap_or_default();
    }
    if let Some(node) = oauth2 {
        return oauth(&node, base).unwrap_or_default();
    }
    bearer.map_or(Auth::None, |credentials| Auth::Authorization {
        scheme: "Bearer".to_owned(),
        credentials,
    })
}

fn basic_auth(node: &Node<'_>, base: &Path) -> Option<Auth> {
    let mut fields = node.fields()?;
    let username = secret(&mut fields, "username", "username_file", base);
    let password = secret(&mut fields, "password", "password_file", base);
    fields.finish();
    Some(Auth::Basic {
        username: username.unwrap_or_default(),
        password: password.unwrap_or_default(),
    })
}

fn scheme(node: &Node<'_>, base: &Path) -> Option<Auth> {
    let mut fields = node.fields()?;
    let scheme = fields.text("type").unwrap_or_else(|| "Bearer".to_owned());
    if scheme.trim().eq_ignore_ascii_case("basic") {
        node.problem_below("type", "must not be basic; use basic_auth instead");
    }
    let credentials = secret(&mut fields, "credentials", "credentials_file", base);
    fields.finish();
    Some(Auth::Authorization {
        scheme,
        credentials: credentials.unwrap_or_default(),
    })
}

fn oauth(node: &Node<'_>, base: &Path) -> Option<Auth> {
    let mut fields = node.fields()?;
    let client_id = fields.required("client_id").and_then(|node| node.text());
    let client_secret = secret(&mut fields, "client_secret", "client_secret_file", base);
    let token_url = fields.required("token_url").and_then(|node| node.text());
    let scopes = fields.texts("scopes");
    let params = fields
        .get("endpoint_params")
        .and_then(|node| node.text_map());
    let tls = fields
        .get("tls_config")
        .map(|node| tls(&node, base))
        .unwrap_or_default();
    let proxy = proxy(&mut fields, base);
    if let Some(node) = fields.get("grant_type")
        && node
            .text()
            .is_some_and(|grant| grant != "client_credentials")
    {
        node.problem("only client_credentials is supported");
    }
    fields.finish();
    Some(Auth::OAuth2(Box::new(OAuth2 {
        client_id: client_id?,
        client_secret: client_secret.unwrap_or_default(),
        token_url: token_url?,
        scopes,
        endpoint_params: params.unwrap_or_default(),
        tls,
        proxy,
    })))
}

fn tls(node: &Node<'_>, base: &Path) -> Tls {
    let Some(mut fields) = node.fields() else {
        return Tls::default();
    };
    let tls = Tls {
        ca: secret(&mut fields, "ca", "ca_file", base),
        cert: secret(&mut fields, "cert", "cert_file", base),
        key: secret(&mut fields, "key", "key_file", base),
        server_name: fields.text("server_name"),
        insecure_skip_verify: fields.boolean("insecure_skip_verify").unwrap_or(false),
        min_version: fields.get("min_version").and_then(|node| version(&node)),
        max_version: fields.get("max_version").and_then(|node| version(&node)),
    };
    if tls.cert.is_some() != tls.key.is_some() {
        node.problem("cert and key belong together; set both or neither");
    }
    fields.finish();
    tls
}

fn version(node: &Node<'_>) -> Option<TlsVersion> {
    match node.text()?.as_str() {
        "TLS12" => Some(TlsVersion::V12),
        "TLS13" => Some(TlsVersion::V13),
        other => {
            node.problem(format!(
                "must be TLS12 or TLS13, got {other:?}; older versions are not spoken"
            ));
            None
        }
    }
}

fn proxy(fields: &mut Fields<'_>, base: &Path) -> Proxy {
    let url = fields.text("proxy_url");
    let no_proxy = fields.text("no_proxy").unwrap_or_default();
    let from_environment = fields.boolean("proxy_from_environment").unwrap_or(false);
    let connect = fields
        .get("proxy_connect_header")
        .map(|node| connect_headers(&node, base));
    match url {
        Some(_) if from_environment => {
            fields
                .node()
                .problem("proxy_url and proxy_from_environment exclude each other");
            Proxy::None
        }
        Some(url) => Proxy::Url {
            url: url.as_str().into(),
            no_proxy,
            connect_headers: connect.unwrap_or_default(),
        },
        None if from_environment => Proxy::Environment,
        None => Proxy::None,
    }
}

/// `proxy_connect_header: {Name: [value, …]}`.
fn connect_headers(node: &Node<'_>, _base: &Path) -> Vec<Header> {
    let entries = node.entries().unwrap_or_default().into_iter();
    entries
        .map(|(name, node)| Header {
            name: name.to_owned(),
            values: node
                .list()
                .unwrap_or_default()
                .iter()
                .filter_map(|node| node.text().map(|text| text.as_str().into()))
                .collect(),
        })
        .collect()
}

/// `http_headers: {Name: {values: [], secrets: [], files: []}}`.
fn headers(node: &Node<'_>, base: &Path) -> Vec<Header> {
    let mut headers = Vec::new();
    for (name, node) in node.entries().unwrap_or_default() {
        if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
            node.problem("this header is set by sidewatch itself; remove it");
        }
        let Some(mut fields) = node.fields() else {
            continue;
        };
        let inline = fields
            .texts("values")
            .into_iter()
            .chain(fields.texts("secrets"));
        let mut values: Vec<Secret> = inline.map(|text| text.as_str().into()).collect();
        values.extend(
            fields
                .texts("files")
                .iter()
                .map(|file| Secret::File(below(base, file))),
        );
        fields.finish();
        headers.push(Header {
            name: name.to_owned(),
            values,
        });
    }
    headers
}

/// A secret that is written here or stands in a file, never both.
fn secret(
    fields: &mut Fields<'_>,
    inline: &'static str,
    file: &'static str,
    base: &Path,
) -> Option<Secret> {
    let here = fields.text(inline);
    let there = fields.text(file);
    if here.is_some() && there.is_some() {
        fields
            .node()
            .problem(format!("{inline} and {file} exclude each other"));
    }
    here.map(|text| text.as_str().into())
        .or_else(|| Some(Secret::File(below(base, &there?))))
}

fn below(base: &Path, file: &str) -> PathBuf {
    base.join(file)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::read_http;
    use crate::config::read::Reader;
    use crate::config::yaml::Document;
    use crate::runtime::http::{Auth, Secret, Settings};

    fn read(text: &str) -> Result<Settings, String> {
        let document = Document::parse("c.yaml", text).unwrap();
        let reader = Reader::new(&document);
        let mut fields = reader.root().fields().unwrap();
        let settings = read_http(&mut fields, Path::new("/etc/sidewatch"));
        fields.finish();
        reader
            .finish()
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
}
