//! The binary as the judge of a model with three replicas that it discovers by DNS, in front of
//! the real Alertmanager. Replicas are killed, the model is scaled to zero and back, versions
//! roll. The notifications must be correct.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::support::{
    DnsServer, Mood, Process, free_port, get_json, get_text, start_alertmanager, tool, until,
};

const SOON: Duration = Duration::from_secs(60);
const NAME: &str = "fraud-headless.";

const MODEL: &str = "groups:
- name: fraud
  rules:
  - watch: AccuracyDropped
    expr: sum(increase(right[3s])) / sum(increase(all[3s]))
    metric: accuracy
    strategy: {type: static, bound: 0.9}
    no_data: alert
    for: 1s
    retrain: {cooldown: 6h}
";

const VERSIONS: &str = "groups:
- name: fraud
  rules:
  - watch: VersionInaccurate
    expr: sum by (model_version) (increase(right[3s])) / sum by (model_version) (increase(all[3s]))
    metric: accuracy
    strategy: {type: static, bound: 0.9}
";

/// A replica whose counters go on with every scrape.
struct Replica {
    host: u8,
    percent: Arc<AtomicU64>,
    _server: MockServer,
}

struct Model {
    version: &'static str,
    percent: Arc<AtomicU64>,
    right: AtomicU64,
    all: AtomicU64,
}

impl Respond for Model {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let percent = self.percent.load(Ordering::SeqCst);
        let right = self.right.fetch_add(percent, Ordering::SeqCst);
        let all = self.all.fetch_add(100, Ordering::SeqCst);
        let version = self.version;
        let body = format!(
            "right{{model_version=\"{version}\"}} {right}\nall{{model_version=\"{version}\"}} {all}\n"
        );
        ResponseTemplate::new(200).set_body_raw(body, "text/plain; version=0.0.4")
    }
}

fn ip(host: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, host).into()
}

impl Replica {
    /// A server on an address of its own on loopback; its counters begin where a long life has
    /// brought them.
    async fn start(host: u8, port: u16, version: &'static str, percent: u64) -> Self {
        let listener = TcpListener::bind((ip(host), port)).unwrap();
        let server = MockServer::builder().listener(listener).start().await;
        let percent = Arc::new(AtomicU64::new(percent));
        let model = Model {
            version,
            percent: Arc::clone(&percent),
            right: AtomicU64::new(950_000),
            all: AtomicU64::new(1_000_000),
        };
        Mock::given(method("GET"))
            .respond_with(model)
            .mount(&server)
            .await;
        Self {
            host,
            percent,
            _server: server,
        }
    }
}

/// Everything that takes part.
struct Stage {
    dns: DnsServer,
    port: u16,
    replicas: Vec<Replica>,
    hook: MockServer,
    retraining: MockServer,
    judge: Process,
    url: String,
    _alertmanager: Process,
    dir: tempfile::TempDir,
}

async fn posts() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(202))
        .mount(&server)
        .await;
    server
}

fn start_judge(dir: &Path, url: &str) -> Process {
    let address = url.trim_start_matches("http://");
    let listen = format!("--web.listen-address={address}");
    Process::sidewatch(&["run", "--config.file=judge.yaml", &listen], dir)
}

impl Stage {
    async fn set(alertmanager: &Path, rules: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (hook, retraining) = (posts().await, posts().await);
        let route = format!(
            "route: {{receiver: hook, group_by: [alertname], group_wait: 100ms, group_interval: 500ms, repeat_interval: 1h}}\n\
             receivers: [{{name: hook, webhook_configs: [{{url: '{}', send_resolved: true}}]}}]\n",
            hook.uri()
        );
        fs::write(dir.path().join("am.yml"), route).unwrap();
        let (process, alertmanager) = start_alertmanager(alertmanager, dir.path()).await;
        let dns = DnsServer::start(1).await;
        let port = free_port();
        let config = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n\
             model: {{id: fraud, rollout_grace: 8s}}\n\
             scrape: {{discovery: {{dns: \"{NAME}:{port}\", type: A, server: \"{}\", refresh: 1s}}}}\n\
             rule_files: [rules.yaml]\n\
             alerting: {{resend_delay: 1s, alertmanagers: [{{url: \"{alertmanager}\"}}]}}\n\
             retraining: {{webhooks: [{{url: \"{}\"}}]}}\nstorage: {{path: state}}\n",
            dns.address,
            retraining.uri()
        );
        fs::write(dir.path().join("judge.yaml"), config).unwrap();
        fs::write(dir.path().join("rules.yaml"), rules).unwrap();
        let url = format!("http://127.0.0.1:{}", free_port());
        let judge = start_judge(dir.path(), &url);
        Self {
            dns,
            port,
            replicas: Vec::new(),
            hook,
            retraining,
            judge,
            url,
            _alertmanager: process,
            dir,
        }
    }

    async fn add(&mut self, host: u8, version: &'static str, percent: u64) {
        let replica = Replica::start(host, self.port, version, percent).await;
        self.replicas.push(replica);
    }

    /// DNS knows the replicas that are there.
    fn publish(&self) {
        let addresses: Vec<IpAddr> = self.replicas.iter().map(|r| ip(r.host)).collect();
        self.dns.set(NAME, &addresses);
    }

    fn serve(&self, percent: u64) {
        for replica in &self.replicas {
            replica.percent.store(percent, Ordering::SeqCst);
        }
    }

    /// Waits until exactly the replicas that are there are scraped, all of them well.
    async fn all_up(&self) {
        let hosts = self.replicas.iter();
        let mut wanted: Vec<String> = hosts
            .map(|replica| format!("{}:{} up", ip(replica.host), self.port))
            .collect();
        wanted.sort();
        until("the targets", SOON, async || {
            let answer = get_json(&format!("{}/api/v1/status/targets", self.url)).await?;
            let targets = answer["data"]["activeTargets"].as_array().unwrap();
            let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
            let mut found: Vec<String> = targets
                .iter()
                .map(|target| {
                    let instance = text(&target["labels"]["instance"]);
                    format!("{instance} {}", text(&target["health"]))
                })
                .collect();
            found.sort();
            if found == wanted {
                Ok(())
            } else {
                Err(format!("{found:?}, wanted {wanted:?}"))
            }
        })
        .await;
    }

    /// A counter or gauge of the judge by the beginning of its line.
    async fn metric(&self, start: &str) -> Result<f64, String> {
        let page = get_text(&format!("{}/metrics", self.url)).await?;
        let line = page.lines().find(|line| line.starts_with(start));
        let value = line.and_then(|line| line.rsplit(' ').next());
        value
            .and_then(|value| value.parse().ok())
            .ok_or_else(|| format!("no {start} in {page}"))
    }

    async fn wait_for(&self, start: &str, wanted: f64) {
        until(start, SOON, async || {
            let value = self.metric(start).await?;
            if value >= wanted {
                Ok(())
            } else {
                Err(format!("{value}"))
            }
        })
        .await;
    }

    /// Waits until the judge has asked DNS this many times more, a second each: longer than any
    /// lease or window.
    async fn some_time(&self, lookups: u32) {
        let name = "sidewatch_dns_lookups_total{";
        let now = until(name, SOON, || self.metric(name)).await;
        self.wait_for(name, now + f64::from(lookups)).await;
    }

    /// The state of a watch's only series, or of that with this label.
    async fn wait_for_state(&self, watch: &str, state: &str) {
        until(state, SOON, async || {
            let answer = get_json(&format!("{}/api/v1/signals", self.url)).await?;
            let signals = answer["data"]["signals"].as_array().unwrap();
            let found = signals
                .iter()
                .any(|signal| signal["rule"] == watch && signal["state"] == state);
            if found {
                Ok(())
            } else {
                Err(format!("{signals:?}"))
            }
        })
        .await;
    }

    /// Everything that people were told, in order: alert, version, state.
    async fn told(&self) -> Vec<String> {
        let requests = self.hook.received_requests().await.unwrap();
        let alerts = requests.iter().flat_map(|request| {
            let body: Value = request.body_json().unwrap();
            body["alerts"].as_array().unwrap().clone()
        });
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let told = alerts.map(|alert| {
            let labels = &alert["labels"];
            let (name, version) = (text(&labels["alertname"]), text(&labels["model_version"]));
            format!("{name} {version} {}", text(&alert["status"]))
        });
        told.collect()
    }

    async fn wait_until_told(&self, wanted: &[&str]) {
        until("the notification", SOON, async || {
            let told = self.told().await;
            if told == wanted {
                Ok(())
            } else {
                Err(format!("{told:?}, wanted {wanted:?}"))
            }
        })
        .await;
    }

    async fn requests(&self) -> usize {
        self.retraining.received_requests().await.unwrap().len()
    }
}

const FIRING: &str = "AccuracyDropped - firing";
const RESOLVED: &str = "AccuracyDropped - resolved";

#[tokio::test]
async fn replicas_come_and_go_and_people_hear_exactly_what_is_true() {
    let Some(alertmanager) = tool("alertmanager") else {
        return;
    };
    let mut stage = Stage::set(&alertmanager, MODEL).await;
    // Before anything runs: scaled to zero, and nothing is missing.
    stage.wait_for("sidewatch_dns_lookups_total{", 3.0).await;
    assert_eq!(stage.metric("sidewatch_discovered_targets{").await, Ok(0.0));
    assert_eq!(stage.told().await, [""; 0]);
    for host in [11, 12, 13] {
        stage.add(host, "1", 95).await;
    }
    stage.publish();
    stage.all_up().await;
    stage.wait_for_state("AccuracyDropped", "ok").await;

    // A replica is killed: first it does not answer, then DNS forgets it. Nobody hears of it.
    stage.replicas.pop();
    stage.wait_for("sidewatch_scrape_failures_total{model_id=\"fraud\",reason=\"connect\",target=\"127.0.0.13", 1.0).await;
    stage.publish();
    stage.all_up().await;
    // DNS fails for a while: the replicas that are known stay.
    stage.dns.set_mood(Mood::Fails);
    stage
        .wait_for("sidewatch_dns_lookup_failures_total{", 2.0)
        .await;
    stage.all_up().await;
    stage.dns.set_mood(Mood::Answers);
    stage.some_time(3).await;
    assert_eq!(stage.told().await, [""; 0]);

    // The model goes bad: one alert, one request.
    stage.serve(50);
    stage.wait_until_told(&[FIRING]).await;
    // A bad replica is killed: the model is as bad as before.
    stage.replicas.pop();
    stage.publish();
    stage.all_up().await;
    stage.some_time(5).await;
    assert_eq!(stage.told().await, [FIRING]);
    // Scaled to zero while it fires: nobody knows any better.
    stage.replicas.clear();
    stage.publish();
    stage.wait_for_state("AccuracyDropped", "idle").await;
    stage.some_time(7).await;
    assert_eq!(stage.told().await, [FIRING]);
    // The judge is restarted meanwhile, and remembers.
    stage.judge.signal("TERM");
    assert_eq!(stage.judge.ended(SOON).await.code(), Some(0));
    stage.judge = start_judge(stage.dir.path(), &stage.url);
    stage.wait_for_state("AccuracyDropped", "idle").await;
    stage.some_time(7).await;
    assert_eq!(stage.told().await, [FIRING]);
    // Back, and good.
    stage.add(21, "1", 95).await;
    stage.add(22, "1", 95).await;
    stage.publish();
    stage.wait_until_told(&[FIRING, RESOLVED]).await;
    assert_eq!(stage.requests().await, 1);

    // Scaled to zero and back while all is well.
    stage.replicas.clear();
    stage.publish();
    stage.wait_for_state("AccuracyDropped", "idle").await;
    stage.some_time(7).await;
    for host in [31, 32, 33] {
        stage.add(host, "1", 95).await;
    }
    stage.publish();
    stage.wait_for_state("AccuracyDropped", "ok").await;
    assert_eq!(stage.told().await, [FIRING, RESOLVED]);
    stage.judge.signal("TERM");
    assert_eq!(stage.judge.ended(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn a_version_that_rolls_is_given_time_and_one_that_stays_bad_is_told() {
    let Some(alertmanager) = tool("alertmanager") else {
        return;
    };
    let mut stage = Stage::set(&alertmanager, VERSIONS).await;
    for host in [51, 52, 53] {
        stage.add(host, "1", 95).await;
    }
    stage.publish();
    stage.all_up().await;
    stage.wait_for_state("VersionInaccurate", "ok").await;

    // One replica is of the next version, which is bad at its start and good after it.
    stage.replicas.pop();
    stage.add(54, "2", 85).await;
    stage.publish();
    stage.wait_for_state("VersionInaccurate", "anomalous").await;
    stage.replicas[2].percent.store(95, Ordering::SeqCst);
    until("version 2 to be good", SOON, async || {
        let pending = "sidewatch_active_alerts{group=\"fraud\",model_id=\"fraud\",rule=\"VersionInaccurate\",state=\"pending\"";
        match stage.metric(pending).await? {
            0.0 => Ok(()),
            some => Err(format!("{some}")),
        }
    })
    .await;
    stage.some_time(10).await;
    assert_eq!(stage.told().await, [""; 0]);

    // The version after that stays bad: it is told, once the grace is over, and of it alone.
    stage.replicas.pop();
    stage.add(55, "3", 85).await;
    stage.publish();
    stage.wait_for_state("VersionInaccurate", "anomalous").await;
    assert_eq!(stage.told().await, [""; 0]);
    stage.wait_until_told(&["VersionInaccurate 3 firing"]).await;
    // It is rolled back: its alert ends when it has been away for the grace.
    stage.replicas.pop();
    stage.add(56, "1", 95).await;
    stage.publish();
    stage.all_up().await;
    stage.some_time(3).await;
    let bad = "VersionInaccurate 3 firing";
    assert_eq!(stage.told().await, [bad]);
    stage
        .wait_until_told(&[bad, "VersionInaccurate 3 resolved"])
        .await;
    assert_eq!(stage.requests().await, 0);
}
