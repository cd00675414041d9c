//! Certificates made for a test.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Number of authorities so far, which gives each a unique name.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// An authority that signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let name = format!("authority {}", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name and its key, as PEM.
    pub(crate) fn sign(&self, name: &str) -> (String, String) {
        self.sign_until(name, 4000)
    }

    /// A certificate that expired long ago.
    pub(crate) fn sign_expired(&self, name: &str) -> (String, String) {
        self.sign_until(name, 2020)
    }

    fn sign_until(&self, name: &str, year: i32) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.0).unwrap();
        (signed.pem(), key.serialize_pem())
    }

    /// Writes a certificate for a name to `NAME.crt` and `NAME.key`, and the authority's to
    /// `NAME.ca`.
    pub(crate) fn write(&self, dir: &Path, file: &str, (cert, key): &(String, String)) {
        fs::write(dir.join(format!("{file}.ca")), self.pem()).unwrap();
        fs::write(dir.join(format!("{file}.crt")), cert).unwrap();
        fs::write(dir.join(format!("{file}.key")), key).unwrap();
    }
}
