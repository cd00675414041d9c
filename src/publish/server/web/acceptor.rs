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
use super::{Field, Material, Tls, Version};

/// A mistake, and the key that it is about.
type Mistake = (Field, String);

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
    /// Every mistake with the key that it is about.
    pub fn new(tls: &Tls) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = check(tls);
        let mut hash = Sha256::new();
        hash.update(format!("{tls:?}"));
        let mut read = |field: Field, material: &Material| {
            let bytes = material.read().map_err(|message| (field, message))?;
            hash.update(bytes.len().to_le_bytes());
            hash.update(&bytes);
            Ok(bytes)
        };
        let chain = read(Field::Cert, &tls.cert).and_then(|pem| certificates(&pem, Field::Cert));
        let key = read(Field::Key, &tls.key).and_then(|pem| key(&pem));
        let roots = match &tls.client_ca {
            Some(ca) => read(Field::ClientCa, ca).and_then(|pem| roots(&pem)),
            None => Ok(RootCertStore::empty()),
        };
        let mut take = |mistake: Mistake| mistakes.push(mistake);
        let parts = (
            chain.map_err(&mut take),
            key.map_err(&mut take),
            roots.map_err(&mut take),
        );
        let (Ok(chain), Ok(key), Ok(roots)) = parts else {
            return Err(mistakes);
        };
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
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

/// What is wrong before any file is read.
fn check(tls: &Tls) -> Vec<Mistake> {
    let verifies = tls.client_auth.verifies();
    let max_is_12 = tls.max_version == Version::V12;
    let has_suite_of_12 = tls.suites().iter().any(|suite| suite.tls13().is_none());
    let rules = [
        (
            tls.min_version > tls.max_version,
            Field::MinVersion,
            "must not be newer than max_version",
        ),
        (
            verifies && tls.client_ca.is_none(),
            Field::ClientAuth,
            "needs client_ca_file, the authorities that sign the certificates of clients",
        ),
        (
            !verifies && tls.client_ca.is_some(),
            Field::ClientCa,
            "is not used without client_auth_type: RequireAndVerifyClientCert or VerifyClientCertIfGiven",
        ),
        (
            !verifies && !tls.allowed_sans.is_empty(),
            Field::Sans,
            "needs client_auth_type: RequireAndVerifyClientCert or VerifyClientCertIfGiven, since an unverified certificate can carry any name",
        ),
        (
            max_is_12 && tls.min_version == Version::V12 && !has_suite_of_12,
            Field::CipherSuites,
            "has no suite for TLS 1.2, which max_version asks for",
        ),
    ];
    let broken = rules.into_iter().filter(|(is_broken, ..)| *is_broken);
    broken
        .map(|(_, field, message)| (field, message.to_owned()))
        .collect()
}

fn certificates(pem: &[u8], field: Field) -> Result<Vec<CertificateDer<'static>>, Mistake> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err((
            field,
            "has no certificate in it; PEM is expected".to_owned(),
        )),
        Err(error) => Err((field, format!("is not PEM: {error}"))),
    }
}

fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Mistake> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        let message = "has no private key in it; PEM without a passphrase is expected";
        (Field::Key, message.to_owned())
    })
}

fn roots(pem: &[u8]) -> Result<RootCertStore, Mistake> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, Field::ClientCa)? {
        roots
            .add(certificate)
            .map_err(|error| (Field::ClientCa, format!("is no authority: {error}")))?;
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
        .map_err(|message| (Field::ClientCa, message))?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&tls.versions())
        .map_err(|error| (Field::CipherSuites, error.to_string()))?;
    let resumes = verifier.is_none();
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| (Field::Key, format!("does not fit cert_file: {error}")))?;
    config.ignore_client_order = tls.prefer_server_suites;
    config.alpn_protocols.push(b"http/1.1".to_vec());
    if !resumes {
        // A resumed session is not verified again, and a certificate may have expired meanwhile.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}
