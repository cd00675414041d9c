//! TLS settings as exporter-toolkit names them, and their meaning for rustls.

use std::fmt;
use std::path::PathBuf;

use tokio_rustls::rustls::crypto::SupportedKxGroup;
use tokio_rustls::rustls::crypto::ring::{ALL_KX_GROUPS, default_provider};
use tokio_rustls::rustls::{self, SupportedCipherSuite, SupportedProtocolVersion};

use crate::runtime::{MAX_SMALL_FILE_BYTES, read_settled};

pub(crate) use crate::runtime::http::TlsVersion as Version;

/// A suite of ciphers that rustls speaks.
pub(crate) type CipherSuite = SupportedCipherSuite;
/// A group of the key exchange that rustls speaks.
pub(crate) type KeyExchange = &'static dyn SupportedKxGroup;

/// Certificates or a key in PEM.
#[derive(Clone, PartialEq, Eq)]
pub enum Material {
    /// As written in the configuration.
    Text(String),
    /// In this file.
    File(PathBuf),
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(***)"),
            Self::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

impl Material {
    /// The PEM.
    ///
    /// # Errors
    /// When the file cannot be read or is too large.
    pub(super) fn read(&self) -> Result<Vec<u8>, String> {
        let path = match self {
            Self::Text(text) => return Ok(text.clone().into_bytes()),
            Self::File(path) => path,
        };
        let failed = |error| format!("cannot read {}: {error}", path.display());
        read_settled(path, MAX_SMALL_FILE_BYTES).map_err(failed)
    }

    /// The key that holds it: `key` or `key_file`.
    pub(super) fn key(&self, key: &str) -> String {
        match self {
            Self::Text(_) => key.to_owned(),
            Self::File(_) => format!("{key}_file"),
        }
    }
}

/// How clients are authenticated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// No certificate is asked for.
    #[default]
    None,
    /// A certificate is asked for, not needed and not verified.
    Request,
    /// A certificate is needed and not verified.
    RequireAny,
    /// A certificate is verified when there is one.
    VerifyIfGiven,
    /// A certificate is needed and verified.
    RequireAndVerify,
}

impl ClientAuth {
    const WORDS: [(&'static str, Self); 6] = [
        ("NoClientCert", Self::None),
        ("RequestClientCert", Self::Request),
        ("RequireAnyClientCert", Self::RequireAny),
        ("RequireClientCert", Self::RequireAny),
        ("VerifyClientCertIfGiven", Self::VerifyIfGiven),
        ("RequireAndVerifyClientCert", Self::RequireAndVerify),
    ];

    /// Reads exporter-toolkit's words.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn parse(text: &str) -> Result<Self, String> {
        let found = Self::WORDS.iter().find(|(word, _)| *word == text);
        found.map(|(_, auth)| *auth).ok_or_else(|| {
            let words = Self::WORDS.map(|(word, _)| word).join(", ");
            format!("must be one of {words}; got {text:?}")
        })
    }

    /// Whether certificates are verified.
    #[must_use]
    pub fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }
}

/// The settings of `tls_server_config`.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The server's certificates, its own first, as PEM.
    pub cert: Material,
    /// Its private key as PEM.
    pub key: Material,
    /// How clients are authenticated.
    pub client_auth: ClientAuth,
    /// The authorities of clients as PEM.
    pub client_ca: Option<Material>,
    /// When not empty, a client's certificate must have one of these names, addresses or URIs.
    pub allowed_sans: Vec<String>,
    /// Oldest version.
    pub min_version: Version,
    /// Newest version.
    pub max_version: Version,
    /// Suites for TLS 1.2; all that are safe when empty. Those of TLS 1.3 are fixed, as in Go.
    pub cipher_suites: Vec<SupportedCipherSuite>,
    /// Groups of the key exchange, best first; all when empty.
    pub curves: Vec<&'static dyn SupportedKxGroup>,
    /// Whether the server's order of suites counts.
    pub prefer_server_suites: bool,
}

impl Tls {
    /// The key that holds the authorities of clients.
    pub(super) fn client_ca_key(&self) -> String {
        let client_ca = self.client_ca.as_ref();
        client_ca.map_or_else(|| "client_ca_file".to_owned(), |ca| ca.key("client_ca"))
    }

    /// The versions between the oldest and the newest.
    pub(super) fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let wanted = self.min_version..=self.max_version;
        let all = [
            (Version::V12, &rustls::version::TLS12),
            (Version::V13, &rustls::version::TLS13),
        ];
        all.into_iter()
            .filter_map(|(version, supported)| wanted.contains(&version).then_some(supported))
            .collect()
    }

    /// The chosen suites of TLS 1.2 and all of TLS 1.3.
    pub(super) fn suites(&self) -> Vec<SupportedCipherSuite> {
        let mut suites = default_provider().cipher_suites;
        if !self.cipher_suites.is_empty() {
            suites.retain(|suite| suite.tls13().is_some());
            let chosen = self.cipher_suites.iter().copied();
            suites.extend(chosen.filter(|suite| suite.tls13().is_none()));
        }
        suites
    }
}

/// A cipher suite by the name that Go gives it.
///
/// # Errors
/// When rustls has none of that name.
pub(crate) fn cipher_suite(name: &str) -> Result<SupportedCipherSuite, String> {
    let all = default_provider().cipher_suites;
    let words = |suite: &SupportedCipherSuite| {
        let text = suite.suite().as_str().unwrap_or("");
        text.replacen("TLS13_", "TLS_", 1)
    };
    // Go has had a shorter name for these two.
    let wanted = if name.ends_with("WITH_CHACHA20_POLY1305") {
        format!("{name}_SHA256")
    } else {
        name.to_owned()
    };
    let found = all.iter().find(|suite| words(suite) == wanted);
    found.copied().ok_or_else(|| {
        let known = all.iter().map(words).collect::<Vec<_>>().join(", ");
        format!("rustls has no {name}, since it keeps to authenticated ciphers with forward secrecy; choose from {known}")
    })
}

/// A group of the key exchange by the name that Go gives it.
///
/// # Errors
/// When it is not there.
pub(crate) fn curve(name: &str) -> Result<&'static dyn SupportedKxGroup, String> {
    let wanted = match name {
        "CurveP256" => rustls::NamedGroup::secp256r1,
        "CurveP384" => rustls::NamedGroup::secp384r1,
        "X25519" => rustls::NamedGroup::X25519,
        _ => {
            return Err(format!(
                "{name} is not there; choose from X25519, CurveP256, CurveP384"
            ));
        }
    };
    let found = ALL_KX_GROUPS.iter().find(|group| group.name() == wanted);
    found.copied().ok_or_else(|| format!("{name} is not there"))
}

#[cfg(test)]
mod tests {
    use super::{ClientAuth, cipher_suite, curve};

    #[test]
    fn gos_names_of_suites_and_curves_are_known() {
        for name in [
            "TLS_AES_128_GCM_SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
        ] {
            assert!(cipher_suite(name).is_ok(), "{name}");
        }
        let error = cipher_suite("TLS_RSA_WITH_AES_128_CBC_SHA").unwrap_err();
        assert!(
            error.contains("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
            "{error}"
        );
        for name in ["CurveP256", "CurveP384", "X25519"] {
            assert!(curve(name).is_ok(), "{name}");
        }
        assert!(curve("CurveP521").is_err());
    }

    #[test]
    fn both_spellings_of_require_are_the_same() {
        let both = ["RequireClientCert", "RequireAnyClientCert"].map(ClientAuth::parse);
        assert_eq!(both[0], both[1]);
        assert!(ClientAuth::parse("Maybe").is_err());
    }
}
