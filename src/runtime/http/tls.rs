//! Builds a connection pool with certificates, TLS versions and a proxy.

use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderMap;
use reqwest::{Certificate, ClientBuilder, Identity, NoProxy, redirect, tls};
use sha2::{Digest, Sha256};

use super::auth::add_headers;
use super::error::{Error, Kind};
use super::secret::Secret;
use super::settings::{Proxy, Settings, Tls, TlsVersion};

/// The contents of the files that a pool is built from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct PoolFiles {
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
    proxy: Option<String>,
    connect_headers: HeaderMap,
}

impl PoolFiles {
    /// Reads every file of `settings`.
    pub(super) async fn read(settings: &Settings, url: &str) -> Result<Self, Error> {
        let mut files = Self {
            ca: read(settings.tls.ca.as_ref(), url).await?,
            cert: read(settings.tls.cert.as_ref(), url).await?,
            key: read(settings.tls.key.as_ref(), url).await?,
            ..Self::default()
        };
        if let Proxy::Url {
            url: proxy,
            connect_headers,
            ..
        } = &settings.proxy
        {
            files.proxy = Some(proxy.read(url).await?);
            add_headers(&mut files.connect_headers, connect_headers, url).await?;
        }
        Ok(files)
    }

    /// A digest that changes with any of the contents.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [&self.ca, &self.cert, &self.key, &self.proxy] {
            hash.update([u8::from(part.is_some())]);
            let text = part.as_deref().unwrap_or("");
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        }
        for (name, value) in &self.connect_headers {
            hash.update(name.as_str());
            hash.update([0]);
            hash.update(value.as_bytes());
            hash.update([0]);
        }
        hash.finalize().into()
    }
}

async fn read(secret: Option<&Secret>, url: &str) -> Result<Option<String>, Error> {
    match secret {
        Some(secret) => secret.read(url).await.map(Some),
        None => Ok(None),
    }
}

/// A pool of connections for these settings.
pub(super) fn build(
    settings: &Settings,
    files: &PoolFiles,
    url: &str,
) -> Result<reqwest::Client, Error> {
    let mut builder = reqwest::Client::builder()
        .use_rustls_tls()
        .redirect(redirect::Policy::none())
        .pool_idle_timeout(Duration::from_secs(300))
        .tcp_nodelay(true)
        .referer(false);
    if !settings.enable_http2 {
        builder = builder.http1_only();
    }
    builder = with_tls(builder, &settings.tls, files, url)?;
    builder = with_proxy(builder, settings, files, url)?;
    if let Some(name) = &settings.tls.server_name {
        builder = with_server_name(builder, name, url)?;
    }
    builder.build().map_err(|error| {
        let detail = format!("tls_config: {}", Error::from_reqwest(&error, url));
        Error::new(Kind::Credentials, url, detail)
    })
}

fn with_tls(
    mut builder: ClientBuilder,
    config: &Tls,
    files: &PoolFiles,
    url: &str,
) -> Result<ClientBuilder, Error> {
    let bad = |what: &str| Error::new(Kind::Credentials, url, what);
    if let Some(ca) = &files.ca {
        let authorities = Certificate::from_pem_bundle(ca.as_bytes())
            .map_err(|_| bad("tls_config.ca: not a PEM bundle of certificates"))?;
        if authorities.is_empty() {
            return Err(bad("tls_config.ca: contains no certificate"));
        }
        builder = builder.tls_built_in_root_certs(false);
        for authority in authorities {
            builder = builder.add_root_certificate(authority);
        }
    }
    match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            let pem = format!("{key}\n{cert}\n");
            let identity = Identity::from_pem(pem.as_bytes())
                .map_err(|_| bad("tls_config.cert and key: not a PEM certificate and its key"))?;
            builder = builder.identity(identity);
        }
        (None, None) => {}
        _ => return Err(bad("tls_config: cert needs key, and key needs cert")),
    }
    if let Some(version) = config.min_version {
        builder = builder.min_tls_version(version_of(version));
    }
    if let Some(version) = config.max_version {
        builder = builder.max_tls_version(version_of(version));
    }
    Ok(builder.danger_accept_invalid_certs(config.insecure_skip_verify))
}

fn version_of(version: TlsVersion) -> tls::Version {
    match version {
        TlsVersion::V12 => tls::Version::TLS_1_2,
        TlsVersion::V13 => tls::Version::TLS_1_3,
    }
}

fn with_proxy(
    builder: ClientBuilder,
    settings: &Settings,
    files: &PoolFiles,
    url: &str,
) -> Result<ClientBuilder, Error> {
    let Proxy::Url { no_proxy, .. } = &settings.proxy else {
        let direct = settings.proxy == Proxy::None;
        return Ok(if direct { builder.no_proxy() } else { builder });
    };
    if settings.tls.server_name.is_some() {
        let detail = "tls_config.server_name cannot be combined with proxy_url";
        return Err(Error::new(Kind::Request, url, detail));
    }
    let address = files.proxy.as_deref().unwrap_or("");
    let proxy = reqwest::Proxy::all(address)
        .map_err(|_| Error::new(Kind::Request, url, "proxy_url: not a URL"))?
        .no_proxy(NoProxy::from_string(no_proxy))
        .headers(files.connect_headers.clone());
    Ok(builder.no_proxy().proxy(proxy))
}

/// Resolves `name` to the host of the URL. Requests for `name` then use it for SNI and for the
/// certificate check.
fn with_server_name(builder: ClientBuilder, name: &str, url: &str) -> Result<ClientBuilder, Error> {
    let host = reqwest::Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .ok_or_else(|| Error::new(Kind::Request, url, "not a URL with a host"))?;
    let host = host.trim_matches(['[', ']']).to_owned();
    Ok(builder.dns_resolver(Arc::new(Alias {
        name: name.to_owned(),
        host,
    })))
}

/// Resolves one name as another.
struct Alias {
    name: String,
    host: String,
}

impl Resolve for Alias {
    fn resolve(&self, name: Name) -> Resolving {
        let host = if name.as_str() == self.name {
            self.host.clone()
        } else {
            name.as_str().to_owned()
        };
        Box::pin(async move {
            let found = tokio::task::spawn_blocking(move || (host.as_str(), 0).to_socket_addrs());
            let addresses: Addrs = Box::new(found.await??);
            Ok(addresses)
        })
    }
}
