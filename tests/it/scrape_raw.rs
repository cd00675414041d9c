//! Answers that no HTTP library sends: dripping, truncated, reset, endless.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sidewatch::internals::runtime::http::{Client, Settings};
use sidewatch::internals::scrape::{Error, HttpProducer, MetricProducer, Target};
use sidewatch_engine::exposition;
use sidewatch_engine::exposition::{Exposition, Limit, Reason};
use sidewatch_engine::metric::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// When every scrape happens.
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n";

/// What the server does after the request's head.
#[derive(Debug, Clone)]
enum Step {
    Send(Vec<u8>),
    /// The same bytes again and again until the client goes.
    Flood(Vec<u8>),
    Hang,
    Reset,
}

fn send(text: impl AsRef<[u8]>) -> Step {
    Step::Send(text.as_ref().to_vec())
}

/// A server that plays the same steps to every connection, then closes it.
struct Raw {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Raw {
    async fn start(steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let steps = steps.clone();
                connections.spawn(async move {
                    // The client may go at any step; that is what some tests are about.
                    play(stream, &steps).await.unwrap_or_default();
                });
            }
        });
        Self {
            address,
            _tasks: tasks,
        }
    }

    /// A scrape with a timeout and a body limit.
    async fn scrape(&self, timeout: Duration, limit: u64) -> Result<Exposition, Error> {
        let target = Target {
            timeout,
            body_size_limit: limit,
            ..Target::new(format!("http://{}/metrics", self.address))
        };
        let client = Arc::new(Client::new(Settings::default()));
        HttpProducer::new(target, client).produce(NOW).await
    }
}

async fn play(mut stream: TcpStream, steps: &[Step]) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    for step in steps {
        match step {
            Step::Send(bytes) => stream.write_all(bytes).await?,
            Step::Flood(bytes) => loop {
                stream.write_all(bytes).await?;
            },
            Step::Hang => std::future::pending().await,
            Step::Reset => {
                stream.set_zero_linger()?;
                return Ok(());
            }
        }
    }
    stream.shutdown().await
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

/// The error of a scrape of these steps, with plenty of time.
async fn error_of(steps: Vec<Step>, limit: u64) -> Error {
    let raw = Raw::start(steps).await;
    raw.scrape(LONG, limit).await.expect_err("a failed scrape")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn gzip_answer(compressed: &[u8]) -> Vec<u8> {
    let head = format!(
        "{OK}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        compressed.len()
    );
    [head.as_bytes(), compressed].concat()
}

#[tokio::test]
async fn slow_headers_end_at_the_timeout() {
    let raw = Raw::start(vec![send("HTTP/1.1 200 OK\r\n"), Step::Hang]).await;
    let error = raw.scrape(SHORT, 0).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Timeout);
    assert!(
        error
            .to_string()
            .contains("within 200ms; raise scrape_timeout"),
        "{error}"
    );
}

#[tokio::test]
async fn a_slow_body_ends_at_the_timeout() {
    let start = format!("{OK}Content-Length: 100\r\n\r\na 1\n");
    let raw = Raw::start(vec![send(start), Step::Hang]).await;
    let error = raw.scrape(SHORT, 0).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Timeout);
}

#[tokio::test]
async fn a_body_shorter_than_announced_fails() {
    let cut = format!("{OK}Content-Length: 100\r\n\r\na 1\n");
    let error = error_of(vec![send(cut)], 0).await;
    assert_eq!(error.reason(), Reason::Reset, "{error}");
    assert!(
        error
            .to_string()
            .contains("broke before the response was complete"),
        "{error}"
    );
}

#[tokio::test]
async fn a_cut_chunked_body_fails() {
    let cut = format!("{OK}Transfer-Encoding: chunked\r\n\r\n4\r\na 1\n\r\n");
    let error = error_of(vec![send(cut)], 0).await;
    assert_eq!(error.reason(), Reason::Reset, "{error}");
}

#[tokio::test]
async fn a_reset_connection_fails() {
    let error = error_of(vec![Step::Reset], 0).await;
    assert_eq!(error.reason(), Reason::Reset, "{error}");
}

#[tokio::test]
async fn a_refused_connection_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let target = Target::new(format!("http://user:hunter2@{address}/metrics"));
    let client = Arc::new(Client::new(Settings::default()));
    let error = HttpProducer::new(target, client)
        .produce(NOW)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::Connect, "{error}");
    let message = error.to_string();
    assert!(
        message.contains(&format!("http://{address}/metrics: cannot connect")),
        "{message}"
    );
}

#[tokio::test]
async fn an_endless_body_stops_at_the_limit() {
    let line = "a{x=\"1\"} 1\n".repeat(1000);
    let error = error_of(
        vec![send(format!("{OK}\r\n")), Step::Flood(line.into_bytes())],
        1 << 20,
    )
    .await;
    assert!(
        matches!(
            error,
            Error::Exposition(exposition::ExpositionError::Limit {
                setting: Limit::BodySize,
                ..
            })
        ),
        "{error}"
    );
    assert!(
        error.to_string().contains("body_size_limit 1048576"),
        "{error}"
    );
}

#[tokio::test]
async fn an_endless_line_stops_at_the_limit() {
    let error = error_of(
        vec![send(format!("{OK}\r\n")), Step::Flood(vec![b'a'; 1 << 16])],
        1 << 20,
    )
    .await;
    assert!(
        matches!(
            error,
            Error::Exposition(exposition::ExpositionError::Limit {
                setting: Limit::BodySize,
                ..
            })
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_gzip_bomb_stops_at_the_limit() {
    let bomb = gzip(&vec![b'\n'; 64 << 20]);
    assert!(bomb.len() < 100_000, "{} bytes", bomb.len());
    let error = error_of(vec![send(gzip_answer(&bomb))], 1 << 20).await;
    assert!(
        matches!(
            error,
            Error::Exposition(exposition::ExpositionError::Limit {
                setting: Limit::BodySize,
                ..
            })
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_gzip_body_of_several_members_is_read_whole() {
    let members = [gzip(b"a 1\n"), gzip(b"b 2\n")].concat();
    let raw = Raw::start(vec![send(gzip_answer(&members))]).await;
    let exposition = raw.scrape(LONG, 9).await.unwrap();
    assert_eq!(&*exposition.body, b"a 1\nb 2\n");
}

#[tokio::test]
async fn a_cut_gzip_stream_fails() {
    let whole = gzip(&b"a 1\n".repeat(100));
    let error = error_of(vec![send(gzip_answer(&whole[..whole.len() - 4]))], 0).await;
    assert_eq!(error.reason(), Reason::Encoding, "{error}");
    let error = error_of(vec![send(gzip_answer(b"plain text\n"))], 0).await;
    assert_eq!(error.reason(), Reason::Encoding, "{error}");
}

#[tokio::test]
async fn an_answer_that_is_no_http_fails() {
    let error = error_of(vec![send("SSH-2.0-OpenSSH\r\n")], 0).await;
    assert_eq!(error.reason(), Reason::Other, "{error}");
    assert!(error.to_string().contains("invalid HTTP"), "{error}");
}

#[tokio::test]
async fn a_dropped_scrape_leaves_the_producer_as_good_as_before() {
    let raw = Raw::start(vec![send(format!("{OK}\r\na 1\n")), Step::Hang]).await;
    let target = Target::new(format!("http://{}/metrics", raw.address));
    let mut producer = HttpProducer::new(target, Arc::new(Client::new(Settings::default())));
    let dropped = tokio::time::timeout(SHORT, producer.produce(NOW)).await;
    assert!(dropped.is_err(), "{dropped:?}");
    drop(raw);
    let error = producer.produce(NOW).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Connect, "{error}");
}

#[tokio::test]
async fn a_gzip_stream_of_empty_members_stops_early() {
    let members = gzip(b"").repeat(400_000);
    let error = error_of(vec![send(gzip_answer(&members))], 64 << 20).await;
    assert_eq!(error.reason(), Reason::Encoding, "{error}");
    assert!(
        error.to_string().contains("more than 1024 members"),
        "{error}"
    );
}

#[tokio::test]
async fn a_gzip_stream_that_gives_nothing_stops_at_the_limit() {
    // A header, then stored blocks of no bytes, of which none is the last.
    let header = b"\x1f\x8b\x08\0\0\0\0\0\0\xff";
    let nothing = Step::Flood(b"\0\0\0\xff\xff".repeat(10_000));
    let head = format!("{OK}Content-Encoding: gzip\r\n\r\n");
    let error = error_of(vec![send(head), send(header), nothing], 1 << 20).await;
    assert_eq!(error.reason(), Reason::Limit, "{error}");
    let error = error_of(
        vec![send(format!(
            "{OK}Content-Encoding: gzip\r\nContent-Length: 10000000\r\n\r\n"
        ))],
        1 << 20,
    )
    .await;
    assert_eq!(error.reason(), Reason::Limit, "{error}");
}

#[tokio::test]
async fn inflating_lets_other_scrapes_through() {
    let bomb = gzip(&vec![b'\n'; 60 << 20]);
    let hostile = Raw::start(vec![send(gzip_answer(&bomb))]).await;
    let good = Raw::start(vec![send(format!("{OK}\r\na 1\n"))]).await;
    let under_way = AtomicBool::new(true);
    let inflate = async {
        let body = hostile.scrape(LONG, 64 << 20).await.unwrap().body;
        under_way.store(false, Ordering::SeqCst);
        body.len()
    };
    let others = async {
        let mut scrapes = 0;
        while under_way.load(Ordering::SeqCst) {
            good.scrape(LONG, 0).await.unwrap();
            scrapes += 1;
        }
        scrapes
    };
    let (size, scrapes) = tokio::join!(inflate, others);
    assert_eq!(size, 60 << 20);
    assert!(scrapes > 1, "{scrapes} scrapes meanwhile");
}

#[tokio::test]
async fn informational_answers_without_end_are_a_timeout_and_let_other_scrapes_through() {
    let early = Step::Flood(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(1000));
    let hostile = Raw::start(vec![early]).await;
    let good = Raw::start(vec![send(format!("{OK}\r\na 1\n"))]).await;
    let flooded = hostile.scrape(Duration::from_secs(2), 0);
    let (flooded, other) = tokio::join!(flooded, good.scrape(Duration::from_secs(2), 0));
    let error = flooded.expect_err("a timeout");
    assert_eq!(error.reason(), Reason::Timeout, "{error}");
    assert_eq!(&*other.unwrap().body, b"a 1\n");
}
