//! `backfill`: strategies start warm from the history of the real Prometheus, and the start
//! does not wait for it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use sidewatch::internals::runtime::clock;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::{
    DnsServer, Fake, Process, free_port, get_json, get_text, start_prometheus, until,
};

const SOON: Duration = Duration::from_secs(60);
const STEP: i64 = 15;
/// Twelve hours.
const STEPS: i64 = 2880;

const RULES: &str = "groups:
- name: g
  rules:
  - record: error_rate
    metric: custom
    expr: sum by (model) (rate(errors_total[1m]))
  - watch: LoadOdd
    expr: load
    strategy: {type: seasonal, warm_up: 200}
  - watch: ErrorsOdd
    expr: error_rate
    strategy: {type: ewma, alpha: 0.05, k_sigma: 6, warm_up: 100}
    retrain: {cooldown: 6h}
  - record: size_drift
    metric: prediction_drift
    drift: {histogram: size_bucket, by: [model], window: 10m, reference: {learn: 2h}, statistic: psi, min_samples: 100}
  - watch: SizeDrifted
    expr: size_drift
    strategy: {type: static, bound: 1}
";

/// Half a day of a pod that is gone, with half an hour in which everything was wrong.
fn past(now: i64) -> String {
    let who = "model=\"m\",job=\"ml/fraud\",instance=\"10.0.0.1:80\",pod=\"old\"";
    let (mut load, mut errors, mut size) = (String::new(), String::new(), String::new());
    let mut total = 0;
    for step in 0..STEPS {
        let at = now - (STEPS - 1 - step) * STEP;
        let wrong = (1500..1620).contains(&step);
        let wave = 10.0 + (step % 7) as f64 * 0.1 + if wrong { 500.0 } else { 0.0 };
        writeln!(load, "load{{{who}}} {wave} {at}").unwrap();
        total += 15 + step % 5 + if wrong { 4000 } else { 0 };
        writeln!(errors, "errors_total{{{who}}} {total} {at}").unwrap();
        for (le, share) in [("1", 1), ("10", 3), ("+Inf", 4)] {
            writeln!(
                size,
                "size_bucket{{le=\"{le}\",{who}}} {} {at}",
                step * share
            )
            .unwrap();
        }
    }
    // The buckets of one series stand together in OpenMetrics; as gauges they may come in any order
    // of series.
    let mut sizes: Vec<&str> = size.lines().collect();
    sizes.sort_by_key(|line| line.split('"').nth(1).map(str::to_owned));
    format!(
        "# TYPE load gauge\n{load}# TYPE errors counter\n{errors}# TYPE size_bucket gauge\n{}\n# EOF\n",
        sizes.join("\n")
    )
}

fn exposition() -> String {
    let at = clock::now().as_secs_f64() as i64;
    format!(
        "# TYPE load gauge\nload{{model=\"m\"}} 10.3\n# TYPE errors counter\nerrors_total{{model=\"m\"}} {at}\n\
         size_bucket{{model=\"m\",le=\"1\"}} {at}\nsize_bucket{{model=\"m\",le=\"10\"}} {}\nsize_bucket{{model=\"m\",le=\"+Inf\"}} {}\n",
        at * 3,
        at * 4
    )
}

struct Sidewatch {
    process: Process,
    url: String,
}

async fn start(dir: &Path, more: &str, receivers: &Fake) -> (Sidewatch, Fake) {
    let target = Fake::start(exposition).await;
    let config = format!(
        "global: {{scrape_interval: 5s, scrape_timeout: 2s}}\nmodel: {{id: fraud}}\n\
         scrape: {{targets: [{{url: \"http://{}/metrics\", labels: {{pod: new, instance: fraud}}}}]}}\n\
         rule_files: [rules.yaml]\nstorage: {{path: state}}\n\
         alerting: {{alertmanagers: [{{url: \"http://{to}\"}}]}}\n\
         retraining: {{webhooks: [{{url: \"http://{to}/retrain\"}}]}}\n{more}",
        target.address,
        to = receivers.address,
    );
    fs::write(dir.join("sidewatch.yaml"), config).unwrap();
    fs::write(dir.join("rules.yaml"), RULES).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let listen = format!("--web.listen-address={address}");
    let process = Process::sidewatch(&["run", "--config.file=sidewatch.yaml", &listen], dir);
    let url = format!("http://{address}");
    let sidewatch = Sidewatch { process, url };
    (sidewatch, target)
}

impl Sidewatch {
    async fn metrics(&self) -> Result<String, String> {
        get_text(&format!("{}/metrics", self.url)).await
    }

    async fn in_state(&self, state: &str) {
        let line = format!("sidewatch_backfill_state{{model_id=\"fraud\",state=\"{state}\"}} 1");
        until(&line, SOON, async || {
            let text = self.metrics().await?;
            text.contains(&line).then_some(()).ok_or(text)
        })
        .await;
    }

    /// The state of every watch, once each has one that is of this mind about warming up.
    async fn states(&self, is_warm: bool) -> Vec<(String, String)> {
        until("the states", SOON, async || {
            let answer = get_json(&format!("{}/api/v1/signals", self.url)).await?;
            let signals = answer["data"]["signals"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let text =
                |signal: &Value, key: &str| signal[key].as_str().unwrap_or_default().to_owned();
            let states: Vec<(String, String)> = signals
                .iter()
                .filter(|signal| signal["rule"].is_string())
                .map(|signal| (text(signal, "rule"), text(signal, "state")))
                .collect();
            let all = states.len() >= 3;
            let warm = states
                .iter()
                .all(|(_, state)| state != "warming_up" && state != "insufficient_data");
            (all && warm == is_warm)
                .then_some(states)
                .ok_or(answer.to_string())
        })
        .await
    }
}

#[tokio::test]
async fn every_strategy_and_reference_is_warm_from_the_past_of_another_pod_and_a_restart_goes_on_from_there()
 {
    let dir = tempfile::tempdir().unwrap();
    let now = clock::now().as_secs_f64() as i64;
    let Some((_prometheus, server)) = start_prometheus(dir.path(), Some(&past(now)), "{}\n").await
    else {
        return;
    };
    let receivers = Fake::start(String::new).await;
    let more = format!("backfill: {{prometheus: \"{server}\", range: 12h}}\n");
    let (mut sidewatch, _target) = start(dir.path(), &more, &receivers).await;
    sidewatch.in_state("done").await;
    let states = sidewatch.states(true).await;
    assert!(states.iter().all(|(_, state)| state == "ok"), "{states:?}");
    let text = sidewatch.metrics().await.unwrap();
    assert!(
        text.contains("sidewatch_backfill_progress_ratio{model_id=\"fraud\"} 1\n"),
        "{text}"
    );
    // What was wrong in the past is nobody's business now.
    assert!(!text.contains("state=\"firing\"} 1"), "{text}");
    let heard = receivers.received();
    assert!(
        heard.iter().all(|request| request.body == "[]"),
        "{heard:?}"
    );

    sidewatch.process.signal("TERM");
    sidewatch.process.ended(SOON).await;
    let before = sidewatch.process.output();
    assert!(before.contains("the backfill is through"), "{before}");
    assert!(before.contains("backfilling"), "progress is in the log");
    let (sidewatch, _target) = start(dir.path(), &more, &receivers).await;
    sidewatch.in_state("done").await;
    let states = sidewatch.states(true).await;
    assert!(states.iter().all(|(_, state)| state == "ok"), "{states:?}");
    let after = sidewatch.process.output().split_off(before.len());
    assert!(
        after.contains("the backfill continues where it stopped"),
        "{after}"
    );
    let pieces = after.matches("backfilling").count();
    assert!(pieces <= 1, "nothing is learnt twice:\n{after}");
}

#[tokio::test]
async fn a_backfill_that_was_cut_off_continues_and_does_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let now = clock::now().as_secs_f64() as i64;
    let Some((_prometheus, server)) = start_prometheus(dir.path(), Some(&past(now)), "{}\n").await
    else {
        return;
    };
    let receivers = Fake::start(String::new).await;
    let more = format!("backfill: {{prometheus: \"{server}\", range: 12h}}\n");
    let (mut sidewatch, _target) = start(dir.path(), &more, &receivers).await;
    until("some progress", SOON, async || {
        let output = sidewatch.process.output();
        (output.matches("backfilling").count() >= 2)
            .then_some(())
            .ok_or(output)
    })
    .await;
    sidewatch.process.signal("TERM");
    sidewatch.process.ended(SOON).await;
    let before = sidewatch.process.output().len();
    let (sidewatch, _target) = start(dir.path(), &more, &receivers).await;
    sidewatch.in_state("done").await;
    let after = sidewatch.process.output().split_off(before);
    assert!(after.contains("continues where it stopped"), "{after}");
    let states = sidewatch.states(true).await;
    assert!(states.iter().all(|(_, state)| state == "ok"), "{states:?}");
}

#[tokio::test]
async fn a_server_that_is_away_holds_nothing_up_and_warming_up_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let receivers = Fake::start(String::new).await;
    let nobody = free_port();
    let more = format!("backfill: {{prometheus: \"http://127.0.0.1:{nobody}\", timeout: 10s}}\n");
    let (sidewatch, target) = start(dir.path(), &more, &receivers).await;
    sidewatch.in_state("running").await;
    until("a scrape", SOON, async || {
        let text = sidewatch.metrics().await?;
        text.contains("sidewatch_target_up{model_id=\"fraud\",target=")
            .then_some(())
            .ok_or(text)
    })
    .await;
    assert!(target.attempts() > 0);
    sidewatch.in_state("failed").await;
    let states = sidewatch.states(false).await;
    let load = states.iter().find(|(rule, _)| rule == "LoadOdd");
    assert_eq!(load.map(|(_, state)| state.as_str()), Some("warming_up"));
    let text = sidewatch.metrics().await.unwrap();
    assert!(
        text.contains("sidewatch_backfill_progress_ratio{model_id=\"fraud\"} 0\n"),
        "{text}"
    );
    assert!(
        sidewatch
            .process
            .output()
            .contains("the backfill ended early")
    );
}

const BY_NAME: &str = "groups:
- name: g
  rules:
  - {watch: LoadOdd, expr: load, strategy: {type: ewma, warm_up: 200}}
  - {watch: InstanceOdd, expr: sum by (instance) (load), strategy: {type: ewma, warm_up: 200}}
  - {watch: JobOdd, expr: 'avg by (job, namespace) (load)', strategy: {type: ewma, warm_up: 200}}
";

#[tokio::test]
async fn replicas_that_are_found_by_name_begin_warm_under_the_labels_that_they_have_here() {
    let port = free_port();
    let instances = [61, 62].map(|host| format!("127.0.0.{host}:{port}"));
    let now = clock::now().as_secs_f64() as i64;
    let mut past = "# TYPE load gauge\n".to_owned();
    for (pod, instance) in instances.iter().enumerate() {
        for step in 0..480 {
            let (load, at) = (10 + step % 3, now - (479 - step) * STEP);
            writeln!(
                past,
                "load{{model=\"m\",job=\"kubernetes-pods\",namespace=\"ml\",pod=\"fraud-{pod}\",instance=\"{instance}\"}} {load} {at}"
            )
            .unwrap();
        }
    }
    past.push_str("# EOF\n");
    let dir = tempfile::tempdir().unwrap();
    let Some((_prometheus, server)) = start_prometheus(dir.path(), Some(&past), "{}\n").await
    else {
        return;
    };
    // One of the two is there still.
    let listener = std::net::TcpListener::bind(&instances[0]).unwrap();
    let replica = MockServer::builder().listener(listener).start().await;
    let body = "# TYPE load gauge\nload{model=\"m\"} 11\n";
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_raw(body, "text/plain; version=0.0.4"))
        .mount(&replica)
        .await;
    let dns = DnsServer::start(1).await;
    dns.set("fraud-headless.", &[[127, 0, 0, 61].into()]);
    let config = format!(
        "global: {{scrape_interval: 5s, scrape_timeout: 2s}}\nmodel: {{id: fraud}}\n\
         scrape: {{discovery: {{dns: \"fraud-headless.:{port}\", type: A, server: \"{}\", labels: {{namespace: prod}}}}}}\n\
         rule_files: [rules.yaml]\nbackfill: {{prometheus: \"{server}\", range: 2h}}\n",
        dns.address
    );
    fs::write(dir.path().join("sidewatch.yaml"), config).unwrap();
    fs::write(dir.path().join("rules.yaml"), BY_NAME).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let listen = format!("--web.listen-address={address}");
    let process = Process::sidewatch(
        &["run", "--config.file=sidewatch.yaml", &listen],
        dir.path(),
    );
    let url = format!("http://{address}");
    let sidewatch = Sidewatch { process, url };
    sidewatch.in_state("done").await;
    let states = sidewatch.states(true).await;
    assert_eq!(states.len(), 3, "{states:?}");
    assert!(states.iter().all(|(_, state)| state == "ok"), "{states:?}");
    let answer = get_json(&format!("{}/api/v1/signals", sidewatch.url)).await;
    let answer = answer.unwrap().to_string();
    assert!(
        answer.contains("\"namespace\":\"prod\"") && !answer.contains("kubernetes-pods"),
        "{answer}"
    );
}
