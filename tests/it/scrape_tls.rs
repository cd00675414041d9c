//! `tls_config` against a server that asks for a client certificate.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sidewatch::internals::runtime::http::{Client, Error, Kind, Secret, Settings, Tls, TlsVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

/// An authority that signs certificates for tests.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key as PEM.
struct Signed {
    cert: String,
    key: KeyPair,
    der: rcgen::Certificate,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn sign(&self, name: &str) -> Signed {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let der = params.signed_by(&key, &self.0).expect("a certificate");
        Signed {
            cert: der.pem(),
            key,
            der,
        }
    }
}

/// A server that answers 200 to clients with a certificate of `clients`, or to all.
async fn serve(server: &Signed, clients: Option<&Authority>) -> (SocketAddr, JoinSet<()>) {
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.0.der().clone()).expect("a root");
            let provider = Arc::new(default_provider());
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server.key.serialize_der()));
    let config = builder
        .with_single_cert(vec![server.der.der().clone()], key)
        .expect("a certificate and its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A refused client fails here, which is what the tests look at from the other side.
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                stream.write_all(answer).await.unwrap_or_default();
                stream.shutdown().await.unwrap_or_default();
            }
        }
    });
    (address, tasks)
}

fn client(tls: Tls) -> Client {
    Client::new(Settings {
        tls,
        ..Settings::default()
    })
}

async fn status(client: &Client, url: &str) -> Result<u16, Error> {
    let answer = client.get(url, &[], Duration::from_secs(20), 0).await;
    answer.map(|response| response.status)
}

fn trusting(authority: &Authority) -> Tls {
    Tls {
        ca: Some(authority.pem().as_str().into()),
        ..Tls::default()
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a writable directory");
}

#[tokio::test]
async fn a_certificate_is_checked_against_the_authority() {
    let (own, other) = (Authority::new(), Authority::new());
    let (address, _tasks) = serve(&own.sign("127.0.0.1"), None).await;
    let url = format!("https://{address}/");
    assert_eq!(status(&client(trusting(&own)), &url).await.unwrap(), 200);
    for tls in [Tls::default(), trusting(&other)] {
        let error = status(&client(tls), &url).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Tls, "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    let believing = Tls {
        insecure_skip_verify: true,
        ..Tls::default()
    };
    assert_eq!(status(&client(believing), &url).await.unwrap(), 200);
}

#[tokio::test]
async fn the_servers_name_can_be_given_apart_from_its_address() {
    let authority = Authority::new();
    let (address, _tasks) = serve(&authority.sign("model.test"), None).await;
    let url = format!("https://{address}/");
    let error = status(&client(trusting(&authority)), &url)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Tls, "{error}");
    let named = Tls {
        server_name: Some("model.test".to_owned()),
        ..trusting(&authority)
    };
    assert_eq!(status(&client(named), &url).await.unwrap(), 200);
}

#[tokio::test]
async fn versions_of_tls_are_limited() {
    let authority = Authority::new();
    let (address, _tasks) = serve(&authority.sign("127.0.0.1"), None).await;
    for version in [TlsVersion::V12, TlsVersion::V13] {
        let only = Tls {
            min_version: Some(version),
            max_version: Some(version),
            ..trusting(&authority)
        };
        let url = format!("https://{address}/");
        assert_eq!(
            status(&client(only), &url).await.unwrap(),
            200,
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn a_renewed_client_certificate_is_used_at_once() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (address, _tasks) = serve(&authority.sign("127.0.0.1"), Some(&authority)).await;
    let url = format!("https://{address}/");
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    let client = client(Tls {
        cert: Some(Secret::File(cert.clone())),
        key: Some(Secret::File(key.clone())),
        ..trusting(&authority)
    });
    let error = status(&client, &url).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Credentials, "{error}");
    for (signer, good) in [(&stranger, false), (&authority, true), (&stranger, false)] {
        let signed = signer.sign("sidewatch");
        write(&cert, &signed.cert);
        write(&key, &signed.key.serialize_pem());
        let result = status(&client, &url).await;
        assert_eq!(result.is_ok(), good, "{result:?}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_not_shown_to_the_host_of_a_redirect() {
    let authority = Authority::new();
    let (asking, _tasks) = serve(&authority.sign("127.0.0.1"), Some(&authority)).await;
    let first = MockServer::start().await;
    let away = ResponseTemplate::new(302).insert_header("location", format!("https://{asking}/"));
    Mock::given(method("GET"))
        .respond_with(away)
        .mount(&first)
        .await;
    let signed = authority.sign("sidewatch");
    let key = signed.key.serialize_pem();
    let client = client(Tls {
        cert: Some(signed.cert.as_str().into()),
        key: Some(key.as_str().into()),
        ..trusting(&authority)
    });
    let direct = status(&client, &format!("https://{asking}/")).await;
    assert_eq!(direct.unwrap(), 200);
    assert!(status(&client, &first.uri()).await.is_err());
}

#[tokio::test]
async fn a_certificate_without_its_key_is_refused() {
    let authority = Authority::new();
    let tls = Tls {
        cert: Some(authority.pem().as_str().into()),
        ..trusting(&authority)
    };
    let error = status(&client(tls), "https://127.0.0.1:1/")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Credentials);
    assert!(error.to_string().contains("cert needs key"), "{error}");
    let garbage = Tls {
        ca: Some("no PEM".into()),
        ..Tls::default()
    };
    let error = status(&client(garbage), "https://127.0.0.1:1/")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("tls_config.ca"), "{error}");
}
