//! Delivery to the real Alertmanager, alone and as a cluster of three, observed at the webhook
//! behind it.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use sidewatch::internals::notify::Alertmanagers;
use sidewatch::internals::notify::alertmanager::{PeerSettings, Settings, Stats};
use sidewatch::internals::runtime::clock::now;
use sidewatch::internals::state::{Batch, Kind as Record, Store};
use sidewatch_engine::alert::{
    Alert, AlertKind, AlertRule, AlertState, Condition, Context, Observation, Outcome, Tracker,
};
use sidewatch_engine::metric::{Labels, Timestamp};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::method};

use super::support::notify::{alert, http_client};
use super::support::{Process, get_json, get_text, tool, until};

const SOON: Duration = Duration::from_secs(60);

/// Alertmanagers on loopback that tell one webhook.
pub(crate) struct Cluster {
    pub(crate) urls: Vec<String>,
    hook: MockServer,
    _processes: Vec<(Process, TempDir)>,
}

/// Ports that are free at the same time.
fn ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    held.iter()
        .map(|listener| listener.local_addr().unwrap().port())
        .collect()
}

pub(crate) async fn start(binary: &Path, size: usize) -> Cluster {
    start_with(binary, size, ("", "")).await
}

/// The same with child routes and receivers of the caller's, as YAML lists; the hook is told of
/// everything all the same.
pub(crate) async fn start_with(binary: &Path, size: usize, more: (&str, &str)) -> Cluster {
    start_patient(binary, size, more, 15).await
}

/// The same; a member waits so many seconds for each one before it, which may tell people first.
pub(crate) async fn start_patient(
    binary: &Path,
    size: usize,
    (routes, receivers): (&str, &str),
    peer_timeout: u32,
) -> Cluster {
    let hook = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&hook)
        .await;
    let config = format!(
        "route: {{receiver: hook, group_by: [alertname, model_id], group_wait: 2s, group_interval: 2s, repeat_interval: 1h, routes: [{routes}{{receiver: hook}}]}}\n\
         receivers: [{receivers}{{name: hook, webhook_configs: [{{url: '{}', send_resolved: true}}]}}]\n",
        hook.uri()
    );
    // Somebody else may take a free port before Alertmanager does.
    for _ in 0..5 {
        let (urls, processes) = members(binary, size, &config, peer_timeout);
        if together(&urls, &processes).await {
            return Cluster {
                urls,
                hook,
                _processes: processes,
            };
        }
    }
    panic!("no free ports for {size} Alertmanagers");
}

type Members = (Vec<String>, Vec<(Process, TempDir)>);

fn members(binary: &Path, size: usize, config: &str, peer_timeout: u32) -> Members {
    let free = ports(2 * size);
    let (web, mesh) = free.split_at(size);
    let (mut urls, mut processes) = (Vec::new(), Vec::new());
    for (web, own) in web.iter().zip(mesh) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("am.yml"), config).unwrap();
        let mut arguments = vec![
            "--config.file=am.yml".to_owned(),
            "--storage.path=data".to_owned(),
            format!("--web.listen-address=127.0.0.1:{web}"),
        ];
        if size == 1 {
            arguments.push("--cluster.listen-address=".to_owned());
        } else {
            arguments.push(format!("--cluster.listen-address=127.0.0.1:{own}"));
            arguments.push(format!("--cluster.advertise-address=127.0.0.1:{own}"));
            arguments.push("--cluster.gossip-interval=50ms".to_owned());
            arguments.push(format!("--cluster.peer-timeout={peer_timeout}s"));
            arguments.push("--cluster.reconnect-interval=1s".to_owned());
            let others = mesh.iter().filter(|port| *port != own);
            arguments.extend(others.map(|port| format!("--cluster.peer=127.0.0.1:{port}")));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let process = Process::start(binary, &arguments, directory.path());
        processes.push((process, directory));
        urls.push(format!("http://127.0.0.1:{web}"));
    }
    (urls, processes)
}

/// Waits until all members know each other; `false` when one could not listen.
async fn together(urls: &[String], processes: &[(Process, TempDir)]) -> bool {
    let taken = || {
        processes
            .iter()
            .any(|(process, _)| process.output().contains("address already in use"))
    };
    for url in urls {
        let peers = async || {
            if taken() {
                return Ok(());
            }
            get_text(&format!("{url}/-/ready")).await?;
            let status = get_json(&format!("{url}/api/v2/status")).await?;
            let found = status["cluster"]["peers"]
                .as_array()
                .map_or(1, |peers| peers.len().max(1));
            if found == urls.len() {
                Ok(())
            } else {
                Err(format!("{found} members"))
            }
        };
        until("the cluster", SOON, peers).await;
    }
    !taken()
}

impl Cluster {
    /// The notifications so far, as they came.
    pub(crate) async fn bodies(&self) -> Vec<Value> {
        let requests = self.hook.received_requests().await.unwrap();
        let bodies = requests.iter().map(|request| request.body_json().unwrap());
        bodies.collect()
    }

    /// The notifications so far: alert group, and state by pod.
    pub(crate) async fn notifications(&self) -> Vec<Vec<(String, String)>> {
        let requests = self.hook.received_requests().await.unwrap();
        let bodies = requests
            .iter()
            .map(|request| request.body_json::<Value>().unwrap());
        bodies
            .map(|body| {
                let alerts = body["alerts"].as_array().unwrap();
                let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
                let mut pods: Vec<_> = alerts
                    .iter()
                    .map(|a| (text(&a["labels"]["pod"]), text(&a["status"])))
                    .collect();
                pods.sort();
                pods
            })
            .collect()
    }

    /// Waits for a notification with exactly these pods and states.
    pub(crate) async fn told(&self, wanted: &[(&str, &str)]) {
        let wanted: Vec<(String, String)> = wanted
            .iter()
            .map(|(p, s)| ((*p).to_owned(), (*s).to_owned()))
            .collect();
        let look = async || {
            let seen = self.notifications().await;
            if seen.contains(&wanted) {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        };
        until("the notification", SOON, look).await;
    }

    /// The states the webhook was told of one pod, in order.
    async fn told_of(&self, pod: &str) -> Vec<String> {
        let all = self.notifications().await.into_iter().flatten();
        all.filter(|(name, _)| name == pod)
            .map(|(_, state)| state)
            .collect()
    }

    /// Labels of the alerts that fire according to one member.
    pub(crate) async fn firing(&self, member: usize, label: &str) -> BTreeSet<String> {
        let found = get_json(&format!("{}/api/v2/alerts", self.urls[member]))
            .await
            .unwrap();
        let found = found.as_array().unwrap().clone();
        found
            .iter()
            .filter_map(|alert| alert["labels"][label].as_str().map(str::to_owned))
            .collect()
    }
}

/// The alert of one replica, as its sidecar would send it now.
fn replica(pod: &str, started: Timestamp, state: AlertState) -> Alert {
    let mut alert = alert(
        "AccuracyDropped",
        state,
        &[("model_id", "fraud"), ("pod", pod)],
    );
    alert.fired_at = Some(started);
    alert.resolved_at = (state == AlertState::Resolved).then(now);
    alert.ends_at = Some(
        alert
            .resolved_at
            .unwrap_or(now() + Duration::from_secs(240)),
    );
    alert
}

/// One sidecar's deliveries to every member.
fn sidecar(urls: &[String], loops: &mut JoinSet<()>, stop: &CancellationToken) -> Alertmanagers {
    let peer = |url: &String| PeerSettings {
        url: url.clone(),
        timeout: Duration::from_secs(5),
        relabel: Vec::new(),
        client: http_client(),
        discovery: None,
    };
    let settings = Settings::new(urls.iter().map(peer).collect());
    let (handle, runner) = Alertmanagers::new(settings);
    loops.spawn(runner.run(stop.clone()));
    handle
}

pub(crate) fn binary() -> Option<PathBuf> {
    tool("alertmanager")
}

#[tokio::test]
async fn three_replicas_are_one_notification_and_one_recovery_leaves_the_others_firing() {
    let Some(binary) = binary() else {
        return;
    };
    let cluster = start(&binary, 3).await;
    let (mut loops, stop) = (JoinSet::new(), CancellationToken::new());
    let pods = ["fraud-0", "fraud-1", "fraud-2"];
    let sidecars: Vec<Alertmanagers> = pods
        .iter()
        .map(|_| sidecar(&cluster.urls, &mut loops, &stop))
        .collect();
    let started = now();
    for (pod, handle) in pods.iter().zip(&sidecars) {
        handle.send(&[replica(pod, started, AlertState::Firing)]);
    }
    cluster
        .told(&[
            ("fraud-0", "firing"),
            ("fraud-1", "firing"),
            ("fraud-2", "firing"),
        ])
        .await;
    // The lease is renewed: nobody is told again.
    for (pod, handle) in pods.iter().zip(&sidecars) {
        handle.send(&[replica(pod, started, AlertState::Firing)]);
    }
    sidecars[1].send(&[replica("fraud-1", started, AlertState::Resolved)]);
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
    assert_eq!(
        cluster.notifications().await.len(),
        2,
        "{:?}",
        cluster.notifications().await
    );
    stop.cancel();
    while loops.join_next().await.is_some() {}
}

#[tokio::test]
async fn the_real_alertmanager_takes_what_is_good_and_refuses_only_what_is_not() {
    let Some(binary) = binary() else {
        return;
    };
    let cluster = start(&binary, 1).await;
    let (mut loops, stop) = (JoinSet::new(), CancellationToken::new());
    let handle = sidecar(&cluster.urls, &mut loops, &stop);
    let started = now();
    let mut alerts: Vec<Alert> = (0..100)
        .map(|n| replica(&format!("pod-{n}"), started, AlertState::Firing))
        .collect();
    alerts[42].labels = alerts[42].labels.with("not-a-name", "x");
    alerts[43].generator_url = "no url at all".into();
    alerts[44].annotations = alerts[44]
        .annotations
        .with("summary", "quotes \" and \u{1F4C9} and \\ and \n");
    handle.send(&alerts);
    let quiet = async || {
        if handle.is_idle() {
            Ok(())
        } else {
            Err("busy")
        }
    };
    until("the queue to empty", SOON, quiet).await;
    let pods = cluster.firing(0, "pod").await;
    let Stats { sent, dropped, .. } = handle.stats().remove(0);
    assert_eq!(sent + dropped, 100);
    assert_eq!((pods.len(), pods.contains("pod-42")), (99, false));
    let shown = get_json(&format!(
        "{}/api/v2/alerts?filter=pod%3D%22pod-44%22",
        cluster.urls[0]
    ))
    .await
    .unwrap();
    assert_eq!(
        shown[0]["annotations"]["summary"],
        "quotes \" and \u{1F4C9} and \\ and \n"
    );
    assert_eq!(
        shown[0]["fingerprint"],
        format!("{:016x}", alerts[44].fingerprint())
    );
    stop.cancel();
    while loops.join_next().await.is_some() {}
}

/// One life of a sidecar: a rule, its state in the store, deliveries; `stop` is not called, as in a
/// crash.
struct Life {
    tracker: Tracker,
    rule: AlertRule,
    store: Store,
    handle: Alertmanagers,
    _loops: JoinSet<()>,
}

impl Life {
    fn start(directory: &Path, urls: &[String]) -> Self {
        let (store, opened) = Store::open(directory, now()).unwrap();
        assert_eq!(opened.set_aside, None);
        let mut loops = JoinSet::new();
        let handle = sidecar(urls, &mut loops, &CancellationToken::new());
        let rule = AlertRule {
            name: "AccuracyDropped".into(),
            kind: AlertKind::Watch,
            interval: Duration::from_secs(1),
            ..AlertRule::default()
        };
        let tracker = store
            .get(Record::Alerts, "r")
            .map_or_else(Tracker::new, Tracker::restore);
        let mut life = Self {
            tracker,
            rule,
            store,
            handle,
            _loops: loops,
        };
        life.send();
        life
    }

    fn send(&mut self) {
        let due = self.tracker.due(
            &self.rule,
            now(),
            Duration::from_secs(1),
            &Context::default(),
        );
        self.handle.send(&due);
        let mut batch = Batch::new();
        batch
            .put(Record::Alerts, "r", &self.tracker.snapshot())
            .unwrap();
        self.store.commit(batch).unwrap();
    }

    fn tick(&mut self, condition: Condition) {
        let labels = Labels::named("accuracy", [("model_id", "fraud"), ("pod", "fraud-0")]);
        let observation = Observation {
            condition,
            ..Observation::active(labels, 0.5)
        };
        let outcome = Outcome::Observed(vec![observation]);
        self.tracker
            .evaluate(&self.rule, now(), outcome, &Context::default());
        self.send();
    }

    /// Ticks four times a second until `end` holds of what the webhook was told.
    async fn run(&mut self, cluster: &Cluster, condition: Condition, told: &[&str]) {
        let mut ticks = tokio::time::interval(Duration::from_millis(250));
        let deadline = tokio::time::Instant::now() + SOON;
        while cluster.told_of("fraud-0").await != told {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{:?}",
                cluster.told_of("fraud-0").await
            );
            ticks.tick().await;
            self.tick(condition);
        }
    }

    /// Ticks for a while.
    async fn run_for(&mut self, condition: Condition, time: Duration) {
        let mut ticks = tokio::time::interval(Duration::from_millis(250));
        let end = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < end {
            ticks.tick().await;
            self.tick(condition);
        }
    }
}

#[tokio::test]
async fn nobody_hears_of_a_crash_or_of_missing_data_in_the_middle_of_an_alert() {
    let Some(binary) = binary() else {
        return;
    };
    let cluster = start(&binary, 1).await;
    let directory = tempfile::tempdir().unwrap();
    let mut first = Life::start(directory.path(), &cluster.urls);
    first.run(&cluster, Condition::Active, &["firing"]).await;
    drop(first);
    // Longer than a tick, shorter than the lease of four seconds.
    let mut second = Life::start(directory.path(), &cluster.urls);
    second
        .run_for(Condition::NoData, Duration::from_secs(5))
        .await;
    second
        .run_for(Condition::Active, Duration::from_secs(1))
        .await;
    assert_eq!(cluster.told_of("fraud-0").await, ["firing"]);
    second
        .run(&cluster, Condition::Healthy, &["firing", "resolved"])
        .await;
    // It comes back and its rule is removed.
    second
        .run(
            &cluster,
            Condition::Active,
            &["firing", "resolved", "firing"],
        )
        .await;
    second
        .tracker
        .retire_all(&second.rule, now(), &Context::default());
    second.send();
    let ended = async || {
        let told = cluster.told_of("fraud-0").await;
        if told == ["firing", "resolved", "firing", "resolved"] {
            Ok(())
        } else {
            Err(format!("{told:?}"))
        }
    };
    until("the end of the removed rule", SOON, ended).await;
}
