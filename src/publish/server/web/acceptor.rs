//! TLS settings with their certificates, ready for connections.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::NoServerSessionStorage;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::client::{not_after, verifier};
use super::{Material, Tls, Version};

/// The key of `tls_server_config` that a mistake is about, and the mistake.
type Mistake = (String, String);

/// TLS settings with their certificates; equal when settings and certificates are.
#[derive(Clone)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    digest: [u8; 32],
    not_after: Option<i64>,
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor")
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Acceptor {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Acceptor {}

impl Acceptor {
    /// Reads the certificates and checks everything.
    ///
    /// # Errors
    /// Every mistake, with the key of `tls_server_config` that it is about.
    pub fn new(tls: &Tls) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = check(tls);
        let mut hash = Sha256::new();
        hash.update(format!("{tls:?}"));
        let mut read = |material: &Material| {
            let pem = material.read()?;
            hash.update(pem.len().to_le_bytes());
            hash.update(&pem);
            Ok(pem)
        };
        let chain = read(&tls.cert).and_then(|pem| certificates(&pem));
        let key = read(&tls.key).and_then(|pem| private_key(&pem));
        let roots = match &tls.client_ca {
            Some(material) => read(material).and_then(|pem| roots(&pem)),
            None => Ok(RootCertStore::empty()),
        };
        let chain = keep(chain, tls.cert.key("cert"), &mut mistakes);
        let key = keep(key, tls.key.key("key"), &mut mistakes);
        let roots = keep(roots, tls.client_ca_key(), &mut mistakes);
        let (Some(chain), Some(key), Some(roots), true) = (chain, key, roots, mistakes.is_empty())
        else {
            return Err(mistakes);
        };
        let not_after = chain.first().and_then(not_after);
        let config = server_config(tls, chain, key, roots).map_err(|mistake| vec![mistake])?;
        Ok(Self {
            config: Arc::new(config),
            digest: hash.finalize().into(),
            not_after,
        })
    }

    /// When the server's certificate expires, in Unix seconds.
    #[must_use]
    pub fn not_after(&self) -> Option<i64> {
        self.not_after
    }

    /// The acceptor for connections.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

fn keep<T>(part: Result<T, String>, key: String, mistakes: &mut Vec<Mistake>) -> Option<T> {
    part.map_err(|message| mistakes.push((key, message))).ok()
}

/// What is wrong before any file is read.
fn check(tls: &Tls) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut require = |holds: bool, key: &str, message: &str| {
        if !holds {
            mistakes.push((key.to_owned(), message.to_owned()));
        }
    };
    let verifies = tls.client_auth.verifies();
    require(
        tls.min_version <= tls.max_version,
        "min_version",
        "must not be newer than max_version",
    );
    require(
        !verifies || tls.client_ca.is_some(),
        "client_auth_type",
        "needs client_ca_file, the authorities that sign the certificates of clients",
    );
    require(
        verifies || tls.client_ca.is_none(),
        &tls.client_ca_key(),
        "is not used without client_auth_type: RequireAndVerifyClientCert or VerifyClientCertIfGiven",
    );
    require(
        verifies || tls.allowed_sans.is_empty(),
        "client_allowed_sans",
        "needs client_auth_type: RequireAndVerifyClientCert or VerifyClientCertIfGiven, since an unverified certificate can carry any name",
    );
    let only_12 = (tls.min_version, tls.max_version) == (Version::V12, Version::V12);
    require(
        !only_12 || tls.suites().iter().any(|suite| suite.tls13().is_none()),
        "cipher_suites",
        "has no suite for TLS 1.2, which max_version asks for",
    );
    mistakes
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| format!("is not PEM: {error}"))?;
    if found.is_empty() {
        return Err("has no certificate in it; PEM is expected".to_owned());
    }
    Ok(found)
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| "has no private key in it; PEM without a passphrase is expected".to_owned())
}

fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        let added = roots.add(certificate);
        added.map_err(|error| format!("is no authority: {error}"))?;
    }
    Ok(roots)
}

fn server_config(
    tls: &Tls,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: RootCertStore,
) -> Result<ServerConfig, Mistake> {
    let mut provider = CryptoProvider {
        cipher_suites: tls.suites(),
        ..default_provider()
    };
    if !tls.curves.is_empty() {
        provider.kx_groups.clone_from(&tls.curves);
    }
    let provider = Arc::new(provider);
    let verifier = verifier(tls.client_auth, roots, &tls.allowed_sans, &provider)
        .map_err(|message| (tls.client_ca_key(), message))?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&tls.versions())
        .map_err(|error| ("cipher_suites".to_owned(), error.to_string()))?;
    let verifies = verifier.is_some();
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        let message = format!("does not fit {}: {error}", tls.cert.key("cert"));
        (tls.key.key("key"), message)
    })?;
    config.ignore_client_order = tls.prefer_server_suites;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if verifies {
        // A resumed session is not verified again, and a certificate may have expired meanwhile.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}
