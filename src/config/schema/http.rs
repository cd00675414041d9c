//! The keys of Prometheus' `http_config`.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::scalars::{Text, Texts};

/// How a server is reached.
#[derive(JsonSchema)]
pub(super) struct Http {
    /// Basic authentication.
    basic_auth: Option<BasicAuth>,
    /// Any other Authorization header.
    authorization: Option<Authorization>,
    /// OAuth 2.0, client credentials.
    oauth2: Option<OAuth2>,
    /// A token; better in a file.
    bearer_token: Option<Text>,
    bearer_token_file: Option<Text>,
    tls_config: Option<Tls>,
    proxy_url: Option<Text>,
    /// Hosts that are reached without the proxy, with commas between them.
    no_proxy: Option<Text>,
    proxy_from_environment: Option<bool>,
    proxy_connect_header: Option<BTreeMap<String, Vec<Text>>>,
    /// True by default.
    follow_redirects: Option<bool>,
    /// True by default.
    enable_http2: Option<bool>,
    /// Further headers by name.
    http_headers: Option<BTreeMap<String, Header>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct BasicAuth {
    username: Option<Text>,
    username_file: Option<Text>,
    password: Option<Text>,
    /// Read again for every request.
    password_file: Option<Text>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Authorization {
    /// Bearer by default.
    r#type: Option<Text>,
    credentials: Option<Text>,
    /// Read again for every request.
    credentials_file: Option<Text>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct OAuth2 {
    client_id: Text,
    client_secret: Option<Text>,
    client_secret_file: Option<Text>,
    token_url: Text,
    scopes: Option<Vec<Text>>,
    endpoint_params: Option<Texts>,
    tls_config: Option<Tls>,
    proxy_url: Option<Text>,
    no_proxy: Option<Text>,
    proxy_from_environment: Option<bool>,
    proxy_connect_header: Option<BTreeMap<String, Vec<Text>>>,
    grant_type: Option<Grant>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Grant {
    ClientCredentials,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Tls {
    /// PEM of the authority.
    ca: Option<Text>,
    ca_file: Option<Text>,
    /// PEM of the client's certificate.
    cert: Option<Text>,
    cert_file: Option<Text>,
    key: Option<Text>,
    key_file: Option<Text>,
    server_name: Option<Text>,
    insecure_skip_verify: Option<bool>,
    min_version: Option<TlsVersion>,
    max_version: Option<TlsVersion>,
}

#[derive(JsonSchema)]
enum TlsVersion {
    #[schemars(rename = "TLS12")]
    V12,
    #[schemars(rename = "TLS13")]
    V13,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Header {
    values: Option<Vec<Text>>,
    secrets: Option<Vec<Text>>,
    files: Option<Vec<Text>>,
}
