//! The binary under all loads at once: churn, label explosions, counter resets, failing targets
//! and receivers, reloads. `SIDEWATCH_SOAK_SECONDS` sets the duration, a minute by default;
//! `scripts/deep soak` runs for an hour.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::support::{Fault, Process, until};
use super::torture::{RULES as FEW, Rig, SOON, memory, mib};

const INTERVAL: Duration = Duration::from_secs(1);
/// Parts of the run; each has a fault of its own and a reload.
const PARTS: u32 = 60;
const SERIES: u64 = 2000;

const RULES: &str = "groups:
- name: soak
  rules:
  - record: accuracy
    metric: accuracy
    expr: sum(increase(right_total[10s])) / sum(increase(all_total[10s]))
  - watch: AccuracyDropped
    expr: model_accuracy
    strategy: {type: static, bound: 0.85, direction: below}
    retrain: {cooldown: 1s}
  - watch: LoadOdd
    expr: avg by (slot) (load)
    strategy: {type: ewma, warm_up: 10}
  - watch: Users
    expr: count(user_seen)
    strategy: {type: mad, warm_up: 10}
  - alert: ErrorsHigh
    expr: sum(rate(errors_total[10s])) > 100
";

/// What the target says at a moment of the run.
struct Model {
    started: Instant,
    scrapes: AtomicU64,
}

impl Model {
    /// In every other part the model is bad; in every seventh its labels explode; every ninety
    /// scrapes its counters start anew.
    fn body(&self, part: Duration) -> String {
        let elapsed = self.started.elapsed();
        let scrape = self.scrapes.fetch_add(1, Ordering::Relaxed);
        let index = elapsed.as_millis() / part.as_millis().max(1);
        let accuracy = if index % 2 == 1 { 0.5 } else { 0.95 };
        let count = scrape % 90 + 1;
        let mut body = format!(
            "model_accuracy {accuracy}\n# TYPE all counter\nall_total {}\n# TYPE right counter\nright_total {}\n",
            count * 100,
            count * 95
        );
        // A tenth of the series is replaced in a minute.
        let replaced = u64::try_from(elapsed.as_millis()).unwrap() * (SERIES / 10) / 60_000;
        for n in 0..SERIES {
            let generation = (replaced + SERIES - n - 1) / SERIES;
            let value = (n * 31 + scrape * 7) % 100;
            writeln!(
                body,
                "load{{slot=\"{}\",pod=\"{n}-{generation}\"}} {value}",
                n % 20
            )
            .unwrap();
        }
        let users = if index % 7 == 3 { 3000 } else { 10 };
        for n in 0..users {
            let user = if users > 10 { scrape * 10_000 + n } else { n };
            writeln!(body, "user_seen{{user=\"{user}\"}} 1").unwrap();
        }
        body
    }
}

/// The faults of the parts, in turn: of the target, of Alertmanager, of the webhook, of nobody.
fn misbehave(rig: &Rig, part: u32) {
    const FAULTS: [Fault; 8] = [
        Fault::Status(500),
        Fault::Hang,
        Fault::Reset,
        Fault::Status(429),
        Fault::Garbage,
        Fault::Slow,
        Fault::Status(503),
        Fault::Status(404),
    ];
    let fault = FAULTS[part as usize / 4 % FAULTS.len()];
    let of = |turn| if part % 4 == turn { fault } else { Fault::None };
    rig.target.set(of(0));
    rig.alertmanager.set(of(1));
    rig.webhook.set(of(2));
}

/// Bytes of memory and open files at a moment.
struct Sample {
    seconds: f64,
    resident: u64,
    /// What of it is no file: heap and stacks.
    anonymous: u64,
    files: usize,
}

fn look(process: &Process, started: Instant) -> Sample {
    Sample {
        seconds: started.elapsed().as_secs_f64(),
        resident: memory(process, "VmRSS"),
        anonymous: memory(process, "RssAnon"),
        files: fs::read_dir(format!("/proc/{}/fd", process.id()))
            .unwrap()
            .count(),
    }
}

/// Least squares: the growth in MiB per hour over samples, and the standard error of it.
#[expect(clippy::cast_precision_loss, reason = "dozens of samples")]
fn slope(samples: &[Sample], of: impl Fn(&Sample) -> u64) -> (f64, f64) {
    let n = samples.len() as f64;
    let points: Vec<(f64, f64)> = samples
        .iter()
        .map(|s| (s.seconds / 3600.0, mib(of(s))))
        .collect();
    let (mx, my) = points.iter().fold((0.0, 0.0), |(x, y), point| {
        (x + point.0 / n, y + point.1 / n)
    });
    let sxx: f64 = points.iter().map(|(x, _)| (x - mx).powi(2)).sum();
    let sxy: f64 = points.iter().map(|(x, y)| (x - mx) * (y - my)).sum();
    let slope = sxy / sxx;
    let rest: f64 = points
        .iter()
        .map(|(x, y)| (y - my - slope * (x - mx)).powi(2))
        .sum();
    (slope, (rest / (n - 2.0) / sxx).sqrt())
}

fn median(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values[values.len() / 2]
}

fn arrived(rig: &Rig) -> BTreeSet<String> {
    let received = rig.webhook.received();
    let keys = received.iter().filter_map(|request| {
        let mut lines = request.head.lines();
        lines.find_map(|line| line.strip_prefix("idempotency-key: "))
    });
    keys.map(str::to_owned).collect()
}

/// Requests that a fault with a 4xx made dead get another chance, as by an operator.
async fn retry(rig: &Rig, keys: &BTreeSet<String>) {
    let keys: Vec<String> = keys.iter().map(|key| format!("hook/{key}")).collect();
    let body = serde_json::json!({ "keys": keys }).to_string();
    let url = format!("http://{}/api/v1/retraining/outbox/retry", rig.address);
    let post = reqwest::Client::new()
        .post(url)
        .header("content-type", "application/json");
    // A key that has arrived meanwhile is unknown; the others are tried all the same.
    drop(post.body(body).send().await);
}

/// A target that can be replaced under the same address would be seen as reset; the body is made
/// per scrape instead.
async fn rig_with(model: &Arc<Model>, part: Duration) -> Rig {
    let seen = Arc::clone(model);
    let mut rig = Rig::serving(move || seen.body(part)).await;
    rig.interval = "1s";
    rig.timeout = "600ms";
    rig.write_rules(RULES);
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soak_leaves_memory_and_files_flat_misses_no_interval_and_loses_no_request() {
    let seconds = std::env::var("SIDEWATCH_SOAK_SECONDS").map_or(60, |text| text.parse().unwrap());
    let total = Duration::from_secs(seconds);
    let part = total / PARTS;
    let model = Arc::new(Model {
        started: Instant::now(),
        scrapes: AtomicU64::new(0),
    });
    let rig = rig_with(&model, part).await;
    let process = rig.start_under(&[], &["--limit.series=4000"]);
    rig.ticks(2).await;
    let (started, first) = (Instant::now(), rig.target.attempts());
    let mut samples = Vec::new();
    for number in 0..PARTS {
        misbehave(&rig, number);
        // Every other reload changes a rule.
        let hold = number % 4 / 2 * 2;
        rig.write_rules(&RULES.replace("> 100", &format!("> 100\n    for: {hold}s")));
        process.signal("HUP");
        tokio::time::sleep_until(started + part * (number + 1)).await;
        let sample = look(&process, started);
        if number % 10 == 9 {
            eprintln!(
                "{:.0} s: {} scrapes, {:.2} MiB, {:.2} of it no file, {} files",
                sample.seconds,
                rig.target.attempts() - first,
                mib(sample.resident),
                mib(sample.anonymous),
                sample.files
            );
        }
        samples.push(sample);
    }
    let scrapes = rig.target.attempts() - first;
    let wanted = usize::try_from(started.elapsed().as_millis() / INTERVAL.as_millis()).unwrap();
    for fake in [&rig.target, &rig.alertmanager, &rig.webhook] {
        fake.set(Fault::None);
    }
    let asked = until("every request", SOON * 6, async || {
        let asked = process.decided();
        let missing: BTreeSet<String> = asked.difference(&arrived(&rig)).cloned().collect();
        if missing.is_empty() {
            return Ok(asked.len());
        }
        retry(&rig, &missing).await;
        Err(format!("{} of {} are missing", missing.len(), asked.len()))
    })
    .await;
    let reloads = process
        .output()
        .matches("the configuration was reloaded")
        .count();
    assert!(
        scrapes + 2 + wanted / 1000 >= wanted,
        "{scrapes} of {wanted} scrapes"
    );
    assert!(reloads >= PARTS as usize - 1, "{reloads} reloads");
    assert!(asked > 0, "nothing was decided");
    eprintln!(
        "soak of {seconds} s: {scrapes} of {wanted} scrapes, {reloads} reloads, {asked} requests decided and 0 lost"
    );
    check_growth(&samples);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_takes_long_to_read_holds_up_no_scrape() {
    let rig = Rig::new().await;
    let process = rig.start();
    rig.ticks(2).await;
    // Whoever opens a pipe waits until somebody writes to it.
    let (rules, pipe) = (rig.path().join("rules.yaml"), rig.path().join("pipe"));
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    fs::remove_file(&rules).unwrap();
    fs::hard_link(&pipe, &rules).unwrap();
    process.signal("HUP");
    rig.ticks(20).await;
    let output = process.output();
    assert!(output.contains("reloading"), "{output}");
    assert!(!output.contains("was reloaded"), "{output}");
    // Should it be opened once more, it is a file again.
    fs::write(rig.path().join("new"), FEW).unwrap();
    fs::rename(rig.path().join("new"), &rules).unwrap();
    fs::write(&pipe, FEW).unwrap();
    until("the reload", SOON, async || {
        let output = process.output();
        if output.contains("the configuration was reloaded") {
            Ok(())
        } else {
            Err(output)
        }
    })
    .await;
}

/// Memory and files are what they were; what a process takes at its start is no leak.
fn check_growth(samples: &[Sample]) {
    let steady = &samples[samples.len() / 3..];
    let (middle, end) = steady.split_at(steady.len() / 2);
    let before = median(middle.iter().map(|sample| sample.resident));
    let grown = median(end.iter().map(|sample| sample.resident)).saturating_sub(before);
    let (growth, error) = slope(steady, |sample| sample.resident);
    let (heap, heap_error) = slope(steady, |sample| sample.anonymous);
    let files = samples.iter().map(|sample| sample.files);
    let (fewest, most) = (files.clone().min().unwrap(), files.max().unwrap());
    let last = samples.last().unwrap();
    eprintln!(
        "memory {:.1} MiB at the end, slope {growth:.2} ± {error:.2} MiB/h, without files {:.1} MiB, {heap:.2} ± {heap_error:.2} MiB/h, \
         medians {:+.2} MiB; {fewest} to {most} files",
        mib(last.resident),
        mib(last.anonymous),
        mib(grown)
    );
    assert!(mib(grown) < 4.0, "{grown} bytes more than in the middle");
    assert!(most - fewest <= 40, "{fewest} to {most} files");
    assert!(last.files <= steady[0].files + 15, "{} files", last.files);
}
