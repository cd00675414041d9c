//! What a target may answer neither stops Sidewatch nor blinds it for the other targets.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sidewatch::internals::config::settings::{Settings, Target};
use sidewatch::internals::config::{Config, RuleReader};
use sidewatch_engine::exposition::Exposition;
use sidewatch_engine::judge::Registry;
use sidewatch_engine::metric::{Labels, Timestamp};
use sidewatch_engine::monitor::{ModelMonitor, RuleKind, Scraped, Tick};
use tokio::time::Instant;

use super::support::{Fake, Process, free_port, get_json, get_text, until};

const SOON: Duration = Duration::from_secs(60);

/// How long health may take to answer. The machine has other tests to run.
const ON_TIME: Duration = Duration::from_secs(1);

const RULES: &str = "
groups:
- name: g
  rules:
  - watch: Low
    expr: accuracy
    strategy: {type: static, bound: 0.9, direction: below}
";

/// The binary that scrapes a hostile and a good target.
struct Rig {
    process: Process,
    main: String,
    health: String,
    _dir: tempfile::TempDir,
}

impl Rig {
    async fn start(hostile: &Fake, good: &Fake, limits: &str) -> Self {
        Self::start_every("500ms", hostile, good, limits).await
    }

    /// As [`start`](Self::start), with another scrape interval and timeout.
    async fn start_every(interval: &str, hostile: &Fake, good: &Fake, limits: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "global: {{scrape_interval: {interval}, scrape_timeout: {interval}}}\nmodel: {{id: fraud}}\n\
             scrape:\n  targets:\n  - {{url: \"http://{}/metrics\", labels: {{pod: hostile}}}}\n  \
             - {{url: \"http://{}/metrics\", labels: {{pod: good}}}}\n{limits}rule_files: [rules.yaml]\n",
            hostile.address, good.address
        );
        fs::write(dir.path().join("sidewatch.yaml"), config).unwrap();
        fs::write(dir.path().join("rules.yaml"), RULES).unwrap();
        let (main, health) = (free_port(), free_port());
        let (main, health) = (format!("127.0.0.1:{main}"), format!("127.0.0.1:{health}"));
        let args = [
            "run",
            "--config.file=sidewatch.yaml",
            &format!("--web.listen-address={main}"),
            &format!("--web.health-listen-address={health}"),
        ];
        let process = Process::sidewatch(&args, dir.path());
        let rig = Self {
            process,
            main: format!("http://{main}"),
            health: format!("http://{health}/-/healthy"),
            _dir: dir,
        };
        until("health", SOON, async || get_text(&rig.health).await).await;
        rig
    }

    /// The longest that health took to answer while `is_done` was false.
    async fn slowest_health(&self, mut is_done: impl FnMut() -> bool) -> Duration {
        let mut slowest = Duration::ZERO;
        let started = Instant::now();
        while !is_done() {
            assert!(started.elapsed() < SOON * 2, "the target was not scraped");
            let asked = Instant::now();
            get_text(&self.health).await.unwrap();
            slowest = slowest.max(asked.elapsed());
        }
        slowest
    }

    /// The health and the last error of the target on a pod.
    async fn target(&self, pod: &str) -> Result<(String, String), String> {
        let answer = get_json(&format!("{}/api/v1/targets", self.main)).await?;
        let targets = answer["data"]["activeTargets"].as_array().unwrap();
        let target = targets.iter().find(|target| target["labels"]["pod"] == pod);
        let target = target.ok_or("no such target")?;
        let text = |key: &str| target[key].as_str().unwrap_or_default().to_owned();
        Ok((text("health"), text("lastError")))
    }
}

async fn good() -> Fake {
    Fake::start(|| "accuracy 0.99\n".to_owned()).await
}

/// A target that answers these bodies in turn, and how often it did.
async fn hostile(bodies: Vec<String>) -> (Fake, Arc<AtomicUsize>) {
    let answered = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&answered);
    let fake = Fake::start(move || {
        let n = count.fetch_add(1, Ordering::SeqCst);
        bodies[n % bodies.len()].clone()
    });
    (fake.await, answered)
}

const NO_LIMITS: &str = "  sample_limit: 0\n  label_limit: 0\n  label_name_length_limit: 0\n  label_value_length_limit: 0\n";

#[tokio::test]
async fn health_answers_while_a_hostile_body_is_read() {
    let equal = "x 1\n".repeat(400_000);
    let labels = (0..60_000).fold(String::new(), |mut labels, n| {
        write!(labels, "l{n}=\"v\",").unwrap();
        labels
    });
    let shapes = [
        (0..3)
            .map(|n| format!("y{{n=\"{n}\"}} 1\n{equal}"))
            .collect(),
        vec![
            format!("accuracy{{{labels}}} 0.1\n"),
            format!("other{{{labels}}} 0.1\n"),
        ],
    ];
    for bodies in shapes {
        let good = good().await;
        let (hostile, answered) = hostile(bodies).await;
        let mut rig = Rig::start(&hostile, &good, NO_LIMITS).await;
        let slowest = rig
            .slowest_health(|| answered.load(Ordering::SeqCst) >= 2)
            .await;
        assert!(slowest < ON_TIME, "health took {slowest:?}");
        let (scrapes, hostile) = (good.attempts(), answered.load(Ordering::SeqCst));
        assert!(
            scrapes >= hostile,
            "{scrapes} scrapes, {hostile} hostile ones"
        );
        rig.process.signal("TERM");
        assert!(rig.process.ended(SOON).await.success());
    }
}

#[tokio::test]
async fn a_series_without_measure_fails_its_scrape_by_default_and_is_counted() {
    let many = (0..200).fold(String::new(), |mut labels, n| {
        write!(labels, "l{n}=\"v\",").unwrap();
        labels
    });
    let samples = (0..200_001).fold(String::new(), |mut body, n| {
        writeln!(body, "x{{n=\"{n}\"}} 1").unwrap();
        body
    });
    for (body, setting) in [
        (format!("accuracy{{{many}}} 0.1\n"), "over label_limit 128"),
        (
            format!("accuracy{{l=\"{}\"}} 0.1\n", "v".repeat(20_000)),
            "over label_value_length_limit 4096",
        ),
        (
            format!("accuracy{{{}=\"v\"}} 0.1\n", "l".repeat(600)),
            "over label_name_length_limit 512",
        ),
        (
            format!("{} 1\n", "n".repeat(5000)),
            "over label_value_length_limit 4096",
        ),
        (samples, "over sample_limit 200000"),
    ] {
        let good = good().await;
        let (hostile, _) = hostile(vec![body]).await;
        // A debug build takes its time for 200,000 samples.
        let rig = Rig::start_every("5s", &hostile, &good, "").await;
        let error = until("the failed scrape", SOON, async || {
            match rig.target("hostile").await? {
                (health, error) if health == "down" => Ok(error),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        assert!(error.contains(setting) && error.len() < 300, "{error}");
        assert_eq!(rig.target("good").await.unwrap().0, "up");
        let page = get_text(&format!("{}/metrics", rig.main)).await.unwrap();
        let failures = page.lines().find(|line| {
            line.starts_with("sidewatch_scrape_failures_total{")
                && line.contains("reason=\"limit\"")
                && line.contains(&hostile.address.to_string())
        });
        let counted = failures.and_then(|line| line.rsplit(' ').next()).unwrap();
        assert!(counted.parse::<f64>().unwrap() >= 1.0, "{failures:?}");
    }
}

/// A monitor of the model on a hostile and a good pod, the hostile one first.
fn monitor(rules: &str) -> ModelMonitor {
    let registry = Registry::built_in();
    let mut settings = Settings::default();
    settings.model.id = "fraud".to_owned();
    let target = |pod: &str| Target {
        url: format!("http://{pod}:8000/metrics"),
        labels: Labels::new([
            ("job", "fraud".to_owned()),
            ("instance", format!("{pod}:8000")),
            ("pod", pod.to_owned()),
        ]),
    };
    settings.scrape.targets = vec![target("evil"), target("good")];
    let reader = RuleReader {
        registry: &registry,
        interval: settings.global.scrape_interval,
    };
    let groups = reader.read("rules.yaml", rules).unwrap();
    let mut config = Config::assemble(settings, Path::new(""), &registry).unwrap();
    config.rules.groups = groups;
    config.monitor(&registry)
}

fn observe(monitor: &mut ModelMonitor, tick: i64, bodies: [&str; 2]) -> Tick {
    let at = Timestamp::from_millis(1_700_000_000_000 + tick * 15_000);
    let scraped = bodies.map(|body| Scraped {
        result: Ok(Exposition::text(body, at)),
        duration: Duration::from_millis(5),
    });
    monitor.observe(at, &scraped)
}

fn firing_pods(monitor: &ModelMonitor) -> Vec<String> {
    let alerts = monitor.alerts();
    let pods = alerts.iter().filter_map(|alert| alert.labels.get("pod"));
    let mut pods: Vec<String> = pods.map(str::to_owned).collect();
    pods.sort();
    pods.dedup();
    pods
}

fn series(name: &str, from: usize, until: usize, value: f64) -> String {
    (from..until).fold(String::new(), |mut body, n| {
        writeln!(body, "{name}{{i=\"{n}\"}} {value}").unwrap();
        body
    })
}

#[test]
fn one_replica_cannot_take_the_places_of_another_in_a_watch() {
    let mut monitor = monitor(RULES);
    let healthy = series("accuracy", 0, 12_000, 0.99);
    observe(&mut monitor, 0, [&healthy, "accuracy 0.99\n"]);
    observe(&mut monitor, 1, [&healthy, "accuracy 0.1\n"]);
    assert_eq!(firing_pods(&monitor), ["good"]);
    let counts = monitor.rules().find_map(|rule| match rule.kind() {
        RuleKind::Watch(watching) => Some(watching.counts()),
        RuleKind::Record(_) | RuleKind::Alert(_) => None,
    });
    let counts = counts.unwrap();
    assert_eq!((counts.series, counts.refused), (10_000, 2 * 2001));
    // The same ones are refused at every tick, so that the others go on being judged.
    let evicted = counts.evicted;
    observe(&mut monitor, 2, [&healthy, "accuracy 0.1\n"]);
    let again = monitor.rules().find_map(|rule| match rule.kind() {
        RuleKind::Watch(watching) => Some(watching.counts()),
        RuleKind::Record(_) | RuleKind::Alert(_) => None,
    });
    assert_eq!(again.unwrap().evicted, evicted);
}

/// A stopwatch on which everything takes ten seconds.
fn slow_stopwatch() -> Duration {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    Duration::from_secs(10) * u32::try_from(CALLS.fetch_add(1, Ordering::Relaxed)).unwrap()
}

#[test]
fn a_replica_whose_body_takes_more_than_the_interval_rests_and_the_other_is_scraped() {
    let mut monitor = monitor(RULES).with_stopwatch(slow_stopwatch);
    let at = Timestamp::from_millis(1_700_000_000_000);
    // It arrives after 6 s and is read in 10 s, of an interval of 15 s.
    let answers = [(6, "accuracy 0.1\n"), (0, "accuracy 0.99\n")];
    let scraped = answers.map(|(seconds, body)| Scraped {
        result: Ok(Exposition::text(body, at)),
        duration: Duration::from_secs(seconds),
    });
    monitor.observe(at, &scraped);
    let resting = |monitor: &ModelMonitor, after| {
        let resting = monitor.resting(at + Duration::from_secs(after));
        resting
            .into_iter()
            .map(|rest| rest.is_some())
            .collect::<Vec<_>>()
    };
    assert_eq!(resting(&monitor, 15), [true, false]);
    assert_eq!(resting(&monitor, 99), [true, false]);
    assert_eq!(resting(&monitor, 100), [false, false]);
    let [failure, _] = monitor.resting(at).try_into().unwrap();
    let failure = failure.unwrap();
    assert_eq!(failure.reason.as_str(), "resting");
    assert!(
        failure
            .message
            .contains("took 10s to read, of an interval of 15s"),
        "{failure:?}"
    );
    // It is down meanwhile, and its alert goes on.
    let later = at + Duration::from_secs(15);
    let scraped = [Err(failure), Ok(Exposition::text("accuracy 0.99\n", later))];
    let scraped = scraped.map(|result| Scraped {
        result,
        duration: Duration::ZERO,
    });
    monitor.observe(later, &scraped);
    assert_eq!(firing_pods(&monitor), ["evil"]);
    assert_eq!(resting(&monitor, 15), [true, false]);
}

#[test]
fn a_replica_that_calls_itself_by_the_name_of_another_takes_none_of_its_places() {
    let mut monitor = monitor(RULES);
    let forged = (0..12_000).fold(String::new(), |mut body, n| {
        writeln!(
            body,
            "accuracy{{instance=\"good:8000\",pod=\"good\",i=\"{n}\"}} 0.99"
        )
        .unwrap();
        body
    });
    observe(&mut monitor, 0, [&forged, "x 1\n"]);
    observe(&mut monitor, 1, [&forged, "accuracy 0.1\n"]);
    assert_eq!(firing_pods(&monitor), ["good"]);
}

#[test]
fn twins_of_our_labels_up_to_the_limit_cost_no_time_and_keep_their_values() {
    let mut monitor = monitor(RULES);
    let mut twins = String::new();
    let mut name = "model_id".to_owned();
    for n in 0..50 {
        write!(twins, "{name}=\"{n}\",").unwrap();
        name = format!("exported_{name}");
    }
    let body = (0..500).fold(String::new(), |mut body, n| {
        writeln!(body, "accuracy{{i=\"{n}\",{twins}}} 0.1").unwrap();
        body
    });
    let started = Instant::now();
    let tick = observe(&mut monitor, 0, [&body, "accuracy 0.99\n"]);
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    assert_eq!(tick.alerts.len(), 500);
    for alert in &tick.alerts {
        assert_eq!(alert.labels.get("model_id"), Some("fraud"));
        for value in 0..50 {
            let value = value.to_string();
            let mut labels = alert.labels.iter();
            assert!(
                labels.any(|(name, own)| name.ends_with("model_id") && own == value),
                "{value}"
            );
        }
    }
}

#[test]
fn a_replica_that_arrives_late_gets_its_places_from_the_one_that_has_most() {
    let mut monitor = monitor(RULES);
    let failing = series("accuracy", 0, 12_000, 0.1);
    observe(&mut monitor, 0, [&failing, "up_time 1\n"]);
    assert_eq!(firing_pods(&monitor), ["evil"]);
    observe(
        &mut monitor,
        1,
        [&failing, "accuracy{i=\"a\"} 0.1\naccuracy{i=\"b\"} 0.1\n"],
    );
    assert_eq!(firing_pods(&monitor), ["evil", "good"]);
}

#[test]
fn one_replica_cannot_take_the_places_of_another_in_what_rules_record() {
    let mut monitor = monitor(
        "
groups:
- name: g
  rules:
  - {record: copy, expr: accuracy * 1}
  - watch: Low
    expr: min by (pod, instance) (copy)
    strategy: {type: static, bound: 0.9, direction: below}
",
    );
    // As many as the window holds of the hostile replica, and with them as many records.
    let full = series("accuracy", 0, 99_999, 0.99);
    let other = series("accuracy", 100_000, 199_990, 0.99);
    observe(&mut monitor, 0, [&full, "x 1\n"]);
    observe(&mut monitor, 1, [&other, "accuracy 0.1\n"]);
    assert_eq!(firing_pods(&monitor), ["good"]);
}

#[test]
fn two_series_that_a_rule_makes_equal_fail_an_alert_as_in_prometheus_and_no_watch() {
    let rules = format!(
        "{RULES}    labels: {{severity: page}}
- name: plain
  rules:
  - {{alert: PlainLow, expr: accuracy < 0.9, labels: {{severity: page}}}}
"
    );
    let mut monitor = monitor(&rules);
    let twice = "accuracy{severity=\"a\"} 0.1\naccuracy{severity=\"b\"} 0.1\n";
    observe(&mut monitor, 0, [twice, "accuracy 0.1\n"]);
    assert!(monitor.failures().any(|(rule, _)| rule == "PlainLow"));
    let alerts = monitor.alerts();
    let judged = |rule: &str| {
        let mut of_rule = alerts.iter().filter(|alert| &*alert.rule == rule);
        of_rule.any(|alert| alert.labels.get("pod") == Some("good"))
    };
    assert!(judged("Low") && !judged("PlainLow"));
}
