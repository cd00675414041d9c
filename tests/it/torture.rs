//! Faults of machine, network and target. `docs/RELIABILITY.md` lists them with figures.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::support::{Fake, Process, free_port, get_json, get_text, until};

pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A watch, a plain alert with `for`, and a request for retraining.
pub(crate) const RULES: &str = "groups:
- name: iris
  rules:
  - watch: AccuracyDropped
    expr: model_accuracy
    strategy: {type: static, bound: 0.85, direction: below}
    retrain: {cooldown: 1s}
  - alert: LoadHigh
    expr: model_load > 1
    for: 4s
";

/// The binary with a target and receivers of the test.
pub(crate) struct Rig {
    pub(crate) folder: tempfile::TempDir,
    body: Arc<Mutex<String>>,
    pub(crate) target: Fake,
    pub(crate) alertmanager: Fake,
    pub(crate) webhook: Fake,
    pub(crate) address: String,
    pub(crate) url: String,
    pub(crate) interval: &'static str,
    pub(crate) timeout: &'static str,
    pub(crate) storage: PathBuf,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        let body = Arc::new(Mutex::new(good()));
        let seen = Arc::clone(&body);
        let mut rig = Self::serving(move || seen.lock().unwrap().clone()).await;
        rig.body = body;
        rig
    }

    /// One whose target makes its body for every scrape.
    pub(crate) async fn serving(answer: impl Fn() -> String + Send + Sync + 'static) -> Self {
        let target = Fake::start(answer).await;
        let rig = Self {
            folder: tempfile::tempdir().unwrap(),
            body: Arc::default(),
            url: format!("http://{}", target.address),
            target,
            alertmanager: Fake::start(String::new).await,
            webhook: Fake::start(String::new).await,
            address: format!("127.0.0.1:{}", free_port()),
            interval: "100ms",
            timeout: "100ms",
            storage: "state".into(),
        };
        rig.write_rules(RULES);
        rig
    }

    pub(crate) fn every(&mut self, interval: &'static str) {
        (self.interval, self.timeout) = (interval, interval);
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write_rules(&self, rules: &str) {
        fs::write(self.path().join("rules.yaml"), rules).unwrap();
    }

    pub(crate) fn serve(&self, body: String) {
        *self.body.lock().unwrap() = body;
    }

    pub(crate) fn write_config(&self, alertmanager: &str, webhook: &str) {
        let (interval, timeout, url) = (self.interval, self.timeout, &self.url);
        let config = format!(
            "global: {{scrape_interval: {interval}, scrape_timeout: {timeout}}}\n\
             model: {{id: iris}}\n\
             scrape: {{targets: [{{url: \"{url}/metrics\", labels: {{pod: iris-0}}}}]}}\n\
             rule_files: [rules.yaml]\n\
             alerting:\n  resend_delay: 500ms\n  alertmanagers: [{{url: \"{alertmanager}\", timeout: 2s}}]\n\
             retraining:\n  webhooks: [{{url: \"{webhook}/retrain\", name: hook, timeout: 2s}}]\n\
             storage: {{path: {}}}\n",
            self.storage.display()
        );
        fs::write(self.path().join("sidewatch.yaml"), config).unwrap();
    }

    /// Starts the binary under another program, such as `env`, or directly when there is none.
    pub(crate) fn start_under(&self, wrapper: &[&str], flags: &[&str]) -> Process {
        self.write_config(
            &format!("http://{}", self.alertmanager.address),
            &format!("http://{}", self.webhook.address),
        );
        self.start_configured(wrapper, flags)
    }

    pub(crate) fn start_configured(&self, wrapper: &[&str], flags: &[&str]) -> Process {
        let listen = format!("--web.listen-address={}", self.address);
        let mut args: Vec<&str> = wrapper.to_vec();
        args.push(env!("CARGO_BIN_EXE_sidewatch"));
        args.extend(["run", "--config.file=sidewatch.yaml", &listen]);
        args.extend(flags);
        Process::start(Path::new(args[0]), &args[1..], self.path())
    }

    pub(crate) fn start(&self) -> Process {
        self.start_under(&[], &[])
    }

    pub(crate) async fn page(&self) -> Result<String, String> {
        get_text(&format!("http://{}/metrics", self.address)).await
    }

    /// The sum over the series of this name; a part of their labels may follow.
    pub(crate) async fn metric(&self, name: &str) -> Result<f64, String> {
        let page = self.page().await?;
        let values = page
            .lines()
            .filter(|line| line.starts_with(name) && !line.starts_with('#'))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }

    pub(crate) async fn metric_is(&self, name: &str, holds: impl Fn(f64) -> bool) -> f64 {
        until(name, SOON, async || match self.metric(name).await {
            Ok(value) if holds(value) => Ok(value),
            other => Err(format!("{other:?}")),
        })
        .await
    }

    /// So many more scrapes have succeeded.
    pub(crate) async fn ticks(&self, count: usize) {
        let before = self.target.attempts();
        until("more scrapes", SOON, async || {
            let now = self.target.attempts() - before;
            if now > count {
                Ok(())
            } else {
                Err(now.to_string())
            }
        })
        .await;
    }

    /// State and start of an alert, as the binary itself says.
    pub(crate) async fn alert(&self, name: &str) -> Result<Option<(String, String)>, String> {
        let answer = get_json(&format!("http://{}/api/v1/alerts", self.address)).await?;
        let alerts = answer["data"]["alerts"].as_array().cloned();
        let found = alerts
            .unwrap_or_default()
            .into_iter()
            .find(|alert| alert["labels"]["alertname"] == name);
        let text = |alert: &Value, key: &str| alert[key].as_str().unwrap().to_owned();
        Ok(found.map(|alert| (text(&alert, "state"), text(&alert, "activeAt"))))
    }

    /// Waits until the alert is in this state and gives its start.
    pub(crate) async fn alert_is(&self, name: &str, state: &str) -> String {
        until(name, SOON, async || match self.alert(name).await {
            Ok(Some((is, start))) if is == state => Ok(start),
            other => Err(format!("{other:?}, wanted {state}")),
        })
        .await
    }

    pub(crate) async fn alert_is_gone(&self, name: &str) {
        until(name, SOON, async || match self.alert(name).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }

    /// Every alert that Alertmanager was told of, in order.
    pub(crate) fn told(&self) -> Vec<Value> {
        let received = self.alertmanager.received();
        let alerts = received
            .iter()
            .flat_map(|post| serde_json::from_str::<Vec<Value>>(&post.body).unwrap());
        alerts.collect()
    }
}

/// Whether it ever held that the alert ended; Alertmanager hears of nothing else.
pub(crate) fn said_to_end(process: &Process, name: &str) -> bool {
    process
        .output()
        .contains(&format!("alert={name} state=resolved"))
}

pub(crate) fn good() -> String {
    "model_accuracy 0.95\nmodel_load 0.5\n".to_owned()
}

pub(crate) fn bad() -> String {
    "model_accuracy 0.5\nmodel_load 2\n".to_owned()
}

/// Bytes of a field of `/proc/PID/status`.
pub(crate) fn memory(process: &Process, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_rules_are_evaluated_in_every_interval() {
    let mut rig = Rig::new().await;
    rig.every("1s");
    let mut rules = "groups:\n- name: many\n  rules:\n".to_owned();
    let mut body = String::new();
    for n in 0..500 {
        writeln!(body, "load{{worker=\"{n}\"}} {}", n % 7).unwrap();
        writeln!(
            rules,
            "  - {{record: 'share:{n}', expr: 'load{{worker=\"{n}\"}} / 7'}}\n  \
             - {{watch: Odd{n}, expr: 'share:{n}', strategy: {{type: ewma, warm_up: 3}}}}"
        )
        .unwrap();
    }
    rig.write_rules(&rules);
    rig.serve(body);
    let started = Instant::now();
    let process = rig.start();
    rig.metric_is("sidewatch_signal_state{", |states| states >= 500.0)
        .await;
    let ready = started.elapsed();
    let (scrapes, from) = (rig.target.attempts(), Instant::now());
    rig.ticks(8).await;
    let missed = from.elapsed().as_secs_f64()
        - f64::from(u32::try_from(rig.target.attempts() - scrapes).unwrap());
    eprintln!(
        "1,000 rules: first verdicts after {ready:?}, {:.1} MiB, {missed:.1} s behind after 9 s",
        mib(memory(&process, "VmRSS"))
    );
    assert!(missed < 1.5, "{missed} intervals missed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_alerts_at_once_all_reach_alertmanager() {
    let mut rig = Rig::new().await;
    rig.every("1s");
    rig.write_rules(
        "groups:\n- name: many\n  rules:\n  - {alert: Broken, expr: broken == 1, annotations: {summary: 's'}}\n",
    );
    let mut body = String::new();
    for n in 0..10_000 {
        writeln!(body, "broken{{worker=\"{n}\"}} 1").unwrap();
    }
    let process = rig.start();
    rig.ticks(2).await;
    let started = Instant::now();
    rig.serve(body);
    until("10,000 alerts", SOON, async || {
        let told = rig.told();
        let workers: BTreeSet<&str> = told
            .iter()
            .filter_map(|alert| alert["labels"]["worker"].as_str())
            .collect();
        if workers.len() == 10_000 {
            Ok(())
        } else {
            Err(workers.len())
        }
    })
    .await;
    let dropped = rig
        .metric("sidewatch_notifications_dropped_total")
        .await
        .unwrap();
    eprintln!(
        "10,000 alerts: at Alertmanager after {:?}, {:.1} MiB, {dropped} dropped",
        started.elapsed(),
        mib(memory(&process, "VmHWM"))
    );
    assert!(dropped < 0.5, "{dropped} dropped");
}

/// A target that sends for as long as it is listened to.
struct Flood {
    address: SocketAddr,
    sent: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Flood {
    /// `head` follows the status line; `piece` is sent again and again.
    async fn start(head: &'static str, piece: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sent = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&sent);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                if stream.read(&mut request).await.is_err() {
                    continue;
                }
                let status = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n{head}\r\n"
                );
                if stream.write_all(status.as_bytes()).await.is_err() {
                    continue;
                }
                while stream.write_all(&piece).await.is_ok() {
                    counter.fetch_add(piece.len() as u64, Ordering::Relaxed);
                }
            }
        });
        Self {
            address,
            sent,
            _tasks: tasks,
        }
    }
}

/// Lets an alert fire, turns the target into a flood by a reload, and gives the peak of memory and
/// the bytes a scrape took.
async fn flooded(flood: &Flood) -> (u64, u64) {
    let mut rig = Rig::new().await;
    rig.every("1s");
    let process = rig.start();
    rig.serve(bad());
    let start = rig.alert_is("AccuracyDropped", "firing").await;
    // The same instance, so that the alert stays the same one.
    let own = format!("http://{}", rig.target.address);
    let config = fs::read_to_string(rig.path().join("sidewatch.yaml")).unwrap();
    let instance = own.trim_start_matches("http://");
    let config = config
        .replace(&own, &format!("http://{}", flood.address))
        .replace(
            "labels: {pod: iris-0}",
            &format!("labels: {{pod: iris-0, instance: \"{instance}\"}}"),
        );
    fs::write(rig.path().join("sidewatch.yaml"), config).unwrap();
    process.signal("HUP");
    let failures = rig
        .metric_is("sidewatch_scrape_failures_total{", |failures| {
            failures >= 3.0
        })
        .await;
    assert_eq!(
        rig.alert("AccuracyDropped").await.unwrap(),
        Some(("firing".to_owned(), start)),
        "a flood says nothing about the model"
    );
    assert!(!said_to_end(&process, "AccuracyDropped"));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small count"
    )]
    let scrapes = failures as u64;
    (
        memory(&process, "VmHWM"),
        flood.sent.load(Ordering::Relaxed) / scrapes,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_streams_for_ever_is_cut_off_and_its_alert_stays() {
    let line = b"some_metric{label=\"value\"} 1\n".repeat(1000);
    let mut chunk = format!("{:x}\r\n", line.len()).into_bytes();
    chunk.extend(line);
    chunk.extend(b"\r\n");
    let flood = Flood::start("Transfer-Encoding: chunked\r\n", chunk).await;
    let (peak, sent) = flooded(&flood).await;
    eprintln!(
        "endless stream: peak {:.1} MiB, {:.1} MiB taken a scrape",
        mib(peak),
        mib(sent)
    );
    assert!(peak < 200 << 20, "{peak}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_four_gigabytes_is_not_read() {
    let flood = Flood::start("Content-Length: 4294967296\r\n", b"a 1\n".repeat(4096)).await;
    let (peak, sent) = flooded(&flood).await;
    eprintln!(
        "4 GiB body: peak {:.1} MiB, {:.1} MiB taken a scrape",
        mib(peak),
        mib(sent)
    );
    assert!(peak < 64 << 20, "{peak}");
    assert!(sent < 16 << 20, "{sent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_that_explode_are_refused_and_counted_and_the_rest_is_judged() {
    let mut rig = Rig::new().await;
    rig.every("200ms");
    rig.write_rules(&format!(
        "{RULES}  - record: users\n    expr: sum(rate(seen_total[1m]))\n"
    ));
    let process = rig.start_under(&[], &["--limit.series=2000"]);
    rig.ticks(3).await;
    let explode = async |generation: usize| {
        let mut body = bad();
        for n in 0..2000 {
            writeln!(body, "seen_total{{user=\"{generation}-{n}\"}} 1").unwrap();
        }
        rig.serve(body);
        rig.ticks(2).await;
    };
    explode(0).await;
    let before = memory(&process, "VmRSS");
    for generation in 1..15 {
        explode(generation).await;
    }
    let grown = memory(&process, "VmRSS").saturating_sub(before);
    let series = rig.metric("sidewatch_series{").await.unwrap();
    let refused = rig.metric("sidewatch_series_refused_total").await.unwrap();
    eprintln!(
        "30,000 labels: {series} series kept, {refused} refused, {:.1} MiB more",
        mib(grown)
    );
    assert!(series <= 2010.0, "{series}");
    assert!(refused > 10_000.0, "{refused}");
    assert!(grown < 16 << 20, "{grown}");
    rig.alert_is("AccuracyDropped", "firing").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_stopped_goes_on_and_nobody_hears_of_it() {
    let seconds = std::env::var("SIDEWATCH_STOP_SECONDS").map_or(6, |text| text.parse().unwrap());
    let rig = Rig::new().await;
    let process = rig.start();
    rig.serve("model_accuracy 0.5\nmodel_load 0.5\n".to_owned());
    let start = rig.alert_is("AccuracyDropped", "firing").await;
    rig.serve(bad());
    rig.alert_is("LoadHigh", "pending").await;
    process.signal("STOP");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    process.signal("CONT");
    let resumed = Instant::now();
    rig.ticks(3).await;
    assert_eq!(
        rig.alert("LoadHigh").await.unwrap().unwrap().0,
        "pending",
        "nobody saw whether it lasted"
    );
    rig.alert_is("LoadHigh", "firing").await;
    let waited = resumed.elapsed();
    assert_eq!(
        rig.alert("AccuracyDropped").await.unwrap().unwrap(),
        ("firing".to_owned(), start)
    );
    assert!(!said_to_end(&process, "AccuracyDropped"));
    eprintln!("stopped for {seconds} s: for: 4s was over {waited:?} after it went on");
    assert!(waited > Duration::from_secs(2), "{waited:?}");
}

/// A memory cgroup of the test, of version 1 or 2.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(limit: u64) -> Option<Self> {
        let name = format!("sidewatch-{}", std::process::id());
        let places = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ];
        for (place, file) in places {
            let folder = Path::new(place).join(&name);
            if fs::create_dir(&folder).is_err() {
                continue;
            }
            let group = Self(folder);
            if fs::write(group.0.join(file), limit.to_string()).is_ok() {
                return Some(group);
            }
        }
        eprintln!("skipped: no memory cgroup can be made here");
        None
    }

    /// A shell that enters the group before it becomes the program.
    fn wrapper(&self) -> String {
        format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.0.display())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The kernel frees the group a moment after its last process.
        for _ in 0..50 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::yield_now();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_series_fit_into_64_mib() {
    let Some(group) = Cgroup::new(64 << 20) else {
        return;
    };
    let mut rig = Rig::new().await;
    rig.every("2s");
    let mut body = bad();
    for n in 0..100_000 {
        writeln!(
            body,
            "http_requests_total{{path=\"/v1/models/{n}\",code=\"200\"}} {n}"
        )
        .unwrap();
    }
    rig.serve(body);
    let wrapper = group.wrapper();
    let process = rig.start_under(&["/bin/sh", "-c", &wrapper, "sh"], &[]);
    rig.alert_is("AccuracyDropped", "firing").await;
    rig.ticks(4).await;
    let samples = rig.metric("sidewatch_scrape_samples{").await.unwrap();
    eprintln!(
        "64 MiB: {samples} samples a scrape, peak {:.1} MiB",
        mib(memory(&process, "VmHWM"))
    );
    assert!(samples >= 100_000.0, "{samples}");
    drop(process);
}

/// Names that a process resolves in a mount namespace of its own, until they are taken away.
struct Names {
    hosts: PathBuf,
    /// Runs a program that sees these names.
    wrapper: Vec<String>,
    /// Takes questions and never answers.
    _deaf: std::net::UdpSocket,
}

impl Names {
    fn new(folder: &Path) -> Option<Self> {
        let Ok(deaf) = std::net::UdpSocket::bind("127.0.7.53:53") else {
            eprintln!("skipped: port 53 cannot be bound here");
            return None;
        };
        let tried = Command::new("unshare").args(["--mount", "true"]).status();
        if !tried.is_ok_and(|status| status.success()) {
            eprintln!("skipped: no mount namespace can be made here");
            return None;
        }
        let (hosts, resolv) = (folder.join("hosts"), folder.join("resolv.conf"));
        fs::write(&resolv, "nameserver 127.0.7.53\n").unwrap();
        let script = format!(
            "mount --bind {} /etc/hosts && mount --bind {} /etc/resolv.conf && exec \"$@\"",
            hosts.display(),
            resolv.display()
        );
        let wrapper = [
            "/usr/bin/env",
            "unshare",
            "--mount",
            "sh",
            "-c",
            &script,
            "sh",
        ];
        let names = Self {
            hosts,
            wrapper: wrapper.map(str::to_owned).to_vec(),
            _deaf: deaf,
        };
        names.set(true);
        Some(names)
    }

    fn set(&self, known: bool) {
        let names = if known {
            "model.test alertmanager.test hook.test"
        } else {
            ""
        };
        fs::write(&self.hosts, format!("127.0.0.1 localhost {names}\n")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_outlive_the_death_of_dns() {
    let mut rig = Rig::new().await;
    rig.every("500ms");
    let port = |address: SocketAddr| address.port();
    rig.url = format!("http://model.test:{}", port(rig.target.address));
    rig.write_config(
        &format!(
            "http://alertmanager.test:{}",
            port(rig.alertmanager.address)
        ),
        &format!("http://hook.test:{}", port(rig.webhook.address)),
    );
    let Some(names) = Names::new(rig.path()) else {
        return;
    };
    let wrapper: Vec<&str> = names.wrapper.iter().map(String::as_str).collect();
    let process = rig.start_configured(&wrapper, &[]);
    rig.serve("model_accuracy 0.5\nmodel_load 0.5\n".to_owned());
    let start = rig.alert_is("AccuracyDropped", "firing").await;
    until("Alertmanager to hear", SOON, async || {
        if rig.told().is_empty() {
            Err("nothing")
        } else {
            Ok(())
        }
    })
    .await;
    names.set(false);
    let failures = rig
        .metric("sidewatch_scrape_failures_total{")
        .await
        .unwrap();
    rig.metric_is("sidewatch_scrape_failures_total{", |now| {
        now >= failures + 10.0
    })
    .await;
    let threads = fs::read_dir(format!("/proc/{}/task", process.id()))
        .unwrap()
        .count();
    assert_eq!(
        rig.alert("AccuracyDropped").await.unwrap().unwrap(),
        ("firing".to_owned(), start.clone())
    );
    names.set(true);
    rig.ticks(2).await;
    assert_eq!(
        rig.alert("AccuracyDropped").await.unwrap().unwrap(),
        ("firing".to_owned(), start)
    );
    let told = rig.told().len();
    until("Alertmanager to hear again", SOON, async || {
        if rig.told().len() > told {
            Ok(())
        } else {
            Err("nothing new")
        }
    })
    .await;
    assert!(!said_to_end(&process, "AccuracyDropped"));
    eprintln!("DNS dead for ten scrapes: {threads} threads at the end of it");
}
