//! The binary under every fault of its target and receivers: afterwards every alert is correct
//! and every request is delivered.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::support::{Fake, Fault, Process, free_port, get_json, get_text, until};

const SOON: Duration = Duration::from_secs(60);

const FAULTS: [Fault; 13] = [
    Fault::Refused,
    Fault::Reset,
    Fault::Hang,
    Fault::Slow,
    Fault::Garbage,
    Fault::Status(400),
    Fault::Status(403),
    Fault::Status(408),
    Fault::Status(413),
    Fault::Status(422),
    Fault::Status(429),
    Fault::Status(500),
    Fault::Status(503),
];

struct World {
    folder: tempfile::TempDir,
    bad: Arc<AtomicBool>,
    target: Fake,
    alertmanager: Fake,
    webhook: Fake,
    address: String,
}

impl World {
    async fn new() -> Self {
        let bad = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&bad);
        let target = Fake::start(move || {
            let accuracy = if seen.load(Ordering::SeqCst) {
                0.5
            } else {
                0.95
            };
            format!("# TYPE model_accuracy gauge\nmodel_accuracy {accuracy}\n")
        });
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            bad,
            target: target.await,
            alertmanager: Fake::start(String::new).await,
            webhook: Fake::start(String::new).await,
            address: format!("127.0.0.1:{}", free_port()),
        };
        let config = format!(
            "global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}\n\
             model: {{id: iris}}\n\
             scrape: {{targets: [{{url: \"http://{}/metrics\", labels: {{pod: iris-0}}}}]}}\n\
             rule_files: [rules.yaml]\n\
             alerting:\n  resend_delay: 200ms\n  alertmanagers: [{{url: \"http://{}\", timeout: 300ms}}]\n\
             retraining:\n  webhooks: [{{url: \"http://{}/retrain\", name: hook, timeout: 300ms}}]\n\
             storage: {{path: state}}\n",
            world.target.address, world.alertmanager.address, world.webhook.address
        );
        fs::write(world.folder.path().join("sidewatch.yaml"), config).unwrap();
        let rules = "groups:\n- name: iris\n  rules:\n  - watch: AccuracyDropped\n    expr: model_accuracy\n    \
                     strategy: {type: static, bound: 0.85, direction: below}\n    retrain: {cooldown: 1s}\n";
        fs::write(world.folder.path().join("rules.yaml"), rules).unwrap();
        world
    }

    fn start(&self) -> Process {
        let listen = format!("--web.listen-address={}", self.address);
        Process::sidewatch(
            &["run", "--config.file=sidewatch.yaml", &listen],
            self.folder.path(),
        )
    }

    fn set_bad(&self, bad: bool) {
        self.bad.store(bad, Ordering::SeqCst);
    }

    /// Whether Sidewatch itself says that the alert fires.
    async fn fires(&self) -> Result<bool, String> {
        let answer = get_json(&format!("http://{}/api/v1/alerts", self.address)).await?;
        let alerts = answer["data"]["alerts"].as_array().cloned();
        Ok(alerts
            .unwrap_or_default()
            .iter()
            .any(|alert| alert["state"] == "firing"))
    }

    async fn says(&self, firing: bool) {
        until("the alert's state", SOON, async || {
            match self.fires().await {
                Ok(fires) if fires == firing => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    /// The start of the last alert that Alertmanager took in, and whether it had ended.
    fn heard(&self) -> Option<(String, bool)> {
        let last = self.alertmanager.received().pop()?;
        let alerts: Vec<Value> = serde_json::from_str(&last.body).unwrap();
        let alert = alerts.last()?;
        let text = |key: &str| alert[key].as_str().unwrap().to_owned();
        let now = sidewatch::internals::runtime::clock::now().to_string();
        Some((text("startsAt"), text("endsAt").as_str() <= now.as_str()))
    }

    async fn hears(&self, ended: bool) -> String {
        until("Alertmanager to hear", SOON, async || match self.heard() {
            Some((start, is_over)) if is_over == ended => Ok(start),
            other => Err(format!("{other:?}, wanted the end: {ended}")),
        })
        .await
    }

    fn keys(&self) -> BTreeSet<String> {
        let received = self.webhook.received();
        let keys = received.iter().map(|request| {
            let key = request
                .head
                .lines()
                .find_map(|line| line.strip_prefix("idempotency-key: "));
            key.unwrap().to_owned()
        });
        keys.collect()
    }

    async fn metric(&self, name: &str) -> Result<f64, String> {
        let page = get_text(&format!("http://{}/metrics", self.address)).await?;
        let values = page
            .lines()
            .filter(|line| line.starts_with(name) && !line.starts_with('#'))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }

    /// Every request that was decided has arrived; the dead are given another chance by hand.
    async fn all_arrive(&self, decided: &BTreeSet<String>) {
        let client = reqwest::Client::new();
        let outbox = format!("http://{}/api/v1/retraining/outbox", self.address);
        until("every request", SOON, async || {
            let arrived = self.keys();
            let missing: Vec<String> = decided
                .difference(&arrived)
                .map(|id| format!("hook/{id}"))
                .collect();
            if missing.is_empty() {
                return Ok(());
            }
            if self.metric("sidewatch_retraining_dead_letters{").await? > 0.0 {
                let retry = client.post(format!("{outbox}/retry"));
                let retry = retry.header("content-type", "application/json");
                let keys = serde_json::json!({ "keys": missing });
                let sent = retry.body(keys.to_string()).send().await;
                return Err(format!("dead: {sent:?}"));
            }
            Err(format!("{missing:?} of {} are missing", decided.len()))
        })
        .await;
    }
}

/// Waits until Alertmanager was tried twice in vain.
async fn tried(server: &Fake, fault: Fault) {
    let before = server.attempts();
    until("two attempts", SOON, async || {
        // Nobody sees connections that are refused.
        let failed = if fault == Fault::Refused {
            2
        } else {
            server.attempts() - before
        };
        if failed >= 2 { Ok(()) } else { Err(failed) }.map_err(|n: usize| n.to_string())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_are_right_after_every_fault_of_alertmanager() {
    let world = World::new().await;
    let _process = world.start();
    world.says(false).await;
    let mut starts = BTreeSet::new();
    for fault in FAULTS {
        world.alertmanager.set(fault);
        world.set_bad(true);
        world.says(true).await;
        tried(&world.alertmanager, fault).await;
        world.alertmanager.set(Fault::None);
        let start = world.hears(false).await;
        assert!(
            starts.insert(start.clone()),
            "{fault:?} lost an alert: {start}"
        );
        // The end is told through the fault, too.
        world.alertmanager.set(fault);
        world.set_bad(false);
        world.says(false).await;
        world.alertmanager.set(Fault::None);
        assert_eq!(world.hears(true).await, start, "{fault:?}");
    }
    assert_eq!(starts.len(), FAULTS.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_arrives_after_every_fault_of_the_webhook() {
    let world = World::new().await;
    let process = world.start();
    world.says(false).await;
    for fault in FAULTS {
        world.webhook.set(fault);
        let before = process.decided().len();
        let failures = world
            .metric("sidewatch_retraining_failures_total{")
            .await
            .unwrap();
        world.set_bad(true);
        until("another request", SOON, async || {
            let now = world.metric("sidewatch_retraining_failures_total{").await?;
            let asked = process.decided().len();
            if asked > before && now > failures {
                Ok(())
            } else {
                Err(format!("{asked} asked, {now} failures"))
            }
        })
        .await;
        world.set_bad(false);
        world.says(false).await;
        world.webhook.set(Fault::None);
        world.all_arrive(&process.decided()).await;
    }
    assert!(process.decided().len() >= FAULTS.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_outlives_every_fault_of_the_target_and_ends_after_it() {
    let world = World::new().await;
    let _process = world.start();
    for fault in FAULTS {
        world.set_bad(true);
        world.says(true).await;
        let start = world.hears(false).await;
        world.target.set(fault);
        let failures = world
            .metric("sidewatch_scrape_failures_total{")
            .await
            .unwrap();
        until("failed scrapes", SOON, async || {
            let now = world.metric("sidewatch_scrape_failures_total{").await?;
            if now >= failures + 5.0 {
                Ok(())
            } else {
                Err(now.to_string())
            }
        })
        .await;
        assert_eq!(world.fires().await, Ok(true), "{fault:?}");
        assert_eq!(world.heard(), Some((start.clone(), false)), "{fault:?}");
        world.target.set(Fault::None);
        world.set_bad(false);
        world.says(false).await;
        assert_eq!(world.hears(true).await, start, "{fault:?}");
    }
}
