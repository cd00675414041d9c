//! Certificates of clients: whether they are needed, who has to sign them, and which names they
//! must have.

use std::net::IpAddr;
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::ClientAuth;

/// A verifier of client certificates.
type SharedVerifier = Arc<dyn ClientCertVerifier>;

/// Verifies the certificates of clients as `client_auth_type` and `client_allowed_sans` say.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    mandatory: bool,
    /// Verifies who signed the certificate; without, any certificate will do whose key the client
    /// has.
    signed: Option<SharedVerifier>,
    /// When not empty, the certificate must have one of these names.
    allowed: Vec<String>,
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.signed
            .as_ref()
            .map_or(&[], |signed| signed.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(signed) = &self.signed {
            signed.verify_client_cert(end_entity, intermediates, now)?;
        }
        if !self.allowed.is_empty() {
            let names = names(end_entity).ok_or(CertificateError::BadEncoding)?;
            if !names.iter().any(|name| self.allowed.contains(name)) {
                return Err(CertificateError::ApplicationVerificationFailure.into());
            }
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// The DNS names, addresses, e-mail addresses and URIs that a certificate is for; none when it is
/// malformed.
fn names(certificate: &CertificateDer<'_>) -> Option<Vec<String>> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    let Some(extension) = parsed.subject_alternative_name().ok()? else {
        return Some(Vec::new());
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
            Some((*text).to_owned())
        }
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        GeneralName::OtherName(..)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    };
    let names = &extension.value.general_names;
    Some(names.iter().filter_map(name).collect())
}

/// When a certificate expires, in Unix seconds.
pub(super) fn not_after(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

/// The verifier of client certificates; none when no certificate is requested.
pub(super) fn verifier(
    auth: ClientAuth,
    roots: RootCertStore,
    allowed: &[String],
    provider: &Arc<CryptoProvider>,
) -> Result<Option<SharedVerifier>, String> {
    if auth == ClientAuth::None {
        return Ok(None);
    }
    let signed = if auth.verifies() {
        let (roots, provider) = (Arc::new(roots), Arc::clone(provider));
        let builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
        Some(builder.build().map_err(|error| error.to_string())?)
    } else {
        None
    };
    Ok(Some(Arc::new(Verifier {
        provider: Arc::clone(provider),
        mandatory: matches!(auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify),
        signed,
        allowed: allowed.to_vec(),
    })))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::{names, not_after};

    #[test]
    fn every_kind_of_name_of_a_certificate_is_read() {
        let mut params = CertificateParams::new(vec!["prom.test".to_owned()]).unwrap();
        params.subject_alt_names.extend([
            SanType::IpAddress("10.1.2.3".parse().unwrap()),
            SanType::IpAddress("::1".parse().unwrap()),
            SanType::URI("spiffe://cluster/ns/mon/sa/prom".try_into().unwrap()),
            SanType::Rfc822Name("ops@example.org".try_into().unwrap()),
        ]);
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        assert_eq!(
            names(certificate.der()).unwrap(),
            [
                "prom.test",
                "10.1.2.3",
                "::1",
                "spiffe://cluster/ns/mon/sa/prom",
                "ops@example.org"
            ]
        );
        assert_eq!(not_after(certificate.der()), Some(1_893_456_000));
        assert_eq!(names(&b"garbage".as_slice().into()), None);
    }
}
