//! Three sidecars of one model, as the binary, in front of a cluster of three real
//! Alertmanagers.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::cluster::{binary, start};
use super::support::{Process, until};

const SOON: Duration = Duration::from_secs(30);

const RULES: &str = "
groups:
- name: fraud
  rules:
  - watch: AccuracyDropped
    expr: accuracy
    metric: accuracy
    strategy: {type: static, bound: 0.9}
    retrain: {cooldown: 6h}
";

/// A model whose accuracy is as good as it is told to be.
struct Model(Arc<AtomicBool>);

impl Respond for Model {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let accuracy = if self.0.load(Ordering::Relaxed) {
            0.95
        } else {
            0.5
        };
        ResponseTemplate::new(200).set_body_raw(format!("accuracy {accuracy}\n"), "text/plain")
    }
}

/// A pod: the model server and the sidecar on it.
struct Pod {
    good: Arc<AtomicBool>,
    _model: MockServer,
    sidecar: Process,
    _dir: TempDir,
}

async fn pod(name: &str, alertmanagers: &[String], webhook: &str) -> Pod {
    let good = Arc::new(AtomicBool::new(false));
    let model = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(Model(Arc::clone(&good)))
        .mount(&model)
        .await;
    let peers: Vec<String> = alertmanagers
        .iter()
        .map(|url| format!("{{url: \"{url}\"}}"))
        .collect();
    let config = format!(
        "global: {{scrape_interval: 200ms}}\nmodel: {{id: fraud, version: \"7\"}}\n\
         scrape: {{targets: [{{url: \"{}/metrics\", labels: {{pod: {name}, instance: {name}}}}}]}}\n\
         rule_files: [rules.yaml]\nalerting: {{alertmanagers: [{}]}}\n\
         retraining: {{webhooks: [{{url: \"{webhook}\"}}]}}\nstorage: {{path: state}}\n",
        model.uri(),
        peers.join(", ")
    );
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
    fs::write(dir.path().join("sidewatch.yaml"), config).unwrap();
    let args = [
        "run",
        "--config.file=sidewatch.yaml",
        "--web.listen-address=127.0.0.1:0",
    ];
    let sidecar = Process::sidewatch(&args, dir.path());
    Pod {
        good,
        _model: model,
        sidecar,
        _dir: dir,
    }
}

/// Every sidecar asks, and all of them under one key.
async fn check_one_key(webhook: &MockServer) {
    let requests = until("three requests", SOON, async || {
        let requests = webhook.received_requests().await.unwrap();
        if requests.len() >= 3 {
            Ok(requests)
        } else {
            Err(format!("{} requests", requests.len()))
        }
    })
    .await;
    let id = |request: &Request| {
        request.body_json::<Value>().unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let keys: BTreeSet<String> = requests.iter().map(id).collect();
    assert_eq!(
        keys.len(),
        1,
        "replicas of one model ask under one key: {keys:?}"
    );
}

#[tokio::test]
async fn three_sidecars_are_one_notification_and_one_retraining_key() {
    let Some(alertmanager) = binary() else {
        return;
    };
    let cluster = start(&alertmanager, 3).await;
    let webhook = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(202))
        .mount(&webhook)
        .await;
    let mut pods = Vec::new();
    for name in ["fraud-0", "fraud-1", "fraud-2"] {
        pods.push(pod(name, &cluster.urls, &webhook.uri()).await);
    }
    cluster
        .told(&[
            ("fraud-0", "firing"),
            ("fraud-1", "firing"),
            ("fraud-2", "firing"),
        ])
        .await;
    check_one_key(&webhook).await;

    pods[1].good.store(true, Ordering::Relaxed);
    cluster
        .told(&[
            ("fraud-0", "firing"),
            ("fraud-1", "resolved"),
            ("fraud-2", "firing"),
        ])
        .await;
    for member in 0..3 {
        let firing = cluster.firing(member, "pod").await;
        assert_eq!(
            firing,
            BTreeSet::from(["fraud-0".to_owned(), "fraud-2".to_owned()]),
            "member {member}"
        );
    }
    let all = cluster.notifications().await;
    assert_eq!(all.len(), 2, "nobody is told twice: {all:?}");
    for pod in &mut pods {
        pod.sidecar.signal("TERM");
        assert_eq!(pod.sidecar.ended(SOON).await.code(), Some(0));
    }
    assert_eq!(
        webhook.received_requests().await.unwrap().len(),
        3,
        "once per pod and cool-down"
    );
}
