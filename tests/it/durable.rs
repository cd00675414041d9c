//! The state of the binary across restarts, crashes and reloads, observed by its receivers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use sidewatch::internals::runtime::clock;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::support::{Process, announce, free_port, get_text, until};

const SOON: Duration = Duration::from_secs(30);

/// A model server whose accuracy is set by the test, with receivers for everything that Sidewatch
/// sends.
struct World {
    directory: tempfile::TempDir,
    accuracy: Arc<Mutex<f64>>,
    target: MockServer,
    alertmanager: MockServer,
    posted: Posted,
    webhook: MockServer,
    address: String,
}

struct Accuracy(Arc<Mutex<f64>>);

impl Respond for Accuracy {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let accuracy = *self.0.lock().unwrap();
        let body = format!("# TYPE model_accuracy gauge\nmodel_accuracy {accuracy}\n");
        ResponseTemplate::new(200).set_body_raw(body, "text/plain; version=0.0.4; charset=utf-8")
    }
}

/// Alerts with the time at which they came.
type Posted = Arc<Mutex<Vec<(String, Value)>>>;

struct Collect(Posted);

impl Respond for Collect {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let at = sortable(&clock::now().to_string());
        let alerts: Vec<Value> = request.body_json().unwrap();
        let mut posted = self.0.lock().unwrap();
        posted.extend(alerts.into_iter().map(|alert| (at.clone(), alert)));
        ResponseTemplate::new(200)
    }
}

async fn collector(posted: &Posted) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(Collect(Arc::clone(posted)))
        .mount(&server)
        .await;
    server
}

async fn receiver(status: u16) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(status))
        .mount(&server)
        .await;
    server
}

const DROPPED: &str = "
  - watch: AccuracyDropped
    expr: model_accuracy
    strategy: {type: static, bound: 0.85, direction: below}
    retrain: {cooldown: 6h}
";
const LOW: &str = "
  - alert: AccuracyLow
    expr: model_accuracy < 0.85
";

fn rules(rules: &[&str]) -> String {
    format!("groups:\n- name: iris\n  rules:{}", rules.concat())
}

impl World {
    async fn new(webhook: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let accuracy = Arc::new(Mutex::new(0.95));
        let target = MockServer::start().await;
        Mock::given(method("GET"))
            .and(path("/metrics"))
            .respond_with(Accuracy(Arc::clone(&accuracy)))
            .mount(&target)
            .await;
        let posted = Posted::default();
        let world = Self {
            directory,
            accuracy,
            target,
            alertmanager: collector(&posted).await,
            posted,
            webhook: receiver(webhook).await,
            address: format!("127.0.0.1:{}", free_port()),
        };
        let config = format!(
            "global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}\n\
             model: {{id: iris}}\n\
             scrape:\n  targets:\n  - url: {}/metrics\n    labels: {{pod: iris-0}}\n\
             rule_files: [rules.yaml]\n\
             alerting:\n  resend_delay: 200ms\n  alertmanagers: [{{url: \"{}\"}}]\n\
             retraining:\n  webhooks: [{{url: \"{}/retrain\"}}]\n\
             storage: {{path: state}}\n",
            world.target.uri(),
            world.alertmanager.uri(),
            world.webhook.uri()
        );
        fs::write(world.path().join("sidewatch.yaml"), config).unwrap();
        world.write(&rules(&[DROPPED, LOW]));
        world
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, rules: &str) {
        fs::write(self.path().join("rules.yaml"), rules).unwrap();
    }

    fn set(&self, accuracy: f64) {
        *self.accuracy.lock().unwrap() = accuracy;
    }

    fn start(&self) -> Process {
        let listen = format!("--web.listen-address={}", self.address);
        let args = [
            "run",
            "--config.file=sidewatch.yaml",
            "--web.enable-lifecycle",
            &listen,
        ];
        Process::sidewatch(&args, self.path())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn ready(&self) {
        until("ready", SOON, async || {
            get_text(&self.url("/-/ready")).await
        })
        .await;
    }

    /// What Alertmanager was told of an alert: start and whether it had ended, by request.
    fn told(&self, name: &str) -> Vec<(String, bool)> {
        let posted = self.posted.lock().unwrap();
        let of_name = posted
            .iter()
            .filter(|(_, alert)| alert["labels"]["alertname"] == name);
        of_name
            .map(|(at, alert)| {
                let time = |key: &str| sortable(alert[key].as_str().unwrap());
                (time("startsAt"), time("endsAt") <= *at)
            })
            .collect()
    }

    async fn told_more(&self, name: &str, than: usize) -> Vec<(String, bool)> {
        until("more news", SOON, async || {
            let told = self.told(name);
            if told.len() > than {
                Ok(told)
            } else {
                Err(format!("{told:?}"))
            }
        })
        .await
    }

    async fn resolved(&self, name: &str) {
        until("the end of the alert", SOON, async || {
            let told = self.told(name);
            match told.last() {
                Some((_, true)) => Ok(()),
                _ => Err(format!("{told:?}")),
            }
        })
        .await;
    }

    /// The keys of the requests that the webhook got, one for each attempt.
    async fn keys(&self) -> Vec<String> {
        let requests = self.webhook.received_requests().await.unwrap();
        let key = |request: &Request| {
            let header = request.headers.get("idempotency-key").unwrap();
            header.to_str().unwrap().to_owned()
        };
        requests.iter().map(key).collect()
    }
}

/// A time of RFC 3339 in UTC in a form that sorts.
fn sortable(text: &str) -> String {
    let (seconds, fraction) = text
        .trim_end_matches('Z')
        .split_once('.')
        .unwrap_or((text.trim_end_matches('Z'), ""));
    format!("{seconds}.{fraction:0<9}")
}

#[tokio::test]
async fn a_crash_in_the_middle_of_an_alert_is_not_heard_of() {
    let world = World::new(202).await;
    let process = world.start();
    world.ready().await;
    world.set(0.5);
    world.told_more("AccuracyDropped", 2).await;
    let before = world.told_more("AccuracyLow", 2).await;
    // SIGKILL.
    drop(process);
    let _process = world.start();
    let after = world.told_more("AccuracyLow", before.len() + 5).await;
    let watch = world.told("AccuracyDropped");
    for told in [after, watch] {
        let starts: BTreeSet<&String> = told.iter().map(|(start, _)| start).collect();
        assert_eq!(starts.len(), 1, "one alert with one start: {told:?}");
        assert!(told.iter().all(|(_, ended)| !ended), "no end: {told:?}");
    }
    world.set(0.95);
    world.resolved("AccuracyLow").await;
    world.resolved("AccuracyDropped").await;
    // The cool-down survived as well: one request in both lives.
    assert_eq!(world.keys().await.len(), 1);
    let metrics = get_text(&world.url("/metrics")).await.unwrap();
    assert!(metrics.contains("sidewatch_storage_durable{model_id=\"iris\"} 1"));
}

async fn post(url: &str, body: &str) -> (u16, String) {
    let request = reqwest::Client::new().post(url);
    let request = request
        .header("content-type", "application/json")
        .body(body.to_owned());
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_reload_ends_removed_rules_keeps_the_others_and_refuses_mistakes_whole() {
    let world = World::new(202).await;
    let process = world.start();
    world.ready().await;
    world.set(0.5);
    world.told_more("AccuracyLow", 2).await;
    world.told_more("AccuracyDropped", 2).await;

    // Two mistakes: both are named, nothing changes.
    let wrong = rules(&[
        LOW,
        "\n  - alert: A\n    expr: sum(\n  - watch: B\n    expr: up\n",
    ]);
    world.write(&wrong);
    let (status, answer) = post(&world.url("/-/reload"), "").await;
    assert_eq!(status, 500);
    assert!(
        answer.contains("rules.yaml:8") && answer.contains("rules.yaml:9"),
        "{answer}"
    );
    let failed = "sidewatch_config_last_reload_successful{model_id=\"iris\"} 0";
    let metrics = get_text(&world.url("/metrics")).await.unwrap();
    assert!(metrics.contains(failed), "{metrics}");
    let before = world.told("AccuracyDropped").len();
    let told = world.told_more("AccuracyDropped", before + 2).await;
    assert!(told.iter().all(|(_, ended)| !ended), "{told:?}");

    // The watch is removed: it ends, the other goes on with its start.
    world.write(&rules(&[LOW]));
    process.signal("HUP");
    world.resolved("AccuracyDropped").await;
    let before = world.told("AccuracyLow").len();
    let told = world.told_more("AccuracyLow", before + 3).await;
    let starts: BTreeSet<&String> = told.iter().map(|(start, _)| start).collect();
    assert_eq!(starts.len(), 1, "{told:?}");
    assert!(told.iter().all(|(_, ended)| !ended), "{told:?}");
    let metrics = get_text(&world.url("/metrics")).await.unwrap();
    assert!(!metrics.contains(failed), "{metrics}");

    // It comes back and fires anew, although the end of the old one is still repeated.
    world.write(&rules(&[DROPPED, LOW]));
    assert_eq!(post(&world.url("/-/reload"), "").await.0, 200);
    let before = world.told("AccuracyDropped").len();
    let told = world.told_more("AccuracyDropped", before + 5).await;
    assert!(
        told[before + 1..].iter().all(|(_, ended)| !ended),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_rule_removed_while_the_process_was_down_is_ended_at_the_start() {
    let world = World::new(202).await;
    let process = world.start();
    world.ready().await;
    world.set(0.5);
    world.told_more("AccuracyDropped", 2).await;
    drop(process);
    world.write(&rules(&[LOW]));
    let _process = world.start();
    world.resolved("AccuracyDropped").await;
}

#[tokio::test]
async fn a_request_for_retraining_survives_a_crash_with_its_key_and_can_be_dropped_or_reported_done()
 {
    let world = World::new(503).await;
    let process = world.start();
    world.ready().await;
    world.set(0.5);
    let first = until("a first attempt", SOON, async || {
        world.keys().await.pop().ok_or("none")
    })
    .await;
    drop(process);
    let attempts = world.keys().await.len();
    let _process = world.start();
    until("another attempt", SOON, async || {
        if world.keys().await.len() > attempts {
            Ok(())
        } else {
            Err("none")
        }
    })
    .await;
    let keys: BTreeSet<String> = world.keys().await.into_iter().collect();
    assert_eq!(keys, BTreeSet::from([first.clone()]));

    let outbox = world.url("/api/v1/retraining/outbox");
    let list: Value = serde_json::from_str(&get_text(&outbox).await.unwrap()).unwrap();
    assert_eq!(list["data"][0]["request"]["id"], first.as_str());
    let receiver = list["data"][0]["receiver"].as_str().unwrap();
    let keys = serde_json::json!({ "keys": [format!("{receiver}/{first}")] }).to_string();
    let before = world.keys().await.len();
    assert_eq!(post(&format!("{outbox}/retry"), &keys).await.0, 200);
    until("the retry", SOON, async || {
        if world.keys().await.len() > before {
            Ok(())
        } else {
            Err("none")
        }
    })
    .await;
    assert_eq!(post(&format!("{outbox}/drop"), &keys).await.0, 200);
    assert_eq!(post(&format!("{outbox}/drop"), &keys).await.0, 404);
    assert_eq!(post(&format!("{outbox}/drop"), "{}").await.0, 400);
    let answer = announce(&world.address, "/api/v1/retraining/outbox/drop", 2 << 20).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let list: Value = serde_json::from_str(&get_text(&outbox).await.unwrap()).unwrap();
    assert_eq!(list["data"], serde_json::json!([]));

    let done = world.url(&format!("/api/v1/retraining/{first}/done"));
    assert_eq!(post(&done, "").await.0, 200);
    assert_eq!(post(&done, "").await.0, 404);
}

/// A watch that learns, with a short warm-up.
const LEARNED: &str = "
  - watch: AccuracyUnusual
    expr: model_accuracy
    direction: below
    strategy: {type: ewma, warm_up: 5, min_deviation: 0.01}
    keep_firing_for: 1h
";

#[tokio::test]
async fn a_new_level_is_accepted_over_http_and_the_last_notification_says_so() {
    let world = World::new(202).await;
    world.write(&rules(&[LEARNED]));
    let _process = world.start();
    world.ready().await;
    let signal = async || {
        let signals = get_text(&world.url("/api/v1/signals")).await?;
        let signals: Value = serde_json::from_str(&signals).unwrap();
        Ok::<_, String>(signals["data"]["signals"][0].clone())
    };
    let in_state = async |state: &str| {
        until(state, SOON, async || {
            let signal = signal().await?;
            let is = signal["state"] == state;
            if is {
                Ok(signal)
            } else {
                Err(signal.to_string())
            }
        })
        .await
    };
    let id = in_state("ok").await["id"].as_str().unwrap().to_owned();
    let accept = world.url(&format!("/api/v1/signals/{id}/accept"));
    assert_eq!(post(&accept, "").await.0, 409, "there is no incident");
    assert_eq!(post(&accept.replace(&id, "signal-x"), "").await.0, 404);
    assert_eq!(world.told("AccuracyUnusual"), []);

    world.set(0.5);
    let open = in_state("anomalous").await;
    let usual = open["incident"]["usual"].as_f64().unwrap();
    assert!((usual - 0.95).abs() < 1e-9, "{open}");
    let metrics = get_text(&world.url("/metrics")).await.unwrap();
    let is_open =
        |line: &&str| line.starts_with("sidewatch_incident_open{") && line.ends_with(" 1");
    assert_eq!(metrics.lines().filter(is_open).count(), 1, "{metrics}");
    assert!(metrics.contains("sidewatch_incident_started_timestamp_seconds{"));
    let page = get_text(&world.url("/")).await.unwrap();
    assert!(page.contains(&format!("data-accept=\"{id}\"")), "{page}");

    assert_eq!(post(&accept, "").await.0, 200);
    let ended = until("the end", SOON, async || {
        let posted = world.posted.lock().unwrap();
        let mut texts = posted
            .iter()
            .filter_map(|(_, alert)| alert["annotations"]["resolved"].as_str());
        texts.next_back().map(str::to_owned).ok_or("none")
    })
    .await;
    assert!(
        ended.starts_with("accepted as the new normal after "),
        "{ended}"
    );
    assert!(ended.ends_with(": 0.5, was 0.95"), "{ended}");
    in_state("ok").await;
    let metrics = get_text(&world.url("/metrics")).await.unwrap();
    let accepted = |line: &&str| {
        line.starts_with("sidewatch_baselines_accepted_total{") && line.ends_with(" 1")
    };
    assert_eq!(metrics.lines().filter(accepted).count(), 1, "{metrics}");
}

#[tokio::test]
async fn reloading_over_http_is_refused_unless_it_was_asked_for() {
    let world = World::new(202).await;
    let listen = format!("--web.listen-address={}", world.address);
    let args = ["run", "--config.file=sidewatch.yaml", &listen];
    let _process = Process::sidewatch(&args, world.path());
    world.ready().await;
    let (status, answer) = post(&world.url("/-/reload"), "").await;
    assert_eq!(status, 403);
    assert!(answer.contains("--web.enable-lifecycle"), "{answer}");
}

#[tokio::test]
async fn a_damaged_store_is_set_aside_and_nothing_stops() {
    let world = World::new(202).await;
    fs::create_dir(world.path().join("state")).unwrap();
    fs::write(world.path().join("state/sidewatch.redb"), [7; 70_000]).unwrap();
    let process = world.start();
    world.ready().await;
    assert!(
        process.output().contains("set aside"),
        "{}",
        process.output()
    );
    world.set(0.5);
    world.told_more("AccuracyDropped", 0).await;
}

/// The state of the watch's signal.
async fn state(world: &World) -> Result<String, String> {
    let signals: Value = serde_json::from_str(&get_text(&world.url("/api/v1/signals")).await?)
        .map_err(|error| error.to_string())?;
    let all = signals["data"].to_string();
    let judged = signals["data"]["signals"]
        .as_array()
        .or(signals["data"].as_array());
    let found = judged.and_then(|all| all.iter().find(|signal| signal["rule"] == "Odd"));
    let state = found.and_then(|signal| signal["state"].as_str());
    state.map(str::to_owned).ok_or(all)
}

async fn reaches(world: &World, wanted: &str) {
    until(wanted, SOON, async || match state(world).await {
        Ok(state) if state == wanted => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test]
async fn what_a_strategy_learnt_survives_and_another_strategy_learns_anew() {
    let watch = |warm_up: u32| {
        rules(&[&format!(
            "\n  - watch: Odd\n    expr: model_accuracy\n    strategy: {{type: ewma, warm_up: {warm_up}}}\n"
        )])
    };
    let world = World::new(202).await;
    world.write(&watch(20));
    let mut process = world.start();
    reaches(&world, "warming_up").await;
    reaches(&world, "ok").await;
    process.signal("TERM");
    assert_eq!(process.ended(SOON).await.code(), Some(0));

    let mut process = world.start();
    world.ready().await;
    // Twenty scrapes would take two seconds; the first verdict knows already.
    let first = until("a verdict", SOON, async || state(&world).await).await;
    assert_eq!(first, "ok");

    world.write(&watch(500));
    assert_eq!(post(&world.url("/-/reload"), "").await.0, 200);
    reaches(&world, "warming_up").await;
    process.signal("TERM");
    assert_eq!(process.ended(SOON).await.code(), Some(0));

    // Changed while nobody was looking: what is stored is of another strategy.
    world.write(&watch(400));
    let process = world.start();
    reaches(&world, "warming_up").await;
    assert!(
        process
            .output()
            .contains("the strategy changed and learns anew")
    );
}
