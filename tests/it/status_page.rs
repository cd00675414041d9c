//! The status page, the API and the server's refusals, over a real socket.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use sidewatch::internals::publish::{Definition, RuleKind, Server, Shared, Signal, Snapshot};
use sidewatch_engine::metric::{Labels, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

async fn served() -> (SocketAddr, JoinSet<()>) {
    let shared = Arc::new(Shared::new(&Labels::new([("model_id", "fraud")])));
    for (second, value) in [(1.0, 0.95), (2.0, 0.5)] {
        shared.publish(Snapshot {
            at: Timestamp::from_secs_f64(second),
            signals: vec![Signal {
                rule: Definition::new("g", "AccuracyDropped", RuleKind::Watch, Vec::new()).into(),
                value: Some(value),
                state: Some("anomalous"),
                ..Signal::default()
            }],
            ..Snapshot::default()
        });
    }
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let address = server.address();
    let mut tasks = JoinSet::new();
    tasks.spawn(server.run(shared, CancellationToken::new()));
    (address, tasks)
}

/// Sends bytes as they are, which a client library would not, and gives the first line of the
/// answer.
async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may refuse before it has read everything.
    stream.write_all(request).await.ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    let text = String::from_utf8_lossy(&answer);
    text.lines().next().unwrap_or("").to_owned()
}

fn between<'a>(page: &'a str, open: &str, close: &str) -> &'a str {
    let (_, rest) = page.split_once(open).unwrap();
    rest.split_once(close).unwrap().0
}

#[tokio::test]
async fn the_policy_names_the_style_and_script_that_are_served() {
    let (address, _tasks) = served().await;
    let answer = reqwest::get(format!("http://{address}/")).await.unwrap();
    let policy = answer.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    let page = answer.text().await.unwrap();
    for text in [
        between(&page, "<style>", "</style>"),
        between(&page, "<script>", "</script>"),
    ] {
        let hash = STANDARD.encode(Sha256::digest(text));
        assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
    }
}

#[tokio::test]
async fn the_api_gives_the_points_behind_a_chart_and_its_anchor() {
    let (address, _tasks) = served().await;
    let get = async |path: &str| {
        let answer = reqwest::get(format!("http://{address}{path}")).await;
        answer.unwrap().text().await.unwrap()
    };
    let body: serde_json::Value = serde_json::from_str(&get("/api/v1/signals").await).unwrap();
    let signal = &body["data"]["signals"][0];
    assert_eq!(signal["points"][0]["t"], 1.0);
    assert_eq!(signal["points"][1]["value"], 0.5);
    let id = signal["id"].as_str().unwrap();
    assert!(get("/").await.contains(&format!("id=\"{id}\"")));
}

#[tokio::test]
async fn what_is_no_route_is_refused() {
    let (address, _tasks) = served().await;
    let huge = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX-Big: {}\r\n\r\n",
        "a".repeat(1 << 20)
    );
    for (request, status) in [
        (
            "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            "404",
        ),
        (
            "GET /%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            "404",
        ),
        (
            "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            "405",
        ),
        (&huge, "431"),
    ] {
        let line = raw(address, request.as_bytes()).await;
        // A refusal before the whole head is read may reach the client as a reset, never as a page.
        assert!(
            line.contains(status) || (status == "431" && line.is_empty()),
            "{line}"
        );
    }
    let after = reqwest::get(format!("http://{address}/-/healthy")).await;
    assert_eq!(after.unwrap().status(), 200);
}
