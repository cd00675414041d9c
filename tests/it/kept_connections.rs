//! A connection that is kept between scrapes may end at the moment when it is used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sidewatch::internals::runtime::http::{Client, Settings};
use sidewatch::internals::scrape::{HttpProducer, MetricProducer, Target};
use sidewatch_engine::metric::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: 4\r\n\r\na 1\n";

/// Reads the head of a request; whether there was one.
async fn has_request(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    true
}

/// A server that answers so many requests of each connection, reads one more and closes without a
/// word. Returns its address and the number of its connections.
async fn server(answers: usize, tasks: &mut JoinSet<()>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            for _ in 0..answers {
                if !has_request(&mut stream).await || stream.write_all(ANSWER).await.is_err() {
                    break;
                }
            }
            has_request(&mut stream).await;
        }
    });
    (url, connections)
}

fn producer(url: String) -> HttpProducer {
    let target = Target {
        timeout: Duration::from_secs(20),
        ..Target::new(url)
    };
    HttpProducer::new(target, Arc::new(Client::new(Settings::default())))
}

#[tokio::test]
async fn a_kept_connection_that_ends_without_an_answer_fails_no_scrape() {
    for answers in [1, 2, 5] {
        let mut tasks = JoinSet::new();
        let (url, connections) = server(answers, &mut tasks).await;
        let mut producer = producer(url);
        for scrape in 0..20 {
            let result = producer.produce(NOW).await;
            assert!(
                result.is_ok(),
                "{answers} answers, scrape {scrape}: {result:?}"
            );
        }
        assert_eq!(
            connections.load(Ordering::Relaxed),
            20_usize.div_ceil(answers)
        );
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_asked_twice_and_no_more() {
    let mut tasks = JoinSet::new();
    let (url, connections) = server(0, &mut tasks).await;
    let error = producer(url).produce(NOW).await.unwrap_err();
    assert!(error.to_string().contains("connection broke"), "{error}");
    assert_eq!(connections.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_encoding_that_is_no_compression_is_read_as_it_is() {
    for (encoding, is_read) in [
        ("identity", true),
        ("utf-8", true),
        ("aws-chunked", true),
        ("", true),
        ("deflate", false),
        ("identity, zstd", false),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/metrics", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\n");
            let rest = ANSWER.strip_prefix(b"HTTP/1.1 200 OK\r\n").unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            has_request(&mut stream).await;
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(rest).await.unwrap();
            has_request(&mut stream).await;
        });
        let result = producer(url).produce(NOW).await;
        assert_eq!(result.is_ok(), is_read, "{encoding:?}: {result:?}");
    }
}
