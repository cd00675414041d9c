//! Clients that read the largest pages again and again delay no scrape of the target.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::support::{Fake, Process, free_port, get_json, until};

const SOON: Duration = Duration::from_secs(60);
const SERIES: usize = 2000;
const READERS: usize = 40;
const INTERVAL: Duration = Duration::from_millis(500);
const SCRAPES: usize = 20;

fn page() -> String {
    let mut page = String::new();
    for series in 0..SERIES {
        writeln!(page, "accuracy{{series=\"{series}\"}} 0.99").unwrap();
    }
    page
}

#[tokio::test]
async fn forty_readers_of_two_thousand_signals_delay_no_scrape() {
    let target = Fake::start(page).await;
    let dir = tempfile::tempdir().unwrap();
    let rules = "groups: [{name: g, rules: [{watch: Low, expr: accuracy, strategy: {type: static, bound: 0.9, direction: below}}]}]\n";
    std::fs::write(dir.path().join("rules.yaml"), rules).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let _process = Process::sidewatch(
        &[
            "run",
            &format!("--target=http://{}/metrics", target.address),
            "--rules=rules.yaml",
            "--scrape.interval=500ms",
            &format!("--web.listen-address={address}"),
        ],
        dir.path(),
    );
    let signals = format!("http://{address}/api/v1/signals");
    until("all signals", SOON, async || {
        let found = get_json(&signals).await?["data"]["signals"]
            .as_array()
            .map(Vec::len);
        if found == Some(SERIES) {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let signals = signals.clone();
        readers.spawn(async move {
            let client = reqwest::Client::new();
            loop {
                let request = client.get(&signals).header("accept-encoding", "gzip");
                if let Ok(answer) = request.send().await {
                    drop(answer.bytes().await);
                }
            }
        });
    }
    let (before, started) = (target.attempts(), Instant::now());
    until("scrapes", SOON, async || {
        let scrapes = target.attempts() - before;
        if scrapes >= SCRAPES {
            Ok(())
        } else {
            Err(format!("{scrapes}"))
        }
    })
    .await;
    let took = started.elapsed();
    let expected = INTERVAL * SCRAPES as u32;
    assert!(
        took < expected.mul_f64(1.25),
        "{SCRAPES} scrapes took {took:?}"
    );
}
