//! Bodies that never end: what the head of a request does not allow is refused before its body is
//! read, and all bodies together have one budget of memory.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::relay::Relay;
use super::support::{Guarded, get_text, until, value_of};

const SOON: Duration = Duration::from_secs(60);
/// Far less than the 10 s that the server waits for a body.
const AT_ONCE: Duration = Duration::from_secs(5);
/// Memory that half-sent bodies may cost, in bytes.
const BOUND: u64 = 32 * 1024 * 1024;
const MEGABYTE: usize = 1024 * 1024;
const JSON: &str = "Content-Type: application/json\r\n";

/// Sends a head that promises 1 MiB and returns the status that comes back without the body.
async fn status_without_body(address: &str, line: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{line} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {MEGABYTE}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    let read = timeout(AT_ONCE, stream.read_exact(&mut answer)).await;
    assert!(matches!(read, Ok(Ok(_))), "{line}: no answer");
    String::from_utf8_lossy(&answer[9..]).into_owned()
}

/// Connections that each send all but the last byte of 1 MiB and then wait.
fn flood(address: &str, path: &'static str, headers: &'static str) -> JoinSet<()> {
    let mut flood = JoinSet::new();
    for _ in 0..500 {
        let address = address.to_owned();
        flood.spawn(async move {
            // A client that is cut off comes back.
            let mut pace = tokio::time::interval(Duration::from_millis(100));
            loop {
                pace.tick().await;
                let Ok(mut stream) = TcpStream::connect(&address).await else {
                    continue;
                };
                let head = format!(
                    "POST {path} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {MEGABYTE}\r\n\r\n"
                );
                if stream.write_all(head.as_bytes()).await.is_ok()
                    && stream.write_all(&vec![b' '; MEGABYTE - 1]).await.is_ok()
                {
                    drop(stream.read_to_end(&mut Vec::new()).await);
                }
            }
        });
    }
    flood
}

#[tokio::test]
async fn what_the_head_does_not_allow_is_refused_before_the_body_is_read() {
    let guarded = Guarded::start("").await;
    let outbox = "POST /api/v1/retraining/outbox/drop";
    for (line, headers, expected) in [
        (outbox, "Content-Type: text/plain\r\n", "415"),
        (outbox, "Content-Type: application/jsonx\r\n", "415"),
        ("PATCH /-/reload", JSON, "405"),
        ("POST /probe", JSON, "405"),
        ("POST /api/v1/retraining/none", JSON, "404"),
        ("DELETE /api/v1/retraining/outbox", JSON, "405"),
        ("POST /metrics", JSON, "405"),
    ] {
        let status = status_without_body(&guarded.address, line, headers).await;
        assert_eq!(status, expected, "{line} {headers}");
    }
    let relay = Relay::new(200).await;
    std::fs::write(relay.path().join("token"), "sesame\n").unwrap();
    relay.configure("cooldown: 6h", "authorization: {credentials_file: token}");
    let _process = relay.start(&[]);
    relay.ready().await;
    let webhook = "POST /api/v1/alertmanager";
    let wrong = "Authorization: Bearer guess\r\n";
    let right = "Authorization: Bearer sesame\r\n";
    for (line, headers, expected) in [
        (webhook, JSON.to_owned(), "401"),
        (webhook, format!("{JSON}{wrong}"), "401"),
        (
            webhook,
            format!("Content-Type: text/plain\r\n{right}"),
            "415",
        ),
        ("PUT /api/v1/alertmanager", format!("{JSON}{right}"), "405"),
        ("POST /-/reload", format!("{JSON}{right}"), "403"),
    ] {
        let address = relay.url("").replace("http://", "");
        let status = status_without_body(&address, line, &headers).await;
        assert_eq!(status, expected, "{line} {headers}");
    }
}

#[tokio::test]
async fn five_hundred_half_sent_bodies_share_one_budget() {
    let guarded = Guarded::start("").await;
    let before = guarded.resident();
    let _flood = flood(&guarded.address, "/api/v1/retraining/outbox/drop", JSON);
    let metrics = format!("http://{}/metrics", guarded.address);
    until("refused bodies", SOON, async || {
        let page = get_text(&metrics).await?;
        match value_of(&page, &["requests_rejected_total", "\"body_budget\""]) {
            Some(refused) if refused >= 200.0 => Ok(()),
            refused => Err(format!("{refused:?}")),
        }
    })
    .await;
    let grown = guarded.grown_from(before);
    assert!(grown < BOUND, "{grown} bytes");
}

#[tokio::test]
async fn five_hundred_half_sent_reloads_are_not_kept() {
    let guarded = Guarded::start("").await;
    let before = guarded.resident();
    let _flood = flood(&guarded.address, "/-/reload", "");
    let metrics = format!("http://{}/metrics", guarded.address);
    until("late bodies", SOON, async || {
        let page = get_text(&metrics).await?;
        match value_of(&page, &["requests_rejected_total", "\"body_timeout\""]) {
            Some(late) if late >= 100.0 => Ok(()),
            late => Err(format!("{late:?}")),
        }
    })
    .await;
    let grown = guarded.grown_from(before);
    assert!(grown < BOUND, "{grown} bytes");
}
