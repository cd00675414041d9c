//! One judge of three replicas, in front of a cluster of three Alertmanagers, is cut off from
//! targets and receivers and restarted meanwhile. The notifications must be correct, with one
//! request per epoch. `SIDEWATCH_CUT_SECONDS` sets the duration.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use sidewatch::internals::history::parse_time;
use tokio::time::Instant;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::cluster::{self, Cluster};
use super::support::{
    DnsServer, Mood, Process, Proxy, Way, free_port, get_json, start_prometheus, until,
};

const SOON: Duration = Duration::from_secs(90);
const NAME: &str = "fraud-headless.";
/// What each task of the model goes through, in words.
const TASKS: [&str; 7] = ["bad", "healed", "fell", "late", "dip", "fine", "epochs"];
/// Seconds after which the task `epochs` may be asked for again.
const COOLDOWN: f64 = 10.0;
/// Alertmanager believes an alert for four times the resend delay of two seconds.
const LEASE: Duration = Duration::from_secs(8);

/// A task's accuracy is judged over all replicas.
fn rules() -> String {
    let accuracy = |task: &str| {
        format!(
            "sum by (task) (increase(right{{task{task}}}[5s])) / sum by (task) (increase(all{{task{task}}}[5s]))"
        )
    };
    let watch = |name: &str, expr: String, cooldown: &str| {
        format!(
            "  - watch: {name}\n    expr: {expr}\n    metric: accuracy\n    strategy: {{type: static, bound: 0.9}}\n    for: 1s\n    retrain: {{cooldown: {cooldown}}}\n"
        )
    };
    format!(
        "groups:\n- name: fraud\n  rules:\n{}{}",
        watch("AccuracyDropped", accuracy("!=\"epochs\""), "6h"),
        watch("AccuracyStaysDown", accuracy("=\"epochs\""), "10s"),
    )
}

/// How many of a hundred are right, by task.
type Truth = Arc<[AtomicU64; TASKS.len()]>;

/// A replica whose counters go on with every scrape.
struct Replica {
    truth: Truth,
    right: [AtomicU64; TASKS.len()],
    all: AtomicU64,
}

impl Respond for Replica {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let all = self.all.fetch_add(100, Ordering::SeqCst);
        let lines = TASKS.iter().enumerate().map(|(index, task)| {
            let percent = self.truth[index].load(Ordering::SeqCst);
            let right = self.right[index].fetch_add(percent, Ordering::SeqCst);
            format!("right{{task=\"{task}\"}} {right}\nall{{task=\"{task}\"}} {all}\n")
        });
        let body = lines.collect::<String>();
        ResponseTemplate::new(200).set_body_raw(body, "text/plain; version=0.0.4")
    }
}

async fn replica(truth: &Truth) -> MockServer {
    let server = MockServer::start().await;
    let replica = Replica {
        truth: Arc::clone(truth),
        right: Default::default(),
        all: AtomicU64::new(0),
    };
    Mock::given(method("GET"))
        .respond_with(replica)
        .mount(&server)
        .await;
    server
}

/// How the judge sees the model.
enum View {
    /// It finds the replicas by DNS and scrapes them.
    Scrapes(DnsServer),
    /// It asks the Prometheus that scrapes them.
    Asks { _prometheus: Process },
}

/// Everything that takes part.
struct Stage {
    truth: Truth,
    view: View,
    /// The ways to the replicas, or to Prometheus.
    sources: Vec<Proxy>,
    /// The ways to the Alertmanagers and to the webhook.
    outlets: Vec<Proxy>,
    cluster: Cluster,
    retraining: MockServer,
    judge: Process,
    url: String,
    _replicas: Vec<MockServer>,
    dir: tempfile::TempDir,
}

fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().unwrap()
}

async fn before(server: SocketAddr) -> Proxy {
    Proxy::start(SocketAddr::from(([127, 0, 0, 1], 0)), server).await
}

fn start_judge(dir: &Path, url: &str) -> Process {
    let listen = format!("--web.listen-address={}", address(url));
    Process::sidewatch(&["run", "--config.file=judge.yaml", &listen], dir)
}

/// What a task's alert did, in order, as people heard it: state and start.
type Heard = Vec<(String, String)>;

impl Stage {
    /// `None` when a program is not there.
    #[expect(
        clippy::too_many_lines,
        reason = "everything that takes part, one after the other"
    )]
    async fn set(asks: bool) -> Option<Self> {
        let alertmanager = cluster::binary()?;
        let dir = tempfile::tempdir().unwrap();
        let truth: Truth = Arc::new(std::array::from_fn(|_| AtomicU64::new(95)));
        let mut replicas = Vec::new();
        for _ in 0..3 {
            replicas.push(replica(&truth).await);
        }
        let (view, sources, scrape) = if asks {
            let targets: Vec<String> = replicas
                .iter()
                .map(|replica| format!("'{}'", replica.address()))
                .collect();
            let scraping = format!(
                "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs: [{{job_name: fraud, static_configs: [{{targets: [{}]}}]}}]\n",
                targets.join(", ")
            );
            let (prometheus, url) = start_prometheus(dir.path(), None, &scraping).await?;
            let way = before(address(&url)).await;
            let scrape = format!("{{source: {{prometheus: \"http://{}\"}}}}", way.address);
            (
                View::Asks {
                    _prometheus: prometheus,
                },
                vec![way],
                scrape,
            )
        } else {
            let dns = DnsServer::start(1).await;
            let (port, mut ways) = (free_port(), Vec::new());
            for (host, replica) in (71..).zip(&replicas) {
                let own = SocketAddr::from(([127, 0, 0, host], port));
                ways.push(Proxy::start(own, *replica.address()).await);
            }
            let hosts = (71..74).map(|host| IpAddr::from(Ipv4Addr::new(127, 0, 0, host)));
            dns.set(NAME, &hosts.collect::<Vec<_>>());
            let scrape = format!(
                "{{discovery: {{dns: \"{NAME}:{port}\", type: A, server: \"{}\", refresh: 1s}}}}",
                dns.address
            );
            (View::Scrapes(dns), ways, scrape)
        };
        let route = "{matchers: ['task=~\".+\"'], receiver: hook, group_by: [alertname, task], group_wait: 1s, group_interval: 1s}, ";
        // A member that waits for another with what it knew before tells people what is no longer
        // so; here one of them tells all.
        let cluster = cluster::start_patient(&alertmanager, 3, (route, ""), 3600).await;
        let retraining = MockServer::start().await;
        Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(202))
            .mount(&retraining)
            .await;
        let mut outlets = Vec::new();
        for url in &cluster.urls {
            outlets.push(before(address(url)).await);
        }
        let peers: Vec<String> = outlets
            .iter()
            .map(|way| format!("{{url: \"http://{}\"}}", way.address))
            .collect();
        let webhook = before(*retraining.address()).await;
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nmodel: {{id: fraud, rollout_grace: 8s}}\nscrape: {scrape}\n\
             rule_files: [rules.yaml]\nalerting: {{resend_delay: 2s, alertmanagers: [{}]}}\n\
             retraining: {{webhooks: [{{url: \"http://{}\"}}]}}\nstorage: {{path: state}}\n",
            peers.join(", "),
            webhook.address
        );
        outlets.push(webhook);
        fs::write(dir.path().join("judge.yaml"), config).unwrap();
        fs::write(dir.path().join("rules.yaml"), rules()).unwrap();
        let url = format!("http://127.0.0.1:{}", free_port());
        let judge = start_judge(dir.path(), &url);
        Some(Self {
            truth,
            view,
            sources,
            outlets,
            cluster,
            retraining,
            judge,
            url,
            _replicas: replicas,
            dir,
        })
    }

    fn make(&self, tasks: &[&str], percent: u64) {
        for (task, truth) in TASKS.iter().zip(self.truth.iter()) {
            if tasks.contains(task) {
                truth.store(percent, Ordering::SeqCst);
            }
        }
    }

    fn sources(&self, way: Way) {
        self.sources.iter().for_each(|proxy| proxy.set(way));
        if let View::Scrapes(dns) = &self.view {
            dns.set_mood(if way == Way::Open {
                Mood::Answers
            } else {
                Mood::Fails
            });
        }
    }

    fn outlets(&self, way: Way) {
        self.outlets.iter().for_each(|proxy| proxy.set(way));
    }

    /// Waits until the judge says this of the tasks, and of every other that it is well.
    async fn judged(&self, bad: &[&str]) {
        let wanted: BTreeMap<String, &str> = TASKS
            .iter()
            .map(|task| {
                let state = if bad.contains(task) {
                    "anomalous"
                } else {
                    "ok"
                };
                ((*task).to_owned(), state)
            })
            .collect();
        until("the verdicts", SOON, async || {
            let answer = get_json(&format!("{}/api/v1/signals", self.url)).await?;
            let signals = answer["data"]["signals"].as_array().unwrap().clone();
            let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
            let found: BTreeMap<String, String> = signals
                .iter()
                .map(|signal| (text(&signal["labels"]["task"]), text(&signal["state"])))
                .collect();
            let same = found.len() == wanted.len()
                && found
                    .iter()
                    .all(|(task, state)| wanted.get(task) == Some(&state.as_str()));
            same.then_some(())
                .ok_or_else(|| format!("{found:?}, wanted {wanted:?}"))
        })
        .await;
    }

    /// The tasks whose alerts fire, as the judge has it.
    async fn firing(&self, wanted: &[&str]) {
        let wanted: BTreeSet<String> = wanted.iter().map(|task| (*task).to_owned()).collect();
        until("the alerts of the judge", SOON, async || {
            let answer = get_json(&format!("{}/api/v1/alerts", self.url)).await?;
            let alerts = answer["data"]["alerts"].as_array().unwrap().clone();
            let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
            let found: BTreeSet<String> = firing
                .map(|alert| alert["labels"]["task"].as_str().unwrap_or("").to_owned())
                .collect();
            (found == wanted)
                .then_some(())
                .ok_or_else(|| format!("{found:?}, wanted {wanted:?}"))
        })
        .await;
    }

    /// What people heard of each task.
    async fn heard(&self) -> BTreeMap<String, Heard> {
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let mut heard: BTreeMap<String, Heard> = BTreeMap::new();
        for body in self.cluster.bodies().await {
            for alert in body["alerts"].as_array().unwrap() {
                let of_task = heard.entry(text(&alert["labels"]["task"])).or_default();
                of_task.push((text(&alert["status"]), text(&alert["startsAt"])));
            }
        }
        heard
    }

    /// Waits until people have heard exactly this: of each task `f` for firing and `r` for
    /// resolved, in order.
    async fn told(&self, wanted: &[(&str, &str)], deadline: Duration) {
        let wanted: BTreeMap<String, String> = wanted
            .iter()
            .map(|(task, states)| ((*task).to_owned(), (*states).to_owned()))
            .collect();
        until("the notifications", deadline, async || {
            let found = self.heard_states().await;
            (found == wanted)
                .then_some(())
                .ok_or_else(|| format!("{found:?}, wanted {wanted:?}"))
        })
        .await;
    }

    async fn heard_states(&self) -> BTreeMap<String, String> {
        let heard = self.heard().await.into_iter();
        let states = heard.map(|(task, heard)| {
            let letters = heard.iter().filter_map(|(state, _)| state.chars().next());
            (task, letters.collect())
        });
        states.collect()
    }

    /// The requests that arrived, each key once: task, fired at, requested at; in seconds, in
    /// order.
    async fn asked(&self) -> Vec<(String, f64, f64)> {
        let mut keys = BTreeSet::new();
        let mut asked = Vec::new();
        for request in self.retraining.received_requests().await.unwrap() {
            let key = request.headers.get("idempotency-key").unwrap();
            if keys.insert(key.to_str().unwrap().to_owned()) {
                let body: Value = request.body_json().unwrap();
                let time = |name: &str| seconds(&body["data"][name]);
                let task = body["data"]["labels"]["task"].as_str().unwrap().to_owned();
                asked.push((task, time("fired_at"), time("requested_at")));
            }
        }
        asked.sort_by(|a, b| a.2.total_cmp(&b.2));
        asked
    }

    /// Waits until so many requests arrived for each of these tasks, and for no other, but for
    /// `epochs`.
    async fn asked_for(&self, wanted: &[&str], deadline: Duration) {
        until("the requests", deadline, async || {
            let asked = self.asked().await;
            let mut found: Vec<&str> = asked.iter().map(|(task, ..)| task.as_str()).collect();
            found.retain(|task| *task != "epochs");
            found.sort_unstable();
            (found == wanted)
                .then_some(())
                .ok_or_else(|| format!("{asked:?}, wanted {wanted:?}"))
        })
        .await;
    }

    /// Waits for so many more epochs: longer than any range, lease or wait of Alertmanager's.
    async fn epochs(&self, more: usize) {
        let count = async || {
            let asked = self.asked().await.into_iter();
            asked.filter(|(task, ..)| task == "epochs").count()
        };
        let wanted = count().await + more;
        until("an epoch", SOON, async || {
            let found = count().await;
            (found >= wanted).then_some(()).ok_or(found)
        })
        .await;
    }
}

fn seconds(value: &Value) -> f64 {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    parse_time(text).unwrap().as_secs_f64()
}

/// Time is what is waited for.
async fn passed(since: Instant, time: Duration) {
    until("the time to pass", time + SOON, async || {
        let passed = since.elapsed();
        (passed >= time).then_some(()).ok_or(passed.as_secs())
    })
    .await;
}

fn cut() -> Duration {
    let set = std::env::var("SIDEWATCH_CUT_SECONDS").ok();
    Duration::from_secs(set.map_or(30, |text| text.parse().unwrap()))
}

/// One request in each epoch, and no two closer than the cool-down.
fn assert_one_an_epoch(asked: &[(String, f64, f64)]) -> usize {
    let epochs: Vec<_> = asked.iter().filter(|(task, ..)| task == "epochs").collect();
    let mut seen = BTreeSet::new();
    for (_, fired, requested) in &epochs {
        let lasted = (requested - fired) / COOLDOWN;
        let epoch = (fired / COOLDOWN).floor() + lasted.floor();
        assert!(seen.insert(epoch as i64), "twice in one epoch: {asked:?}");
    }
    for pair in epochs.windows(2) {
        assert!(pair[1].2 - pair[0].2 >= COOLDOWN, "{pair:?}");
    }
    epochs.len()
}

#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn tell_the_story(mut stage: Stage, end: &str) {
    let cut = cut();
    assert!(cut > LEASE * 2, "shorter than what Alertmanager believes");
    stage.judged(&[]).await;
    stage.make(&["bad", "healed", "epochs"], 50);
    stage
        .told(&[("bad", "f"), ("healed", "f"), ("epochs", "f")], SOON)
        .await;
    stage.asked_for(&["bad", "healed"], SOON).await;
    stage.epochs(1).await;

    // Nobody can be told any more; a task falls, and the judge still sees it.
    stage.outlets(Way::Closed);
    let since = Instant::now();
    stage.make(&["fell"], 50);
    stage.firing(&["bad", "healed", "fell", "epochs"]).await;
    // And then it sees nothing either, while much happens.
    stage.sources(Way::Closed);
    stage.make(&["healed"], 95);
    stage.make(&["dip", "late"], 50);
    let expired = [("bad", "fr"), ("healed", "fr"), ("epochs", "fr")];
    stage.told(&expired, SOON).await;
    passed(since, cut / 2).await;
    stage.judge.signal(end);
    stage.judge.ended(SOON).await;
    stage.judge = start_judge(stage.dir.path(), &stage.url);
    stage.outlets(Way::Silent);
    stage.sources(Way::Silent);
    stage.make(&["dip"], 95);
    passed(since, cut).await;
    stage.firing(&["bad", "healed", "fell", "epochs"]).await;
    stage.told(&expired, SOON).await;
    stage.asked_for(&["bad", "healed"], SOON).await;

    // It sees again, and then it can tell: of what fires, of nothing else.
    stage.sources(Way::Open);
    let bad = ["bad", "fell", "late", "epochs"];
    stage.judged(&bad).await;
    stage.firing(&bad).await;
    stage.outlets(Way::Open);
    // A request is tried again after at most five minutes.
    let later = SOON + cut.min(Duration::from_secs(300));
    let known = [
        ("bad", "frf"),
        ("healed", "fr"),
        ("fell", "f"),
        ("late", "f"),
        ("epochs", "frf"),
    ];
    stage.told(&known, later).await;
    let all = ["bad", "fell", "healed", "late"];
    stage.asked_for(&all, later).await;
    stage.epochs(2).await;
    stage.told(&known, SOON).await;

    stage.make(&TASKS, 95);
    let ended = [
        ("bad", "frfr"),
        ("healed", "fr"),
        ("fell", "fr"),
        ("late", "fr"),
        ("epochs", "frfr"),
    ];
    stage.told(&ended, SOON).await;
    let over = Instant::now();
    passed(over, LEASE + Duration::from_secs(10)).await;
    stage.told(&ended, SOON).await;
    for member in 0..3 {
        let firing = stage.cluster.firing(member, "task").await;
        assert_eq!(firing, BTreeSet::new(), "member {member}");
    }
    for (task, heard) in stage.heard().await {
        let starts: BTreeSet<&String> = heard.iter().map(|(_, start)| start).collect();
        assert_eq!(starts.len(), 1, "{task} began once: {heard:?}");
    }
    let asked = stage.asked().await;
    stage.asked_for(&all, SOON).await;
    let epochs = assert_one_an_epoch(&asked);
    let posts = stage.retraining.received_requests().await.unwrap().len();
    let told = stage.heard_states().await;
    let told: usize = told.values().map(String::len).sum();
    eprintln!(
        "cut off for {} s, {end} in the middle: {told} notifications, {} requests in {posts} posts, {epochs} of them for the {epochs} epochs of one series",
        cut.as_secs(),
        asked.len()
    );
}

#[tokio::test]
async fn a_judge_that_scrapes_is_cut_off_and_restarted_and_people_hear_what_is_true() {
    if let Some(stage) = Stage::set(false).await {
        tell_the_story(stage, "TERM").await;
    }
}

#[tokio::test]
async fn a_judge_that_asks_prometheus_is_cut_off_and_killed_and_people_hear_what_is_true() {
    if let Some(stage) = Stage::set(true).await {
        tell_the_story(stage, "KILL").await;
    }
}
