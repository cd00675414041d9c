//! Two instances of one judge: with one store, where the second stands by, and with two stores
//! behind the relay.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::cluster::{self, Cluster};
use super::relay::Relay;
use super::support::{Process, free_port, get_json, get_text, until, value_of};

const SOON: Duration = Duration::from_secs(60);

/// A model server whose accuracy is set by the test.
struct Model {
    server: MockServer,
    accuracy: Arc<Mutex<f64>>,
}

struct Accuracy(Arc<Mutex<f64>>);

impl Respond for Accuracy {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let accuracy = *self.0.lock().unwrap();
        let body = format!("# TYPE model_accuracy gauge\nmodel_accuracy {accuracy}\n");
        ResponseTemplate::new(200).set_body_raw(body, "text/plain; version=0.0.4; charset=utf-8")
    }
}

impl Model {
    async fn new() -> Self {
        let accuracy = Arc::new(Mutex::new(0.95));
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .respond_with(Accuracy(Arc::clone(&accuracy)))
            .mount(&server)
            .await;
        Self { server, accuracy }
    }

    fn set(&self, accuracy: f64) {
        *self.accuracy.lock().unwrap() = accuracy;
    }
}

/// One instance of the judge: a process and where it listens.
struct Judge {
    process: Process,
    address: String,
    directory: tempfile::TempDir,
}

const RULES: &str = "groups:
- name: iris
  rules:
  - watch: AccuracyDropped
    expr: avg(model_accuracy)
    strategy: {type: static, bound: 0.85, direction: below}
    labels: {retrain: \"true\"}
    retrain: {cooldown: 6h}
";

impl Judge {
    /// A judge with a state folder; `global` is added to `global:`, `rest` at the end.
    fn start(
        model: &Model,
        alertmanagers: &[String],
        state: &Path,
        global: &str,
        rest: &str,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let urls: Vec<String> = alertmanagers
            .iter()
            .map(|url| format!("{{url: '{url}'}}"))
            .collect();
        let config = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms{global}}}\n\
             model: {{id: iris, version: \"7\"}}\n\
             scrape:\n  targets:\n  - url: {}/metrics\n    labels: {{instance: iris}}\n\
             rule_files: [rules.yaml]\n\
             alerting:\n  resend_delay: 1s\n  alertmanagers: [{}]\n\
             storage: {{path: '{}'}}\n{rest}\n",
            model.server.uri(),
            urls.join(", "),
            state.display()
        );
        fs::write(directory.path().join("sidewatch.yaml"), config).unwrap();
        fs::write(directory.path().join("rules.yaml"), RULES).unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let listen = format!("--web.listen-address={address}");
        let args = [
            "run",
            "--config.file=sidewatch.yaml",
            "--storage.wait",
            &listen,
        ];
        let process = Process::sidewatch(&args, directory.path());
        Self {
            process,
            address,
            directory,
        }
    }

    async fn get(&self, path: &str) -> Result<String, String> {
        get_text(&format!("http://{}{path}", self.address)).await
    }

    async fn ready(&self) {
        until("ready", SOON, async || self.get("/-/ready").await).await;
    }

    async fn standby(&self) {
        until("the standby", SOON, async || {
            match self.get("/-/ready").await {
                Err(text) if text.contains("503") && text.contains("standby") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        assert!(self.get("/-/healthy").await.is_ok());
        assert_eq!(self.is_standby().await, Some(1.0));
    }

    async fn is_standby(&self) -> Option<f64> {
        let page = self.get("/metrics").await.unwrap();
        value_of(&page, &["sidewatch_standby"])
    }

    async fn evaluations(&self) -> f64 {
        let page = self.get("/metrics").await.unwrap();
        value_of(&page, &["sidewatch_rule_evaluations_total"]).unwrap_or(0.0)
    }

    /// Waits until it has evaluated this many times.
    async fn evaluated(&self, count: f64) {
        until("evaluations", SOON, async || {
            let found = self.evaluations().await;
            if found >= count { Ok(()) } else { Err(found) }
        })
        .await;
    }
}

async fn receiver() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(202))
        .mount(&server)
        .await;
    server
}

/// What the people behind Alertmanager were told: status and replica of each alert of each
/// notification.
async fn told(cluster: &Cluster) -> Vec<Vec<(String, String)>> {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let alerts = |body: &Value| {
        let alerts = body["alerts"].as_array().unwrap().iter();
        let mut told: Vec<_> = alerts
            .map(|alert| (text(&alert["status"]), text(&alert["labels"]["replica"])))
            .collect();
        told.sort();
        told
    };
    cluster.bodies().await.iter().map(alerts).collect()
}

async fn told_last(cluster: &Cluster, status: &str) {
    until("the notification", SOON, async || {
        let told = told(cluster).await;
        match told.last() {
            Some(last) if last.iter().all(|(found, _)| found == status) => Ok(()),
            _ => Err(format!("{told:?}")),
        }
    })
    .await;
}

/// When the alerts that fire began, as Alertmanager has it.
async fn starts(cluster: &Cluster) -> BTreeSet<String> {
    let alerts = get_json(&format!("{}/api/v2/alerts", cluster.urls[0]))
        .await
        .unwrap();
    let alerts = alerts.as_array().unwrap().clone();
    let start = |alert: &Value| alert["startsAt"].as_str().unwrap().to_owned();
    alerts.iter().map(start).collect()
}

#[tokio::test]
async fn the_second_instance_stands_by_and_nobody_hears_of_the_end_of_the_first() {
    let Some(binary) = cluster::binary() else {
        return;
    };
    let (model, webhook) = (Model::new().await, receiver().await);
    let cluster = cluster::start(&binary, 1).await;
    let state = tempfile::tempdir().unwrap();
    let webhooks = format!("retraining: {{webhooks: [{{url: '{}'}}]}}", webhook.uri());
    let judge = || Judge::start(&model, &cluster.urls, state.path(), "", &webhooks);

    let first = judge();
    first.ready().await;
    let second = judge();
    second.standby().await;
    model.set(0.5);
    told_last(&cluster, "firing").await;
    let began = starts(&cluster).await;
    assert_eq!(began.len(), 1);
    assert_eq!(first.is_standby().await, Some(0.0));
    assert!(second.evaluations().await < 1.0, "a standby judges nothing");

    // SIGKILL.
    let killed = Instant::now();
    drop(first);
    second.ready().await;
    let took = killed.elapsed();
    eprintln!("taken over after {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    second.evaluated(15.0).await;
    assert_eq!(starts(&cluster).await, began, "the same alert goes on");

    // A rolling update: a third comes, the second is asked to go.
    let third = judge();
    third.standby().await;
    let mut second = second;
    second.process.signal("TERM");
    assert!(second.process.ended(SOON).await.success());
    third.ready().await;
    third.evaluated(15.0).await;
    assert_eq!(starts(&cluster).await, began, "the same alert goes on");
    // The warning about file systems without locks is not for this one.
    assert!(!third.process.output().contains("run one instance only"));
    let all = told(&cluster).await;
    assert_eq!(all.len(), 1, "people were told once: {all:?}");
    assert_eq!(
        webhook.received_requests().await.unwrap().len(),
        1,
        "one request in three lives"
    );

    model.set(0.95);
    told_last(&cluster, "resolved").await;
    assert_eq!(told(&cluster).await.len(), 2);
    assert!(third.directory.path().exists());
}

#[tokio::test]
async fn a_standby_can_be_stopped_and_leaves_the_store_alone() {
    let model = Model::new().await;
    let state = tempfile::tempdir().unwrap();
    let first = Judge::start(&model, &[], state.path(), "", "");
    first.ready().await;
    let mut second = Judge::start(&model, &[], state.path(), "", "");
    second.standby().await;
    // Without a handler SIGHUP would end it.
    second.process.signal("HUP");
    second.standby().await;
    second.process.signal("TERM");
    assert!(second.process.ended(SOON).await.success());
    let before = first.evaluations().await;
    first.evaluated(before + 3.0).await;
    let files: Vec<_> = fs::read_dir(state.path()).unwrap().collect();
    assert_eq!(files.len(), 1, "{files:?}");
}

/// Routes to the relay what asks for retraining.
fn to_relay(relay: &Relay) -> (String, String) {
    let route = "{matchers: ['retrain=\"true\"'], receiver: relay, group_by: [model_id], group_wait: 1s, continue: true}, ";
    let receiver = format!(
        "{{name: relay, webhook_configs: [{{url: '{}', send_resolved: true, http_config: {{authorization: {{credentials: opensesame}}}}}}]}}, ",
        relay.url("/api/v1/alertmanager")
    );
    (route.to_owned(), receiver)
}

#[tokio::test]
async fn two_judges_at_once_are_two_alerts_one_request_and_no_false_end() {
    let Some(binary) = cluster::binary() else {
        return;
    };
    let relay = Relay::new(202).await;
    fs::write(relay.path().join("token"), "opensesame").unwrap();
    relay.configure("cooldown: 6h", "authorization: {credentials_file: token}");
    let _relay = relay.start(&[]);
    relay.ready().await;
    let (route, receiver) = to_relay(&relay);
    let cluster = cluster::start_with(&binary, 3, (&route, &receiver)).await;
    // Each sees the model its own way, as on two sides of a broken network.
    let (one, other) = (Model::new().await, Model::new().await);
    let states = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let judge = |model, replica: &str, state: &tempfile::TempDir| {
        let global = format!(", external_labels: {{replica: {replica}}}");
        Judge::start(model, &cluster.urls, state.path(), &global, "")
    };
    let a = judge(&one, "a", &states[0]);
    let b = judge(&other, "b", &states[1]);
    a.ready().await;
    b.ready().await;
    one.set(0.5);
    other.set(0.5);
    let both = |first: &str| {
        [(first, "b"), ("firing", "a")]
            .map(|(status, replica)| (status.to_owned(), replica.to_owned()))
    };
    let wait = async |wanted: &BTreeSet<(String, String)>| {
        until("the notification", SOON, async || {
            let told = told(&cluster).await;
            let found = told
                .iter()
                .any(|one| one.iter().cloned().collect::<BTreeSet<_>>() == *wanted);
            if found {
                Ok(())
            } else {
                Err(format!("{told:?}"))
            }
        })
        .await;
    };
    wait(&both("firing").into()).await;
    relay.asked(1).await;

    // One recovers: its alert ends, the other's goes on.
    other.set(0.95);
    wait(&both("resolved").into()).await;
    let before = a.evaluations().await;
    a.evaluated(before + 15.0).await;
    for member in 0..3 {
        let firing = cluster.firing(member, "replica").await;
        assert_eq!(firing, BTreeSet::from(["a".to_owned()]));
    }
    let ended_a = |alert: &(String, String)| alert == &("resolved".to_owned(), "a".to_owned());
    assert!(!told(&cluster).await.iter().flatten().any(ended_a));
    assert_eq!(
        relay.keys().await.len(),
        1,
        "one request for two judges and three Alertmanagers"
    );
}
