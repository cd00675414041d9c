//! Drift rules in a whole monitor: from counters to alerts with their buckets, and the state
//! that survives.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sidewatch::internals::config::settings::{Settings, Target};
use sidewatch::internals::config::{Config, Problems};
use sidewatch_engine::alert::{Alert, AlertState};
use sidewatch_engine::exposition::Exposition;
use sidewatch_engine::judge::{self, Registry};
use sidewatch_engine::metric::{Labels, Timestamp};
use sidewatch_engine::monitor::{ModelMonitor, Scraped, Tick};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

const INTERVAL: Duration = Duration::from_secs(15);

/// A file of rules beside whatever else the rules need.
fn config(folder: &Path, rules: &str) -> Result<Config, Problems> {
    fs::write(folder.join("rules.yaml"), rules).unwrap();
    let mut settings = Settings {
        rule_files: vec!["rules.yaml".to_owned()],
        ..Settings::default()
    };
    settings.scrape.targets = vec![Target {
        url: "http://127.0.0.1:8000/metrics".to_owned(),
        labels: Labels::new([("job", "a"), ("instance", "127.0.0.1:8000"), ("pod", "a-0")]),
    }];
    Config::assemble(settings, folder, &Registry::built_in())
}

fn monitor(rules: &str) -> ModelMonitor {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), rules).unwrap();
    config.monitor(&Registry::built_in())
}

fn at(tick: u32) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000) + INTERVAL * tick
}

fn reload(monitor: &mut ModelMonitor, config: &Config, at: Timestamp) {
    let rules = Arc::new(config.rules.clone());
    monitor.reload(config.monitor_settings(), rules, at);
}

fn observe(monitor: &mut ModelMonitor, tick: u32, body: &str) -> Tick {
    let result = Ok(Exposition::text(body.as_bytes().to_vec(), at(tick)));
    let duration = Duration::from_millis(5);
    monitor.observe(at(tick), &[Scraped { result, duration }])
}

/// A server that answers a hundred requests an interval: `shares` of them, in percent, per bucket.
#[derive(Default)]
struct Server {
    counts: [u32; 3],
}

impl Server {
    fn answer(&mut self, shares: [u32; 3]) -> String {
        for (count, share) in self.counts.iter_mut().zip(shares) {
            *count += share;
        }
        self.body()
    }

    fn body(&self) -> String {
        let [low, middle, high] = self.counts;
        let mut body = "# TYPE prediction_score histogram\n".to_owned();
        for (le, count) in [
            ("0.3", low),
            ("0.7", low + middle),
            ("+Inf", low + middle + high),
        ] {
            writeln!(
                body,
                "prediction_score_bucket{{model_name=\"m\",le=\"{le}\"}} {count}"
            )
            .unwrap();
        }
        for (class, count) in [("cat", low), ("dog", middle + high)] {
            writeln!(body, "predictions_total{{class=\"{class}\"}} {count}").unwrap();
        }
        body
    }
}

const BEFORE: [u32; 3] = [50, 30, 20];
const AFTER: [u32; 3] = [20, 30, 50];

fn rules(reference: &str) -> String {
    format!(
        "
groups:
- name: drift
  rules:
  - record: score_drift
    drift:
      histogram: prediction_score_bucket
      by: [model_name]
      window: 5m
      reference: {reference}
      min_samples: 500
  - watch: ScoresDrifted
    expr: score_drift
    strategy: {{type: drift}}
    for: 30s
    annotations: {{summary: 'scores of {{{{ $labels.model_name }}}} drifted by {{{{ $value | humanize }}}}'}}
"
    )
}

fn verdicts(monitor: &ModelMonitor) -> Vec<(judge::State, String)> {
    let judged = monitor.judged();
    judged
        .map(|(_, _, verdict)| (verdict.state, verdict.why.to_string()))
        .collect()
}

#[test]
fn drift_from_an_inline_reference_alerts_with_its_buckets_and_resolves() {
    let mut monitor = monitor(&rules(
        "{buckets: {\"0.3\": 5000, \"0.7\": 3000, \"+Inf\": 2000}}",
    ));
    let mut alerts = Vec::new();
    let mut server = Server::default();
    let mut states = Vec::new();
    for tick in 0..60 {
        let shares = if (20..40).contains(&tick) {
            AFTER
        } else {
            BEFORE
        };
        alerts.extend(observe(&mut monitor, tick, &server.answer(shares)).changes);
        states.push(verdicts(&monitor)[0].clone());
    }
    let unknown = (
        judge::State::InsufficientData,
        "400 observations in the window, fewer than min_samples 500".to_owned(),
    );
    assert_eq!(states[4], unknown);
    assert!(
        states[5..20]
            .iter()
            .all(|(state, _)| *state == judge::State::Ok)
    );
    assert_eq!(states[39].0, judge::State::Anomalous);
    let fired: Vec<&Alert> = alerts
        .iter()
        .filter(|alert| alert.state == AlertState::Firing)
        .collect();
    let [fired] = fired[..] else {
        panic!("{alerts:?}")
    };
    assert!(
        (at(21)..at(30)).contains(&fired.fired_at.unwrap()),
        "{fired:?}"
    );
    let why = fired.annotations.get("why").unwrap();
    assert!(
        why.contains(" observations moved (chance: up to ") && !why.contains("0.0000"),
        "{why}"
    );
    assert!(why.contains("le +Inf 20 → "), "{why}");
    assert_eq!(fired.annotations.get("window"), Some("5m"));
    let top = fired.annotations.get("top_buckets").unwrap();
    assert!(
        top.starts_with("le 0.3 50 → ") || top.starts_with("le +Inf 20 → "),
        "{top}"
    );
    assert!(
        alerts
            .iter()
            .any(|alert| alert.state == AlertState::Resolved)
    );
}

#[test]
fn a_reference_is_learnt_first_and_until_then_the_state_is_warming_up() {
    let mut monitor = monitor(&rules("{learn: 3m}"));
    let mut server = Server::default();
    for tick in 0..12 {
        observe(&mut monitor, tick, &server.answer(BEFORE));
        let (state, why) = verdicts(&monitor).remove(0);
        assert_eq!(state, judge::State::WarmingUp);
        assert!(why.starts_with("learning the reference for "), "{why}");
    }
    for tick in 12..20 {
        observe(&mut monitor, tick, &server.answer(BEFORE));
        assert_eq!(verdicts(&monitor)[0].0, judge::State::Ok);
    }
    for tick in 20..40 {
        observe(&mut monitor, tick, &server.answer(AFTER));
    }
    assert_eq!(verdicts(&monitor)[0].0, judge::State::Anomalous);
}

#[test]
fn the_mix_of_labelled_counters_is_a_distribution_too() {
    let rules = "
groups:
- name: drift
  rules:
  - record: class_drift
    drift:
      counter: predictions_total
      label: class
      window: 5m
      statistic: total_variation
      reference: {buckets: {cat: 500, dog: 500}}
  - watch: ClassesDrifted
    expr: class_drift
    strategy: {type: drift}
";
    let mut monitor = monitor(rules);
    let mut server = Server::default();
    for tick in 0..20 {
        observe(&mut monitor, tick, &server.answer(BEFORE));
    }
    assert_eq!(verdicts(&monitor)[0].0, judge::State::Ok);
    for tick in 20..40 {
        observe(&mut monitor, tick, &server.answer(AFTER));
    }
    let (state, why) = verdicts(&monitor).remove(0);
    assert_eq!(state, judge::State::Anomalous);
    assert!(
        why.starts_with("28.6 % of 2000 observations moved") && why.contains("class cat 50 → 20 %"),
        "{why}"
    );
}

#[test]
fn a_reload_that_changes_something_else_keeps_the_window_and_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let text = rules("{learn: 3m}");
    let first = config(folder.path(), &text).unwrap();
    let mut monitor = first.monitor(&Registry::built_in());
    let mut server = Server::default();
    for tick in 0..20 {
        observe(&mut monitor, tick, &server.answer(BEFORE));
    }
    let stricter = text.replace("min_samples: 500", "min_samples: 600\n      alpha: 0.001");
    reload(
        &mut monitor,
        &config(folder.path(), &stricter).unwrap(),
        at(20),
    );
    observe(&mut monitor, 20, &server.answer(BEFORE));
    assert_eq!(verdicts(&monitor)[0].0, judge::State::Ok);
    let regrouped = text.replace("by: [model_name]", "by: []");
    reload(
        &mut monitor,
        &config(folder.path(), &regrouped).unwrap(),
        at(21),
    );
    observe(&mut monitor, 21, &server.answer(BEFORE));
    assert_eq!(verdicts(&monitor)[0].0, judge::State::WarmingUp);
}

#[test]
fn a_reference_file_serves_its_series_and_is_part_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = "
version: 1
rules:
  score_drift:
  - labels: {model_name: m}
    total: 100
    buckets: {'0.3': 50, '0.7': 30, '+Inf': 20}
";
    fs::write(folder.path().join("scores.yaml"), file).unwrap();
    let text = rules("{file: scores.yaml}");
    let found = config(folder.path(), &text).unwrap();
    let names: Vec<&str> = found
        .sources
        .iter()
        .map(|source| source.file.as_str())
        .collect();
    assert!(names[1].ends_with("scores.yaml"), "{names:?}");
    let hash = found.hash();
    let mut monitor = found.monitor(&Registry::built_in());
    let mut server = Server::default();
    for tick in 0..10 {
        observe(&mut monitor, tick, &server.answer(BEFORE));
    }
    assert_eq!(verdicts(&monitor)[0].0, judge::State::Ok);
    fs::write(
        folder.path().join("scores.yaml"),
        file.replace("model_name: m", "model_name: n"),
    )
    .unwrap();
    let other = config(folder.path(), &text).unwrap();
    assert_ne!(other.hash(), hash);
    reload(&mut monitor, &other, at(10));
    observe(&mut monitor, 10, &server.answer(BEFORE));
    let (state, why) = verdicts(&monitor).remove(0);
    assert_eq!(state, judge::State::InsufficientData);
    assert!(
        why.ends_with("scores.yaml has no reference for {model_name=\"m\"}"),
        "{why}"
    );
}

/// The problems of a rule file, with paths below the folder.
fn problems(folder: &Path, text: &str) -> Vec<String> {
    let problems = config(folder, text).unwrap_err().to_string();
    let folder = format!("{}/", folder.display());
    let lines = problems.lines();
    lines.map(|line| line.replace(&folder, "")).collect()
}

#[test]
fn mistakes_of_a_drift_rule_are_all_found_at_once() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("old.yaml"),
        "version: 2\nrules:\n  b:\n  - labels: {}\n    total: 3\n    buckets: {'1': 1, '+Inf': 1}\n",
    )
    .unwrap();
    let text = "
groups:
- name: g
  rules:
  - record: a
    expr: x
    drift:
      counter: predictions_total
      label: class
      by: [class]
      window: 1s
      statistic: wasserstein
      alpha: 1.5
      min_samples: 0
      reference: {learn: 24h, file: x.yaml}
  - record: b
    drift: {histogram: 'rate(s_bucket[5m])', reference: {file: old.yaml}}
  - record: c
    drift: {histogram: s_bucket, reference: {file: none.yaml}}
  - record: d
    drift: {histogram: s_bucket, statistc: psi, reference: {buckets: {'1': -1}}}
";
    assert_eq!(
        problems(folder.path(), text),
        [
            "rules.yaml:7: groups[0].rules[0].drift: stands in the place of expr; keep one of them",
            "rules.yaml:10: groups[0].rules[0].drift.by: must not name class, which tells the buckets apart",
            "rules.yaml:11: groups[0].rules[0].drift.window: must be at least two evaluations, 30s, and at most 31d",
            "rules.yaml:12: groups[0].rules[0].drift.statistic: wasserstein needs the order of buckets, which categories do not have; use jensen_shannon, psi, hellinger or total_variation",
            "rules.yaml:13: groups[0].rules[0].drift.alpha: must be from 0.001 to 0.5, the share of windows without a change that may exceed the critical value, got 1.5",
            "rules.yaml:14: groups[0].rules[0].drift.min_samples: must be at least 1, got 0",
            "rules.yaml:15: groups[0].rules[0].drift.reference: must be one of {file: baselines.yaml}, {learn: 24h} or {buckets: {\"0.5\": 120, \"+Inf\": 4}}",
            "rules.yaml:17: groups[0].rules[1].drift.histogram: must be a selector such as prediction_score_bucket{model_name=\"a\"}, without functions, offset or @; got rate(s_bucket[5m])",
            "rules.yaml:17: groups[0].rules[1].drift.reference.file: old.yaml:1: version: must be 1",
            "rules.yaml:17: groups[0].rules[1].drift.reference.file: old.yaml:4: rules.b[0]: total: must be the sum of the buckets, 2, got 3",
            "rules.yaml:19: groups[0].rules[2].drift.reference.file: none.yaml cannot be read: No such file or directory (os error 2); record it with sidewatch baseline",
            "rules.yaml:21: groups[0].rules[3].drift.reference.buckets: buckets.1: must be 0 or more observations, got -1",
            "rules.yaml:21: groups[0].rules[3].drift.statistc: unknown key; did you mean statistic?",
        ]
    );
}

#[test]
fn what_a_window_or_a_reference_cannot_be_is_said_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let text = "
groups:
- name: g
  rules:
  - record: a
    drift: {histogram: s_bucket, reference: {learn: 24h, season: day}}
  - record: b
    drift: {histogram: s_bucket, reference: {learn: 7d, rolling: 24h, season: never}}
  - record: c
    drift: {histogram: s_bucket, window: {at_least: 100, at_most: 1d}, reference: {buckets: {'+Inf': 1}, rolling: 28d}}
  - record: d
    drift: {histogram: s_bucket, window: {at_least: 500}, min_effect: 2, reference: {learn: 14d, season: week}}
";
    assert_eq!(
        problems(folder.path(), text),
        [
            "rules.yaml:6: groups[0].rules[0].drift.reference.learn: must be at least 2d to learn what repeats itself; got 1d",
            "rules.yaml:8: groups[0].rules[1].drift.reference.rolling: must be at least learn, 1w; got 1d",
            "rules.yaml:8: groups[0].rules[1].drift.reference.season: must be one of none, day, week, got \"never\"",
            "rules.yaml:10: groups[0].rules[2].drift.reference.rolling: has an effect with learn only",
            "rules.yaml:10: groups[0].rules[2].drift.window.at_least: must be at least min_samples, 500, below which no window is judged; got 100",
            "rules.yaml:12: groups[0].rules[3].drift.min_effect: must be from 0 to 1, got 2",
            "rules.yaml:12: groups[0].rules[3].drift.window: at_most is missing",
        ]
    );
}

#[test]
fn an_accepted_window_becomes_the_reference_and_the_alert_says_so() {
    let mut monitor = monitor(&rules(
        "{buckets: {\"0.3\": 5000, \"0.7\": 3000, \"+Inf\": 2000}}",
    ));
    let mut server = Server::default();
    let mut fired = false;
    for tick in 0..50 {
        let shares = if tick < 20 { BEFORE } else { AFTER };
        let changes = observe(&mut monitor, tick, &server.answer(shares)).changes;
        fired |= changes
            .iter()
            .any(|alert| alert.state == AlertState::Firing);
    }
    assert!(fired);
    let watch = monitor.rules().find(|rule| rule.name() == "ScoresDrifted");
    let key = watch.unwrap().key().to_owned();
    let (_, sample, _) = monitor.judged().next().unwrap();
    let series = sample.labels.clone();
    assert!(monitor.accept(&key, &series));
    let tick = observe(&mut monitor, 50, &server.answer(AFTER));
    let [ended] = &tick.changes[..] else {
        panic!("{:?}", tick.changes)
    };
    assert_eq!(ended.state, AlertState::Resolved);
    let why = ended.annotations.get("resolved").unwrap();
    assert!(why.starts_with("accepted as the reference after "), "{why}");
    assert_eq!(verdicts(&monitor)[0].0, judge::State::Ok);
    for tick in 51..80 {
        observe(&mut monitor, tick, &server.answer(BEFORE));
    }
    assert_eq!(verdicts(&monitor)[0].0, judge::State::Anomalous);
    assert!(!monitor.accept("unknown", &series));
}

fn sidewatch(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidewatch"));
    let output = command
        .current_dir(folder)
        .args(arguments)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn a_recorded_reference_is_the_one_that_later_scrapes_are_compared_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::create_dir(path.join("scrapes")).unwrap();
    let mut server = Server::default();
    for tick in 0..40_u32 {
        let shares = if tick < 20 { BEFORE } else { AFTER };
        let name = format!("scrapes/snap_{:04}.txt", tick + 1);
        fs::write(path.join(name), server.answer(shares)).unwrap();
    }
    fs::write(path.join("rules.yaml"), rules("{file: scores.yaml}")).unwrap();
    let backtest = "backtest --rules rules.yaml --snapshots scrapes --step 15s --format json";
    let backtest: Vec<&str> = backtest.split(' ').collect();
    let (ok, text) = sidewatch(path, &backtest);
    assert!(
        !ok && text.contains("record it with sidewatch baseline"),
        "{text}"
    );
    let record =
        "baseline --rules rules.yaml --snapshots scrapes --step 15s --until 285 --out scores.yaml";
    let record: Vec<&str> = record.split(' ').collect();
    let (ok, text) = sidewatch(path, &record);
    assert!(ok, "{text}");
    assert_eq!(
        text,
        "score_drift{model_name=\"m\"}: 1900 observations in 3 buckets\n"
    );
    let written = fs::read_to_string(path.join("scores.yaml")).unwrap();
    assert_eq!(
        written,
        concat!(
            "version: 1\nrules:\n  score_drift:\n  - labels:\n      model_name: m\n    total: 1900.0\n    buckets:\n",
            "      +Inf: 380.0\n      '0.3': 950.0\n      '0.7': 570.0\n"
        )
    );
    // Again, and nothing else in the file is lost.
    let other =
        "version: 1\nrules:\n  other:\n  - labels: {}\n    total: 1\n    buckets: {'+Inf': 1}\n";
    fs::write(path.join("scores.yaml"), other).unwrap();
    assert!(sidewatch(path, &record).0);
    let merged = fs::read_to_string(path.join("scores.yaml")).unwrap();
    assert!(
        merged.contains("other:") && merged.contains("score_drift:"),
        "{merged}"
    );
    let (ok, text) = sidewatch(path, &backtest);
    assert!(ok, "{text}");
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    let alerts = found["alerts"].as_array().unwrap();
    let [alert] = &alerts[..] else {
        panic!("{alerts:?}")
    };
    let fired = alert["fired_at"].as_f64().unwrap();
    assert!((300.0..420.0).contains(&fired), "{alert}");
}

#[test]
fn a_baseline_of_nothing_is_an_error_that_names_the_selector() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("snap_0001.txt"), "up_since 1\n").unwrap();
    fs::write(path.join("rules.yaml"), rules("{file: scores.yaml}")).unwrap();
    let record = "baseline --rules rules.yaml --snapshots . --out scores.yaml";
    let (ok, text) = sidewatch(path, &record.split(' ').collect::<Vec<_>>());
    assert!(!ok);
    assert_eq!(
        text,
        "sidewatch: nothing was observed for score_drift (prediction_score_bucket); is the selector right, and is there traffic?\n"
    );
    assert!(!path.join("scores.yaml").exists());
}

#[tokio::test]
async fn a_running_server_gives_what_it_counted_since_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    fs::write(path.join("rules.yaml"), rules("{file: scores.yaml}")).unwrap();
    let mut model = Server::default();
    let body = model.answer([100, 200, 300]);
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_raw(body, "text/plain; version=0.0.4");
    Mock::given(method("GET"))
        .respond_with(answer)
        .mount(&server)
        .await;
    let url = format!("{}/metrics", server.uri());
    let run = move || {
        let arguments = [
            "baseline",
            "--rules",
            "rules.yaml",
            "--target",
            &url,
            "--out",
            "scores.yaml",
        ];
        sidewatch(&path, &arguments)
    };
    let (ok, text) = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(ok, "{text}");
    assert_eq!(
        text,
        "score_drift{model_name=\"m\"}: 600 observations in 3 buckets\n"
    );
}
