//! Retraining requests survive kill -9: none is lost, and duplicates have the same key.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidewatch::internals::notify::retrain::{
    Deliveries, Entry, Format, IDEMPOTENCY_KEY, Outbox as _, Phase, Receiver, Runner, Webhook,
};
use sidewatch::internals::state::{Batch, Store, StoreOutbox};
use sidewatch_engine::alert::AlertState;
use sidewatch_engine::metric::Timestamp;
use sidewatch_engine::retrain::RetrainRequest;
use tokio_util::sync::CancellationToken;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::support::notify::{TestClock, alert, http_client, submit, until};

/// Environment variables of a child: folder, receiver, and the numbers of the requests it submits.
const DIRECTORY: &str = "SIDEWATCH_TEST_DIRECTORY";
const RECEIVER: &str = "SIDEWATCH_TEST_RECEIVER";
const RANGE: &str = "SIDEWATCH_TEST_RANGE";

fn deliveries(directory: &Path, url: &str, clock: &TestClock) -> (Deliveries, Runner, Arc<Store>) {
    let now = Timestamp::from_millis(1_700_000_000_000);
    let (store, opened) = Store::open(directory, now).unwrap();
    assert_eq!(opened.set_aside, None, "{:?}", opened.notes);
    let webhook = Webhook {
        url: url.into(),
        format: Format::CloudEvents,
        secret: None,
        headers: Vec::new(),
        timeout: Duration::from_secs(5),
        client: http_client(),
    };
    let receiver = Receiver {
        name: "hook".to_owned(),
        matchers: Vec::new(),
        notifier: Arc::new(webhook),
        expiry: Duration::from_secs(3600),
    };
    let store = Arc::new(store);
    let outbox = Arc::new(StoreOutbox::new(Arc::clone(&store)));
    let grace = Duration::from_secs(5);
    let (handle, runner) = Deliveries::new(vec![receiver], outbox, clock.clock(), grace).unwrap();
    (handle, runner, store)
}

/// The process that the next test kills: it submits requests, prints those in the outbox, and
/// delivers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run in a process of its own by the test that kills it"]
async fn child_that_submits_and_delivers() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let url = std::env::var(RECEIVER).unwrap();
    let range = std::env::var(RANGE).unwrap();
    let (from, to) = range.split_once('-').unwrap();
    let (handle, runner, store) =
        deliveries(Path::new(&directory), &url, &TestClock::at(1_700_000_000));
    let submit = async {
        for n in from.parse::<usize>().unwrap()..to.parse().unwrap() {
            let firing = alert("Bad", AlertState::Firing, &[("pod", "a")]);
            let at = Timestamp::from_millis(1_700_000_000_000);
            let request = RetrainRequest::new(format!("k{n}"), ("m", "1"), &firing, at);
            submit(&handle, &store, &request).await;
            println!("kept k{n}");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = submit => {}
        () = runner.run(CancellationToken::new()) => {}
    }
}

/// Counts the received keys and fails some requests on purpose.
#[derive(Clone, Default)]
struct Arrivals(Arc<Mutex<Counted>>);

#[derive(Clone, Default)]
struct Counted {
    by_key: BTreeMap<String, usize>,
    posts: usize,
}

impl Respond for Arrivals {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let key = request.headers[IDEMPOTENCY_KEY]
            .to_str()
            .unwrap()
            .to_owned();
        let event: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(event["id"], key.as_str());
        let mut state = self.0.lock().unwrap();
        state.posts += 1;
        if state.posts.is_multiple_of(50) {
            return ResponseTemplate::new(503);
        }
        *state.by_key.entry(key).or_default() += 1;
        ResponseTemplate::new(200)
    }
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(default)
}

/// Runs a child until it has stored `lines` requests, then kills it. Returns the stored requests.
fn run_and_kill(directory: &Path, url: &str, range: (usize, usize), lines: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "outbox::child_that_submits_and_delivers",
            "--ignored",
            "--nocapture",
        ])
        .env(DIRECTORY, directory)
        .env(RECEIVER, url)
        .env(RANGE, format!("{}-{}", range.0, range.1))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let said = output.lines().map_while(Result::ok);
    // The test harness may print text before the first key on the same line.
    let keys = said.filter_map(|line| line.split_once("kept ").map(|(_, key)| key.to_owned()));
    let kept: Vec<String> = keys.take(lines).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    kept
}

/// `SIDEWATCH_KILLS=200` for the full number: some 10,000 requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_when_the_process_is_killed() {
    let kills = number("SIDEWATCH_KILLS", 10);
    let arrivals = Arrivals::default();
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(arrivals.clone())
        .mount(&server)
        .await;
    let directory = tempfile::tempdir().unwrap();
    let mut kept = BTreeSet::new();
    for round in 0..kills {
        let (from, to) = (round * 100, round * 100 + 100);
        // Each time it is killed after a different number of requests, while others are in flight.
        let lines = 1 + (round * 37 + 11) % 100;
        let (path, url) = (directory.path().to_owned(), server.uri());
        let killed =
            tokio::task::spawn_blocking(move || run_and_kill(&path, &url, (from, to), lines));
        let keys = killed.await.unwrap();
        assert_eq!(keys.len(), lines, "round {round}");
        kept.extend(keys);
    }
    let clock = TestClock::at(1_700_000_000);
    let (handle, runner, _) = deliveries(directory.path(), &server.uri(), &clock);
    let stop = CancellationToken::new();
    // Advance the clock until the failed requests are retried.
    let waited = || {
        clock.advance(Duration::from_millis(100));
        handle.wake();
        handle.stats()[0].waiting == 0
    };
    let settle = async {
        until("the outbox is empty", waited).await;
        stop.cancel();
    };
    tokio::join!(settle, runner.run(stop.clone()));
    let Counted {
        by_key: arrived,
        posts,
    } = arrivals.0.lock().unwrap().clone();
    let lost: Vec<&String> = kept
        .iter()
        .filter(|key| !arrived.contains_key(*key))
        .collect();
    let twice: usize = arrived.values().map(|times| times - 1).sum();
    println!(
        "{kills} kills, {} requests kept, {posts} posts, {twice} duplicates, {} lost",
        kept.len(),
        lost.len()
    );
    assert_eq!(lost, Vec::<&String>::new());
}

// ---- the command

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    outbox: sidewatch::internals::cli::outbox::Outbox,
}

/// Runs `outbox …` and returns its output.
fn outbox(directory: &Path, arguments: &[&str]) -> Result<String, String> {
    let path = format!("--storage.path={}", directory.display());
    let all = ["outbox"]
        .iter()
        .chain(arguments)
        .copied()
        .chain([path.as_str()]);
    let line = <Line as clap::Parser>::try_parse_from(all).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    let now = Timestamp::from_millis(1_700_000_090_000);
    line.outbox.run_at(now, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

fn open_store(directory: &Path) -> Store {
    Store::open(directory, Timestamp::from_millis(1_700_000_000_000))
        .unwrap()
        .0
}

/// A store with a waiting request `k1` and a dead one `k2`.
fn two_requests(directory: &Path) {
    let now = Timestamp::from_millis(1_700_000_000_000);
    let (store, _) = Store::open(directory, now).unwrap();
    let mut batch = Batch::new();
    for (id, phase) in [("k1", Phase::Waiting), ("k2", Phase::Dead)] {
        let firing = alert("Bad", AlertState::Firing, &[("pod", "a")]);
        let request = RetrainRequest::new(id.to_owned(), ("fraud", "1"), &firing, now);
        let mut entry = Entry::new("hook", request, now, Duration::from_secs(60));
        entry.phase = phase;
        entry.attempts = 3;
        entry.last_error = Some("status 422".to_owned());
        batch.put_entry(&entry).unwrap();
    }
    store.commit(batch).unwrap();
}

#[test]
fn requests_can_be_listed_retried_and_dropped() {
    let directory = tempfile::tempdir().unwrap();
    two_requests(directory.path());
    let listed = outbox(directory.path(), &["list"]).unwrap();
    let expected = "waiting  hook/k1  fraud Bad since 1m30s, 3 attempts, last: status 422\n\
                    dead     hook/k2  fraud Bad since 1m30s, 3 attempts, last: status 422\n";
    assert_eq!(listed, expected);
    assert_eq!(
        outbox(directory.path(), &["retry"]).as_deref(),
        Ok("2 requests will be tried at the next start\n")
    );
    let json = outbox(directory.path(), &["list", "--format=json"]).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json[1]["key"], &json[1]["phase"]),
        (&"hook/k2".into(), &"waiting".into())
    );
    assert_eq!(json[1]["expires_at"], "2023-11-14T22:15:50.000Z");
    let unknown = outbox(directory.path(), &["drop", "hook/k9"]).unwrap_err();
    assert!(unknown.starts_with("hook/k9: no such request"), "{unknown}");
    assert_eq!(
        outbox(directory.path(), &["drop", "hook/k1"]).as_deref(),
        Ok("1 request dropped\n")
    );
    assert_eq!(
        outbox(directory.path(), &["drop", "--all"]).as_deref(),
        Ok("1 request dropped\n")
    );
    assert_eq!(
        outbox(directory.path(), &["list"]).as_deref(),
        Ok("nothing waits\n")
    );
}

#[test]
fn the_outbox_command_reports_why_it_failed() {
    let directory = tempfile::tempdir().unwrap();
    let nothing = outbox(directory.path(), &["list"]).unwrap_err();
    assert!(nothing.contains("no store here"), "{nothing}");
    assert_eq!(
        std::fs::read_dir(directory.path()).unwrap().count(),
        0,
        "it made no store"
    );
    drop(open_store(directory.path()));
    let held = open_store(directory.path());
    let busy = outbox(directory.path(), &["list", "--url=http://127.0.0.1:9"]).unwrap_err();
    assert!(
        busy.starts_with("http://127.0.0.1:9/api/v1/retraining/outbox: "),
        "{busy}"
    );
    assert!(busy.contains("--url"), "{busy}");
    drop(held);
    assert!(
        outbox(directory.path(), &["drop"]).is_err(),
        "dropping everything has to be said"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outbox_command_asks_a_running_process_over_http() {
    let directory = tempfile::tempdir().unwrap();
    two_requests(directory.path());
    let entries = StoreOutbox::new(Arc::new(open_store(directory.path())))
        .list()
        .unwrap();
    let held = open_store(directory.path());
    let server = MockServer::start().await;
    let list = serde_json::json!({"status": "success", "data": entries});
    let base = "/api/v1/retraining/outbox";
    let mock = |verb, path: String| Mock::given(method(verb)).and(wiremock::matchers::path(path));
    mock("GET", base.to_owned())
        .respond_with(ResponseTemplate::new(200).set_body_json(list))
        .mount(&server)
        .await;
    mock("POST", format!("{base}/retry"))
        .and(wiremock::matchers::body_json(
            serde_json::json!({"keys": ["hook/k1", "hook/k2"]}),
        ))
        .respond_with(
            ResponseTemplate::new(200).set_body_json(serde_json::json!({"status": "success"})),
        )
        .expect(1)
        .mount(&server)
        .await;
    let refusal = serde_json::json!({"status": "error", "error": "the admin API is off"});
    mock("POST", format!("{base}/drop"))
        .respond_with(ResponseTemplate::new(403).set_body_json(refusal))
        .mount(&server)
        .await;
    let (path, url) = (
        directory.path().to_owned(),
        format!("--url={}", server.uri()),
    );
    let asked = tokio::task::spawn_blocking(move || {
        let listed = outbox(&path, &["list", &url]).unwrap();
        assert_eq!(listed.lines().count(), 2, "{listed}");
        let retried = outbox(&path, &["retry", &url]);
        assert_eq!(retried.as_deref(), Ok("2 requests will be tried now\n"));
        let refused = outbox(&path, &["drop", "hook/k1", &url]);
        assert_eq!(refused, Err("the admin API is off".to_owned()));
    });
    asked.await.unwrap();
    drop(held);
}
