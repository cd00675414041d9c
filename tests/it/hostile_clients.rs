//! Floods, slow clients and stuck clients are counted and refused, memory stays bounded, and
//! scrapes are still answered.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use sidewatch::internals::config::read_web;
use sidewatch::internals::publish::{
    Definition, Exposition, RuleKind, Server, Shared, Signal, Snapshot,
};
use sidewatch_engine::metric::Labels;
use tokio_util::sync::CancellationToken;

use super::support::certificates::Authority;
use super::support::{Guarded, until, value_of};

const SOON: Duration = Duration::from_secs(60);
/// Time in which nine of ten scrapes are answered, whatever else happens. The machine has other
/// tests to run.
const ON_TIME: Duration = Duration::from_secs(1);
/// Time in which every scrape is answered; Prometheus waits for 10 s.
const LATEST: Duration = Duration::from_secs(5);
/// Memory that a flood may cost, in bytes.
const BOUND: u64 = 48 * 1024 * 1024;

const TLS: &str = "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n";

/// A scrape on a connection of its own; fails when it is late.
async fn scrape(guarded: &Guarded, scheme: &str) -> String {
    let client = guarded.trusting().build().unwrap();
    let started = Instant::now();
    let answer = client
        .get(format!("{scheme}://{}/metrics", guarded.address))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let page = answer.text().await.unwrap();
    let took = started.elapsed();
    assert!(took < LATEST, "a scrape took {took:?}");
    guarded.scrapes.lock().unwrap().push(took);
    page
}

/// Nine of ten scrapes so far were on time.
fn on_time(guarded: &Guarded) {
    let mut scrapes = guarded.scrapes.lock().unwrap();
    scrapes.sort_unstable();
    let nine_of_ten = scrapes[scrapes.len() * 9 / 10];
    assert!(nine_of_ten < ON_TIME, "{scrapes:?}");
}

/// Waits until what is counted for a reason reaches `least`, scraping on time meanwhile.
async fn counted(guarded: &Guarded, scheme: &str, series: &[&str], least: f64) -> f64 {
    until(&format!("{series:?}"), SOON, async || {
        let page = scrape(guarded, scheme).await;
        let found = value_of(&page, series).ok_or("not there")?;
        if found >= least {
            Ok(found)
        } else {
            Err("too few")
        }
    })
    .await
}

async fn connect(guarded: &Guarded) -> TcpStream {
    TcpStream::connect(&guarded.address).await.unwrap()
}

/// Sends bytes and returns all that comes back before the server closes or is silent for a while.
async fn exchange(guarded: &Guarded, sent: &[u8]) -> String {
    let mut stream = connect(guarded).await;
    let (mut reading, mut writing) = stream.split();
    let mut answer = Vec::new();
    let read = async {
        let mut piece = [0; 4096];
        while let Ok(Ok(count)) =
            tokio::time::timeout(Duration::from_secs(2), reading.read(&mut piece)).await
        {
            if count == 0 {
                break;
            }
            answer.extend_from_slice(&piece[..count]);
        }
    };
    // The server may well close before it has read everything.
    let write = async { writing.write_all(sent).await.unwrap_or_default() };
    tokio::join!(read, write);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("")
}

#[tokio::test]
async fn five_hundred_half_sent_requests_do_not_delay_a_scrape() {
    let guarded = Guarded::start("").await;
    let before = guarded.resident();
    let mut flood = JoinSet::new();
    for _ in 0..500 {
        let address = guarded.address.clone();
        flood.spawn(async move {
            // A client that is cut off comes back, as slowloris does.
            loop {
                let Ok(mut stream) = TcpStream::connect(&address).await else {
                    continue;
                };
                let head = b"GET /metrics HTTP/1.1\r\nHost: a\r\n";
                let mut sent = stream.write_all(head).await;
                let mut pace = tokio::time::interval(Duration::from_millis(200));
                while sent.is_ok() {
                    pace.tick().await;
                    sent = stream.write_all(b"X-a: b\r\n").await;
                }
            }
        });
    }
    let evicted = ["connections_refused_total", "\"evicted\""];
    counted(&guarded, "http", &evicted, 250.0).await;
    for _ in 0..20 {
        let page = scrape(&guarded, "http").await;
        let open = value_of(&page, &["sidewatch_http_connections{"]);
        assert!(open <= Some(256.0), "{open:?}");
    }
    let grown = guarded.grown_from(before);
    assert!(grown < BOUND, "{grown} bytes");
    on_time(&guarded);
    flood.abort_all();
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_delay_a_scrape_over_tls() {
    let guarded = Guarded::start(TLS).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(connect(&guarded).await);
    }
    for _ in 0..5 {
        scrape(&guarded, "https").await;
    }
    let late = ["connections_refused_total", "\"tls_handshake_timeout\""];
    counted(&guarded, "https", &late, 200.0).await;
    on_time(&guarded);
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off_and_an_idle_connection_is_not() {
    let guarded = Guarded::start("").await;
    let mut idle = connect(&guarded).await;
    let request = b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut piece = [0; 4096];
    idle.write_all(request).await.unwrap();
    assert!(idle.read(&mut piece).await.unwrap() > 0);
    let mut slow = connect(&guarded).await;
    let limit = Duration::from_secs(15);
    until("the end of the connection", limit, async || {
        match slow.write_all(b"G").await {
            Ok(()) => Err("it is still open"),
            Err(_) => Ok(()),
        }
    })
    .await;
    let late = ["connections_refused_total", "\"header_timeout\""];
    counted(&guarded, "http", &late, 1.0).await;
    idle.write_all(request).await.unwrap();
    assert!(idle.read(&mut piece).await.unwrap() > 0, "still served");
}

#[tokio::test]
async fn ten_megabytes_of_headers_are_refused_and_not_kept() {
    let guarded = Guarded::start("").await;
    let mut head = b"GET /metrics HTTP/1.1\r\nHost: a\r\n".to_vec();
    while head.len() < 10 * 1024 * 1024 {
        head.extend_from_slice(b"X-Header: ");
        head.extend(std::iter::repeat_n(b'a', 1000));
        head.extend_from_slice(b"\r\n");
    }
    let one_long_line = [b"GET /".as_slice(), &vec![b'a'; 10 * 1024 * 1024]].concat();
    let before = guarded.resident();
    for _ in 0..10 {
        assert_eq!(status(&exchange(&guarded, &head).await), "431");
        let answer = exchange(&guarded, &one_long_line).await;
        assert!(["414", "431"].contains(&status(&answer)), "{answer}");
    }
    let grown = guarded.grown_from(before);
    assert!(grown < BOUND / 4, "{grown} bytes");
    let large = ["requests_rejected_total", "\"header_too_large\""];
    counted(&guarded, "http", &large, 20.0).await;
}

#[tokio::test]
async fn bodies_that_are_too_large_or_too_slow_are_refused() {
    let guarded = Guarded::start("").await;
    let before = guarded.resident();
    let megabytes = vec![b'a'; 10 * 1024 * 1024];
    for path in ["/-/reload", "/metrics", "/api/v1/retraining/outbox/retry"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            megabytes.len()
        );
        let answer = exchange(&guarded, &[head.as_bytes(), &megabytes].concat()).await;
        assert_eq!(status(&answer), "413", "{path}");
    }
    let mut chunked =
        b"POST /-/reload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in megabytes.chunks(64 * 1024) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    assert_eq!(status(&exchange(&guarded, &chunked).await), "413");
    let grown = guarded.grown_from(before);
    assert!(grown < BOUND / 4, "{grown} bytes");
    let mut slow = connect(&guarded).await;
    let head = b"POST /-/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\na";
    slow.write_all(head).await.unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    let large = ["requests_rejected_total", "\"body_too_large\""];
    counted(&guarded, "http", &large, 4.0).await;
    let late = ["requests_rejected_total", "\"body_timeout\""];
    counted(&guarded, "http", &late, 1.0).await;
}

#[tokio::test]
async fn no_path_leads_out_and_nothing_of_a_request_gets_into_an_answers_head() {
    let guarded = Guarded::start("").await;
    for path in [
        "/../../../../etc/passwd",
        "/metrics/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/api/v1/../../../../etc/passwd",
        "//etc/passwd",
        "/\\..\\..\\etc\\passwd",
        "/x%0d%0aSet-Cookie:%20a=b",
        "/x%0d%0a%0d%0a<script>",
        "/-/healthy/",
        "/METRICS",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = exchange(&guarded, request.as_bytes()).await;
        assert!(
            ["404", "400"].contains(&status(&answer)),
            "{path}: {answer}"
        );
        let lower = answer.to_lowercase();
        for leak in ["root:", "set-cookie", "<script>", "passwd"] {
            assert!(!lower.contains(leak), "{path}: {answer}");
        }
    }
    let malformed = [
        "GET /x\r\nSet-Cookie: a=b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /metrics HTTP/1.1\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: a/../b\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost : a\r\n\r\n",
        "POST /-/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST /-/reload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\0\x01\0\x01\u{7f}",
    ];
    for request in malformed {
        let answer = exchange(&guarded, request.as_bytes()).await;
        assert!(
            ["400", ""].contains(&status(&answer)),
            "{request:?}: {answer}"
        );
    }
    let count = malformed.len() as f64;
    let rejected = ["requests_rejected_total", "\"malformed\""];
    let found = counted(&guarded, "http", &rejected, count).await;
    assert!(found >= count, "{found}");
}

#[tokio::test]
async fn a_page_of_another_site_may_change_nothing() {
    let guarded = Guarded::start("").await;
    let client = guarded.trusting().build().unwrap();
    let own = format!("http://{}", guarded.address);
    for (origin, expected) in [
        ("http://evil.example", 403),
        ("null", 403),
        (own.as_str(), 200),
    ] {
        let url = format!("{own}/-/reload");
        let answer = client.post(&url).header("origin", origin).send().await;
        assert_eq!(answer.unwrap().status(), expected, "{origin}");
    }
    let page = scrape(&guarded, "http").await;
    let refused = value_of(&page, &["requests_rejected_total", "\"cross_site\""]);
    assert_eq!(refused, Some(2.0));
}

/// A request with these headers and no body.
fn request(line: &str, headers: &str) -> String {
    format!("{line} HTTP/1.1\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn a_page_whose_name_was_made_to_lead_here_is_shown_no_configuration() {
    let guarded = Guarded::start("").await;
    for (host, is_shown) in [("evil.example", false), ("127.0.0.1", true)] {
        let page = request("GET /", &format!("Host: {host}\r\n"));
        let answer = exchange(&guarded, page.as_bytes()).await;
        assert_eq!(status(&answer), "200");
        assert_eq!(
            answer.contains("annotations: {summary: s}"),
            is_shown,
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_page_whose_name_was_made_to_lead_here_may_change_nothing() {
    let guarded = Guarded::start("").await;
    let own = &guarded.address;
    for (line, headers, expected) in [
        (
            "POST /-/reload",
            "Host: evil.example:9755\r\nOrigin: http://evil.example:9755\r\n",
            "403",
        ),
        ("POST /-/reload", "Host: evil.example\r\n", "403"),
        ("POST /-/reload", "Host:\r\nOrigin: http://\r\n", "403"),
        (
            "POST http://evil.example/-/reload",
            "Host: evil.example\r\n",
            "403",
        ),
        ("GET /api/v1/status/config", "Host: evil.example\r\n", "403"),
        (
            "GET /api/v1/status/config",
            "Host: fraud-judge.models.svc\r\n",
            "200",
        ),
        ("GET /metrics", "Host: evil.example\r\n", "200"),
        ("POST /-/reload", "Host: fraud-judge\r\n", "200"),
        (
            "POST /-/reload",
            &format!("Host: {own}\r\nSec-Fetch-Site: cross-site\r\n"),
            "403",
        ),
        (
            "POST /-/reload",
            &format!("Host: {own}\r\nOrigin: https://{own}\r\n"),
            "403",
        ),
        (
            "POST /-/reload",
            &format!("Host: {own}\r\nOrigin: http://{own}\r\nOrigin: http://evil.example\r\n"),
            "403",
        ),
        (
            "POST /-/reload",
            &format!("Host: {own}\r\nOrigin: http://{own}\r\nSec-Fetch-Site: same-origin\r\n"),
            "200",
        ),
    ] {
        let answer = exchange(&guarded, request(line, headers).as_bytes()).await;
        assert_eq!(status(&answer), expected, "{line} {headers}{answer}");
        assert!(answer.contains("nosniff"), "{answer}");
        assert!(answer.contains("no-store"), "{answer}");
    }
    let page = scrape(&guarded, "http").await;
    let foreign = value_of(&page, &["requests_rejected_total", "\"foreign_host\""]);
    assert_eq!(foreign, Some(5.0));
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_off() {
    let guarded = Guarded::start("").await;
    let before = guarded.resident();
    let mut stuck = Vec::new();
    for _ in 0..10 {
        let mut stream = connect(&guarded).await;
        let request = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2000);
        let writing = tokio::time::timeout(Duration::from_secs(1), stream.write_all(&request));
        // It may block: the server stops reading while its answers are not taken.
        drop(writing.await);
        stuck.push(stream);
    }
    let slow = ["connections_refused_total", "\"slow_reader\""];
    counted(&guarded, "http", &slow, 10.0).await;
    on_time(&guarded);
    let grown = guarded.grown_from(before);
    assert!(grown < BOUND, "{grown} bytes");
}

/// A page of several megabytes behind TLS.
async fn serve_large_page(authority: &Authority) -> (String, Arc<Shared>, JoinSet<()>) {
    let dir = tempfile::tempdir().unwrap();
    authority.write(dir.path(), "tls", &authority.sign("127.0.0.1"));
    let web = read_web("web.yml", TLS, dir.path()).unwrap();
    let again = web.clone();
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let address = server.address().to_string();
    let server = server.with_web(web, Arc::new(move || Ok(again.clone())));
    let shared = Arc::new(Shared::new(&Labels::empty()));
    let rule: Arc<Definition> =
        Definition::new("g", "accuracy", RuleKind::Record, Vec::new()).into();
    let signals = (0..20_000).map(|index| Signal {
        rule: Arc::clone(&rule),
        labels: Labels::new([("series", format!("{index:0200}"))]),
        value: Some(0.5),
        ..Signal::default()
    });
    shared.publish(Snapshot {
        signals: signals.collect(),
        ..Snapshot::default()
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(server.run(Arc::clone(&shared), CancellationToken::new()));
    (address, shared, tasks)
}

async fn connect_over_tls(address: &str, pem: &str) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(address).await.unwrap();
    let name = "127.0.0.1".try_into().unwrap();
    connector.connect(name, stream).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_take_large_answers_are_cut_off_and_a_scrape_gets_all_of_its_own() {
    let authority = Authority::new();
    let (address, shared, _tasks) = serve_large_page(&authority).await;
    let page = shared.metrics(Exposition::negotiate(""));
    let hoarders = 20;
    let mut stuck = Vec::new();
    for _ in 0..hoarders {
        let mut stream = connect_over_tls(&address, &authority.pem()).await;
        // Two answers: the second waits behind the first.
        let request = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2);
        stream.write_all(&request).await.unwrap();
        stream.flush().await.unwrap();
        stuck.push(stream);
    }
    let pem = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().add_root_certificate(pem);
    let client = client.build().unwrap();
    let answer = client
        .get(format!("https://{address}/metrics"))
        .send()
        .await;
    let answer = answer.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.text().await.unwrap().lines().count(),
        page.lines().count()
    );
    until("every one cut off", SOON, async || {
        let page = shared.metrics(Exposition::negotiate(""));
        let closed = value_of(&page, &["connections_refused_total", "\"slow_reader\""]);
        closed
            .filter(|closed| *closed >= f64::from(hoarders))
            .ok_or_else(|| format!("{closed:?}"))
    })
    .await;
}
