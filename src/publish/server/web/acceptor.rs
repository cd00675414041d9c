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
use super::{Field, Material, Tls};

/// What a mistake is about, and the mistake.
type Wrong = (Field, String);

/// Does the handshakes.
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

impl Acceptor {
    /// Reads the certificates and puts everything together.
    ///
    /// # Errors
    /// Every mistake with the key that it is about.
    pub fn new(tls: &Tls) -> Result<Self, Vec<Wrong>> {
        let mut wrong = check(tls);
        let mut hash = Sha256::new();
        hash.update(format!("{tls:?}"));
        let mut read = |field: Field, material: &Material| {
            let bytes = material.read().map_err(|message| (field, message))?;
            hash.update(bytes.len().to_le_bytes());
            hash.update(&bytes);
            Ok(bytes)
        };
        let chain = read(Field::Cert, &tls.cert).and_then(|pem| chain(&pem));
        let key = read(Field::Key, &tls.key).and_then(|pem| key(&pem));
        let roots = match &tls.client_ca {
            Some(ca) => read(Field::ClientCa, ca).and_then(|pem| roots(&pem)),
            None => Ok(RootCertStore::empty()),
        };
        let mut take = |error: Wrong| wrong.push(error);
        let parts = (
            chain.map_err(&mut take),
            key.map_err(&mut take),
            roots.map_err(&mut take),
        );
        let (Ok(chain), Ok(key), Ok(roots)) = parts else {
            return Err(wrong);
        };
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let not_after = chain.first().and_then(not_after);
        let config = server_config(tls, chain, key, roots).map_err(|error| vec![error])?;
        Ok(Self {
            config: Arc::new(config),
            digest: hash.finalize().into(),
            not_after,
        })
    }

    /// When the server's certificate ends, in Unix seconds.
    #[must_use]
    pub fn not_after(&self) -> Option<i64> {
        self.not_after
    }

    /// Whether settings and certificates are the same.
    pub(in super::super) fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    /// What tokio needs.
    pub(in super::super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

/// What is wrong before any file is read.
fn check(tls: &Tls) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let mut say = |field: Field, message: &str| wrong.push((field, message.to_owned()));
    if tls.min_version > tls.max_version {
        say(Field::MinVersion, "must not be newer than max_version");
    }
    let verifies = tls.client_auth.verifies();
    if verifies && tls.client_ca.is_none() {
        say(
            Field::ClientAuth,
            "needs client_ca_file, the authorities that sign the certificates of clients",
        );
    }
    if !verifies && tls.client_ca.is_some() {
        say(
            Field::ClientCa,
            "is not used without client_auth_type: RequireAndVerifyClientCert or VerifyClientCertIfGiven",
        );
    }
    if !verifies && !tls.allowed_sans.is_empty() {
        say(
            Field::Sans,
            "needs client_auth_type: RequireAndVerifyClientCert or VerifyClientCertIfGiven, since a certificate that nobody verifies can carry any name",
        );
    }
    let suites = tls.suites();
    let only_newest = suites.iter().all(|suite| suite.tls13().is_some());
    if only_newest && tls.versions().len() == 1 && tls.max_version == super::Version::V12 {
        say(
            Field::CipherSuites,
            "has no suite for TLS 1.2, which max_version asks for",
        );
    }
    wrong
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Wrong> {
    certificates(pem, Field::Cert)
}

fn certificates(pem: &[u8], field: Field) -> Result<Vec<CertificateDer<'static>>, Wrong> {
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

fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Wrong> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| {
        let message = "has no private key in it; PEM without a passphrase is expected";
        (Field::Key, message.to_owned())
    })
}

fn roots(pem: &[u8]) -> Result<RootCertStore, Wrong> {
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
) -> Result<ServerConfig, Wrong> {
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
    if tls.http2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    if !resumes {
        // A resumed session is not verified again, and a certificate may have expired meanwhile.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}
