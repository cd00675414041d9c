//! Delivery to Alertmanager, with receivers that misbehave.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use sidewatch::internals::notify::Alertmanagers;
use sidewatch::internals::notify::alertmanager::{
    Discovery, PeerSettings, Runner, Settings, Stats,
};
use sidewatch::internals::notify::relabel::{Action, Relabel, Spec};
use sidewatch::internals::runtime::dns::Record;
use sidewatch_engine::alert::AlertState::{Firing, Pending, Resolved};
use sidewatch_engine::alert::Annotations;
use sidewatch_engine::metric::Labels;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::support::notify::{alert, http_client, until};
use crate::support::{DnsServer, Process, free_port, get_text, until as eventually};

fn peer(url: &str) -> PeerSettings {
    PeerSettings {
        url: url.to_owned(),
        timeout: Duration::from_millis(300),
        relabel: Vec::new(),
        client: http_client(),
        discovery: None,
    }
}

fn settings(peers: Vec<PeerSettings>) -> Settings {
    Settings {
        grace: Duration::from_secs(2),
        ..Settings::new(peers)
    }
}

/// Running loops; stopping them waits for the drain.
struct Running {
    handle: Alertmanagers,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

#[expect(clippy::disallowed_methods, reason = "a test owns its task")]
fn start((handle, runner): (Alertmanagers, Runner)) -> Running {
    let stop = CancellationToken::new();
    let task = tokio::spawn(runner.run(stop.clone()));
    Running { handle, stop, task }
}

impl Running {
    fn new(settings: Settings) -> Self {
        start(Alertmanagers::new(settings))
    }

    fn stats(&self) -> Stats {
        self.handle.stats().remove(0)
    }

    async fn idle(&self) {
        until("the queues are empty", || self.handle.is_idle()).await;
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// An Alertmanager that refuses batches the way the real one does, and remembers what it accepted.
#[derive(Clone, Default)]
struct Receiver {
    /// Answers to give before behaving, last first.
    faults: Arc<Mutex<Vec<ResponseTemplate>>>,
    accepted: Arc<Mutex<HashMap<String, Value>>>,
    posts: Arc<Mutex<Vec<usize>>>,
}

impl Respond for Receiver {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let alerts: Vec<Value> = serde_json::from_slice(&request.body).unwrap();
        self.posts.lock().unwrap().push(alerts.len());
        if let Some(fault) = self.faults.lock().unwrap().pop() {
            return fault;
        }
        if alerts
            .iter()
            .any(|alert| alert["labels"]["poison"] == "yes")
        {
            return ResponseTemplate::new(422).set_body_string("validation failure");
        }
        let mut accepted = self.accepted.lock().unwrap();
        for alert in alerts {
            accepted.insert(
                alert["labels"]["n"].as_str().unwrap_or("").to_owned(),
                alert,
            );
        }
        ResponseTemplate::new(200)
    }
}

impl Receiver {
    async fn serve(&self) -> MockServer {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path("/am/api/v2/alerts"))
            .respond_with(self.clone())
            .mount(&server)
            .await;
        server
    }

    fn fail_with(&self, faults: &[ResponseTemplate]) {
        *self.faults.lock().unwrap() = faults.iter().rev().cloned().collect();
    }

    fn accepted(&self) -> HashMap<String, Value> {
        self.accepted.lock().unwrap().clone()
    }

    fn posts(&self) -> Vec<usize> {
        self.posts.lock().unwrap().clone()
    }
}

fn url(server: &MockServer) -> String {
    format!("{}/am/", server.uri())
}

#[tokio::test]
async fn an_alert_arrives_as_alertmanager_wants_it() {
    let receiver = Receiver::default();
    let server = receiver.serve().await;
    let running = Running::new(Settings {
        external_labels: Labels::new([("cluster", "eu1"), ("n", "not this")]),
        ..settings(vec![peer(&url(&server))])
    });
    let mut firing = alert("Bad", Firing, &[("n", "1")]);
    firing.annotations = firing.annotations.with("note", "");
    running.handle.send(&[firing]);
    running.handle.send(&[alert("Bad", Pending, &[("n", "2")])]);
    running.idle().await;
    let expected = serde_json::json!({
        "labels": {"alertname": "Bad", "cluster": "eu1", "n": "1"},
        "annotations": {"note": "", "summary": "it is bad"},
        "startsAt": "2023-11-14T22:14:20.000Z",
        "endsAt": "2023-11-14T22:18:20.000Z",
        "generatorURL": "http://side:9755/?rule=x",
    });
    assert_eq!(receiver.accepted()["1"], expected);
    assert_eq!(receiver.accepted().len(), 1);
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].headers["content-type"], "application/json");
    running
        .handle
        .send(&[alert("Bad", Resolved, &[("n", "1")])]);
    running.idle().await;
    let resolved = &receiver.accepted()["1"];
    assert_eq!(resolved["startsAt"], "2023-11-14T22:14:20.000Z");
    assert_eq!(resolved["endsAt"], "2023-11-14T22:15:20.000Z");
    assert_eq!(running.stats().sent, 2);
    running.end().await;
}

#[tokio::test]
async fn after_an_outage_the_current_state_goes_out_once() {
    let receiver = Receiver::default();
    let server = receiver.serve().await;
    receiver.fail_with(&vec![ResponseTemplate::new(503); 2]);
    let running = Running::new(settings(vec![peer(&url(&server))]));
    running.handle.send(&[
        alert("Bad", Firing, &[("n", "1")]),
        alert("Bad", Firing, &[("n", "2")]),
    ]);
    until("the first attempt failed", || running.stats().failed >= 2).await;
    running
        .handle
        .send(&[alert("Bad", Resolved, &[("n", "1")])]);
    running.handle.send(&[alert("Bad", Firing, &[("n", "3")])]);
    running.idle().await;
    let accepted = receiver.accepted();
    assert_eq!(accepted.len(), 3);
    assert_eq!(accepted["1"]["endsAt"], "2023-11-14T22:15:20.000Z");
    let stats = running.stats();
    assert_eq!((stats.sent, stats.dropped, stats.last_error), (3, 0, None));
    running.end().await;
}

#[tokio::test]
async fn whatever_passes_is_retried_and_nothing_is_lost() {
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(3));
    let asked = ResponseTemplate::new(429).insert_header("retry-after", "1");
    for (what, fault) in [
        ("500", ResponseTemplate::new(500)),
        ("503", ResponseTemplate::new(503)),
        ("408", ResponseTemplate::new(408)),
        ("429 with Retry-After", asked),
        ("401 while a secret rotates", ResponseTemplate::new(401)),
        ("404 behind a proxy that starts", ResponseTemplate::new(404)),
        ("an answer that does not come", slow),
    ] {
        let receiver = Receiver::default();
        let server = receiver.serve().await;
        receiver.fail_with(&[fault]);
        let running = Running::new(settings(vec![peer(&url(&server))]));
        running.handle.send(&[alert("Bad", Firing, &[("n", "1")])]);
        running.idle().await;
        assert_eq!(receiver.accepted().len(), 1, "{what}");
        let stats = running.stats();
        assert_eq!(
            (stats.sent, stats.failed, stats.dropped),
            (1, 1, 0),
            "{what}"
        );
        running.end().await;
    }
}

#[tokio::test]
async fn connections_that_break_are_retried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let running = Running::new(settings(vec![peer(&format!("http://{address}"))]));
    running.handle.send(&[alert("Bad", Firing, &[("n", "1")])]);
    // Accepts and closes at once, then answers half a status line.
    let (first, _) = listener.accept().await.unwrap();
    drop(first);
    until("the broken connection counts", || {
        running.stats().failed >= 1
    })
    .await;
    let (mut second, _) = listener.accept().await.unwrap();
    second.write_all(b"HTTP/1.1 2").await.unwrap();
    drop(second);
    until("the half answer counts", || running.stats().failed >= 2).await;
    drop(listener);
    until("a refused connection counts", || {
        running.stats().failed >= 3
    })
    .await;
    let stats = running.stats();
    assert_eq!(
        (
            stats.sent,
            stats.queue_length + usize::from(!running.handle.is_idle()) > 0
        ),
        (0, true)
    );
    assert!(stats.last_error.is_some());
    running.stop.cancel();
    running.task.abort();
}

#[tokio::test]
async fn a_name_that_is_gone_and_a_broken_handshake_are_retried() {
    let plain = MockServer::start().await;
    let no_tls = plain.uri().replace("http://", "https://");
    for url in ["http://alertmanager.invalid:9093", &no_tls] {
        let running = Running::new(settings(vec![peer(url)]));
        running.handle.send(&[alert("Bad", Firing, &[("n", "1")])]);
        until("two attempts failed", || running.stats().failed >= 2).await;
        let stats = running.stats();
        assert_eq!((stats.sent, stats.dropped), (0, 0), "{url}");
        assert!(stats.last_error.is_some(), "{url}");
        running.stop.cancel();
        running.task.abort();
    }
}

#[tokio::test]
async fn one_poison_alert_does_not_hold_up_the_others() {
    let receiver = Receiver::default();
    let server = receiver.serve().await;
    let running = Running::new(settings(vec![peer(&url(&server))]));
    let alerts: Vec<_> = (0..200)
        .map(|n| {
            let number = n.to_string();
            let poison = if n == 77 || n == 140 { "yes" } else { "no" };
            alert("Bad", Firing, &[("n", &number), ("poison", poison)])
        })
        .collect();
    running.handle.send(&alerts);
    running.idle().await;
    let stats = running.stats();
    assert_eq!((stats.sent, stats.dropped), (198, 2));
    assert_eq!(receiver.accepted().len(), 198);
    let posts = receiver.posts();
    assert!(
        posts.len() <= 33,
        "{} posts for two poison alerts in 200",
        posts.len()
    );
    running.end().await;
}

#[tokio::test]
async fn batches_are_at_most_256() {
    let receiver = Receiver::default();
    let server = receiver.serve().await;
    let (handle, runner) = Alertmanagers::new(settings(vec![peer(&url(&server))]));
    let alerts: Vec<_> = (0..600)
        .map(|n| alert("Bad", Firing, &[("n", &n.to_string())]))
        .collect();
    handle.send(&alerts);
    let running = start((handle, runner));
    running.idle().await;
    assert_eq!(receiver.posts(), [256, 256, 88]);
    running.end().await;
}

#[tokio::test]
async fn a_full_queue_drops_the_oldest_and_counts() {
    let (handle, _runner) = Alertmanagers::new(Settings {
        capacity: 10,
        ..settings(vec![peer("http://127.0.0.1:9")])
    });
    for n in 0..25 {
        handle.send(&[alert("Bad", Firing, &[("n", &n.to_string())])]);
        handle.send(&[alert("Bad", Firing, &[("n", &n.to_string())])]);
    }
    let stats = handle.stats().remove(0);
    assert_eq!(
        (stats.queue_length, stats.dropped, stats.coalesced),
        (10, 15, 25)
    );
    assert_eq!(stats.queue_capacity, 10);
}

#[tokio::test]
async fn every_peer_hears_everything_and_a_dead_one_delays_nobody() {
    let receiver = Receiver::default();
    let server = receiver.serve().await;
    let running = Running::new(settings(vec![
        peer("http://127.0.0.1:9"),
        peer(&url(&server)),
    ]));
    for n in 0..50 {
        running
            .handle
            .send(&[alert("Bad", Firing, &[("n", &n.to_string())])]);
    }
    until("the living peer has all", || {
        receiver.accepted().len() == 50
    })
    .await;
    let stats = running.handle.stats();
    assert_eq!(stats[0].sent, 0);
    running.stop.cancel();
    running.task.abort();
}

#[tokio::test]
async fn stopping_empties_the_queue_and_gives_up_after_the_grace_period() {
    let receiver = Receiver::default();
    let server = receiver.serve().await;
    let (handle, runner) = Alertmanagers::new(Settings {
        grace: Duration::from_millis(800),
        ..settings(vec![peer(&url(&server)), peer("http://127.0.0.1:9")])
    });
    handle.send(&[alert("Bad", Firing, &[("n", "1")])]);
    let stop = CancellationToken::new();
    stop.cancel();
    let started = tokio::time::Instant::now();
    runner.run(stop).await;
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(receiver.accepted().len(), 1);
    assert_eq!(handle.stats()[1].queue_length, 1);
}

fn step(spec: Spec) -> Relabel {
    Relabel::try_new(spec).unwrap()
}

#[tokio::test]
async fn relabelling_is_global_then_per_peer() {
    let (one, two) = (Receiver::default(), Receiver::default());
    let (first, second) = (one.serve().await, two.serve().await);
    let drop_tests = step(Spec {
        source_labels: vec!["env".into()],
        regex: "test".into(),
        action: Action::Drop,
        ..Spec::default()
    });
    let rename = step(Spec {
        target_label: "team".into(),
        replacement: "ml".into(),
        ..Spec::default()
    });
    let running = Running::new(Settings {
        relabel: vec![drop_tests],
        ..settings(vec![
            peer(&url(&first)),
            PeerSettings {
                relabel: vec![rename],
                ..peer(&url(&second))
            },
        ])
    });
    running.handle.send(&[
        alert("Bad", Firing, &[("n", "1"), ("env", "prod")]),
        alert("Bad", Firing, &[("n", "2"), ("env", "test")]),
    ]);
    running.idle().await;
    assert_eq!(one.accepted().len(), 1);
    assert_eq!(one.accepted()["1"]["labels"]["team"], Value::Null);
    assert_eq!(two.accepted()["1"]["labels"]["team"], "ml");
    running.end().await;
}

#[tokio::test]
async fn what_alertmanager_would_refuse_does_not_leave() {
    let receiver = Receiver::default();
    let server = receiver.serve().await;
    let running = Running::new(settings(vec![peer(&url(&server))]));
    let mut bad_url = alert("Bad", Firing, &[("n", "1")]);
    bad_url.generator_url = "not a url".into();
    let mut backwards = alert("Bad", Resolved, &[("n", "2")]);
    backwards.resolved_at = Some(backwards.active_at);
    let mut bare = alert("Bad", Firing, &[]);
    bare.labels = Labels::empty();
    let mut long = alert("Bad", Firing, &[("n", "3")]);
    long.annotations = Annotations::new([("summary", "é".repeat(20_000))]);
    running.handle.send(&[bad_url, backwards, bare, long]);
    running.idle().await;
    let accepted = receiver.accepted();
    assert_eq!(accepted["1"]["generatorURL"], "");
    assert_eq!(accepted["2"]["endsAt"], accepted["2"]["startsAt"]);
    assert!(
        accepted["3"]["annotations"]["summary"]
            .as_str()
            .unwrap()
            .len()
            < 17_000
    );
    assert_eq!(accepted.len(), 3);
    assert_eq!(running.stats().dropped, 1);
    running.end().await;
}

#[tokio::test]
async fn a_reload_keeps_the_queue_of_a_peer_that_stays() {
    let receiver = Receiver::default();
    let server = receiver.serve().await;
    receiver.fail_with(&[ResponseTemplate::new(503)]);
    let running = Running::new(settings(vec![
        peer(&url(&server)),
        peer("http://127.0.0.1:9"),
    ]));
    running.handle.send(&[alert("Bad", Firing, &[("n", "1")])]);
    until("the first attempt failed", || running.stats().failed == 1).await;
    running
        .handle
        .reconfigure(settings(vec![peer(&url(&server))]));
    running.idle().await;
    assert_eq!(receiver.accepted().len(), 1);
    let stats = running.handle.stats();
    assert_eq!((stats.len(), stats[0].failed, stats[0].sent), (1, 1, 1));
    running.end().await;
}

#[tokio::test]
async fn every_address_of_a_discovered_name_is_a_peer() {
    let receiver = Receiver::default();
    let server = receiver.serve().await;
    let port = server.address().port();
    let running = Running::new(settings(vec![PeerSettings {
        discovery: Some(Discovery::default()),
        ..peer(&format!("http://localhost:{port}/am"))
    }]));
    let address = format!("http://127.0.0.1:{port}/am");
    let found = || {
        running
            .handle
            .stats()
            .into_iter()
            .any(|stats| stats.url == address)
    };
    until("the name was looked up", found).await;
    running.handle.send(&[alert("Bad", Firing, &[("n", "1")])]);
    until("the alert arrived", || receiver.accepted().len() == 1).await;
    running.stop.cancel();
    running.task.abort();
}

#[tokio::test]
async fn every_service_behind_a_name_is_a_peer_and_an_empty_answer_is_no_farewell() {
    let (first, second) = (Receiver::default(), Receiver::default());
    let (one, two) = (first.serve().await, second.serve().await);
    let dns = DnsServer::start(1).await;
    let name = "_web._tcp.alertmanager.";
    dns.set("am.", &["127.0.0.1".parse().unwrap()]);
    let ports = [one.address().port(), two.address().port()];
    dns.set_services(name, &ports.map(|port| ("am.", port)));
    let running = Running::new(settings(vec![PeerSettings {
        discovery: Some(Discovery {
            record: Record::Srv,
            server: Some(dns.address),
            refresh: Duration::from_secs(1),
        }),
        ..peer(&format!("http://{name}/am"))
    }]));
    let peers = || running.handle.stats().len();
    until("both were looked up", || peers() == 2).await;
    running.handle.send(&[alert("Bad", Firing, &[("n", "1")])]);
    let arrived = || first.accepted().len() == 1 && second.accepted().len() == 1;
    until("the alert arrived at both", arrived).await;
    dns.set_services(name, &[]);
    let asked = dns.asked().len();
    until("the name was looked up again", || {
        dns.asked().len() >= asked + 2
    })
    .await;
    assert_eq!(peers(), 2);
    running.stop.cancel();
    running.task.abort();
}

#[test]
fn settings_show_no_secret() {
    let shown = format!("{:?}", settings(vec![peer("http://me:secret@am:9093")]));
    assert!(!shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn alertmanagers_that_differ_in_the_user_have_counters_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let config =
        "scrape: {targets: [{url: \"http://127.0.0.1:9/metrics\", labels: {pod: $POD_NAME}}]}
alerting:
  alertmanagers: [{url: \"http://one:hush@127.0.0.1:9\"}, {url: \"http://two:hush@127.0.0.1:9\"}]
";
    std::fs::write(folder.path().join("sidewatch.yaml"), config).unwrap();
    let listen = format!("--web.listen-address={address}");
    let arguments = ["run", "--config.file=sidewatch.yaml", &listen];
    let process = Process::sidewatch(&arguments, folder.path());
    let deadline = Duration::from_secs(60);
    let page = eventually("the metrics", deadline, async || {
        let page = get_text(&format!("http://{address}/metrics")).await?;
        let is_complete = page.contains("sidewatch_notifications_sent_total{");
        is_complete.then_some(page.clone()).ok_or(page)
    })
    .await;
    for url in ["http://127.0.0.1:9/", "http://127.0.0.1:9/ #2"] {
        let label = format!("alertmanager=\"{url}\"");
        let series = page
            .lines()
            .filter(|line| line.starts_with("sidewatch_notifications_sent_total{"))
            .filter(|line| line.contains(&label));
        assert_eq!(series.count(), 1, "{page}");
    }
    assert!(!page.contains("hush"));
    let warning = "sidewatch.yaml:1: scrape.targets[0].labels.pod: the reference to POD_NAME is taken literally; write ${POD_NAME}";
    assert!(process.output().contains(warning), "{}", process.output());
}
