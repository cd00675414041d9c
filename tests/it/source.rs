//! `scrape.source`: the same rules over local scrapes and over the real Prometheus that scrapes the
//! same target.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sidewatch::internals::config::Config;
use sidewatch::internals::history::Prometheus;
use sidewatch::internals::runtime::http;
use sidewatch_engine::exposition::Exposition;
use sidewatch_engine::judge::Registry;
use sidewatch_engine::metric::Timestamp;
use sidewatch_engine::monitor::{ModelMonitor, Results, Scraped, questions};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::{Fake, Process, free_port, get_json, get_text, start_prometheus, until};

const SOON: Duration = Duration::from_secs(60);
/// Values agree to this share of themselves: the sums are the same, in another order.
const TOLERANCE: f64 = 1e-9;
/// Scrapes that are compared.
const SCRAPES: usize = 25;
/// From here on every window is filled: before, the local one says `insufficient_data`, and a
/// server may know more.
const FILLED: usize = 10;

/// The windows are no multiples of the interval, since Prometheus 2 counts a sample at the left
/// edge and Prometheus 3 does not.
const RULES: &str = "groups:
- name: g
  rules:
  - record: error_share
    metric: custom
    expr: sum by (model) (rate(bad_total[5500ms])) / sum by (model) (rate(all_total[5500ms]))
  - watch: ErrorShareHigh
    expr: error_share
    strategy: {type: static, bound: 0.3}
  - watch: ErrorShareOnAverage
    expr: max_over_time(error_share[3500ms])
    strategy: {type: static, bound: 0.3}
  - watch: SlowTail
    expr: histogram_quantile(0.9, sum by (le) (rate(seconds_bucket[5500ms])))
    strategy: {type: static, bound: 0.5}
  - watch: DepthOdd
    expr: depth
    strategy: {type: ewma, alpha: 0.2, k_sigma: 3, warm_up: 5}
  - record: drift
    metric: prediction_drift
    drift: {histogram: seconds_bucket, by: [model], window: 8s, reference: {buckets: {'0.1': 50, '1': 40, '+Inf': 10}}, statistic: psi, min_samples: 20}
  - watch: Drifted
    expr: drift
    strategy: {type: static, bound: 1}
  - watch: Down
    expr: up
    strategy: {type: static, bound: 0.5, direction: below}
";

fn body(scrape: usize) -> String {
    let n = scrape as f64;
    let bad = if scrape > 15 {
        60.0 + (n - 15.0) * 9.0
    } else {
        n * 4.0
    };
    let depth = if scrape == 20 {
        90.0
    } else {
        5.0 + (scrape % 3) as f64
    };
    format!(
        "# TYPE serial gauge\nserial {scrape}\n# TYPE bad counter\nbad_total{{model=\"m\"}} {bad}\n\
         # TYPE all counter\nall_total{{model=\"m\"}} {}\n# TYPE depth gauge\ndepth{{model=\"m\"}} {depth}\n\
         # TYPE seconds histogram\nseconds_bucket{{model=\"m\",le=\"0.1\"}} {}\nseconds_bucket{{model=\"m\",le=\"1\"}} {}\n\
         seconds_bucket{{model=\"m\",le=\"+Inf\"}} {}\nseconds_sum{{model=\"m\"}} {n}\nseconds_count{{model=\"m\"}} {}\n",
        n * 20.0,
        n * 5.0,
        n * 9.0,
        n * 10.0 + (n / 3.0).floor(),
        n * 10.0 + (n / 3.0).floor(),
    )
}

fn config(dir: &Path, scrape: &str) -> Config {
    let text = format!(
        "global: {{scrape_interval: 1s}}\nmodel: {{id: m}}\nscrape: {scrape}\nrule_files: [rules.yaml]\n"
    );
    fs::write(dir.join("rules.yaml"), RULES).unwrap();
    let file = dir.join("c.yaml");
    fs::write(&file, text).unwrap();
    Config::load(&file, &Registry::default()).unwrap()
}

/// Watch, labels, state, value, score, bounds.
type Judged = (String, String, String, [Option<f64>; 4]);

fn judged(monitor: &ModelMonitor) -> Vec<Judged> {
    let mut all: Vec<Judged> = monitor
        .judged()
        .map(|(rule, sample, verdict)| {
            let numbers = [
                Some(sample.value),
                verdict.score,
                verdict.expected.lower,
                verdict.expected.upper,
            ];
            (
                rule.to_owned(),
                sample.labels.to_string(),
                verdict.state.as_str().to_owned(),
                numbers,
            )
        })
        .collect();
    all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    all
}

fn assert_equal(step: usize, ours: &[Judged], theirs: &[Judged]) {
    let key = |of: &[Judged]| -> Vec<(String, String, String)> {
        of.iter()
            .map(|(a, b, c, _)| (a.clone(), b.clone(), c.clone()))
            .collect()
    };
    assert_eq!(key(ours), key(theirs), "scrape {step}");
    for (ours, theirs) in ours.iter().zip(theirs) {
        for (a, b) in ours.3.iter().zip(&theirs.3) {
            let close = match (a, b) {
                (Some(a), Some(b)) => {
                    (a - b).abs() <= TOLERANCE * a.abs().max(1.0) || (a.is_nan() && b.is_nan())
                }
                (None, None) => true,
                _ => false,
            };
            assert!(close, "scrape {step}: {ours:?} {theirs:?}");
        }
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn local_scrapes_and_the_prometheus_that_scraped_the_same_give_the_same_verdicts() {
    let dir = tempfile::tempdir().unwrap();
    let served = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&served);
    let target = Fake::start(move || body(counter.fetch_add(1, Ordering::SeqCst))).await;
    let scraping = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: m\n  static_configs: [{{targets: [\"{}\"]}}]\n",
        target.address
    );
    let Some((_prometheus, url)) = start_prometheus(dir.path(), None, &scraping).await else {
        return;
    };
    // When which body was scraped, as Prometheus has it.
    let scrapes: Vec<(Timestamp, usize)> = until("the scrapes", SOON, async || {
        let answer = get_json(&format!("{url}/api/v1/query?query=serial[5m]")).await?;
        let values = answer["data"]["result"][0]["values"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let scrapes: Vec<(Timestamp, usize)> = values
            .iter()
            .map(|value| {
                let at = Timestamp::from_secs_f64(value[0].as_f64().unwrap());
                (at, value[1].as_str().unwrap().parse().unwrap())
            })
            .collect();
        (scrapes.len() >= SCRAPES)
            .then_some(scrapes)
            .ok_or(answer.to_string())
    })
    .await;

    let local = format!(
        "{{targets: [{{url: \"http://{}/metrics\", labels: {{job: m}}}}]}}",
        target.address
    );
    let mut local = config(dir.path(), &local).monitor(&Registry::default());
    let there = config(
        dir.path(),
        &format!("{{source: {{prometheus: \"{url}\"}}}}"),
    );
    let asked = questions(&there.rules, &[]);
    assert_eq!(
        asked.len(),
        5,
        "what is recorded here is evaluated here: {asked:?}"
    );
    let mut remote = there.monitor(&Registry::default());
    let prometheus = Prometheus::new(&url, http::Settings::default());
    let mut states = std::collections::BTreeSet::new();
    for (step, (at, serial)) in scrapes.into_iter().enumerate() {
        let scraped = Scraped {
            result: Ok(Exposition::text(body(serial).into_bytes(), at)),
            duration: Duration::ZERO,
        };
        local.observe(at, &[scraped]);
        let mut results = Results::default();
        for question in &asked {
            let sent = question.sent.as_ref().unwrap();
            let answer = prometheus.query(sent, at).await;
            results.put(
                &question.written,
                at,
                answer.map_err(|error| error.to_string()),
            );
        }
        remote.observe_results(at, &mut results);
        assert_eq!(remote.failures().next(), None);
        if step >= FILLED {
            let (ours, theirs) = (judged(&local), judged(&remote));
            assert_eq!(ours.len(), 6, "{ours:?}");
            assert_equal(step, &ours, &theirs);
            states.extend(ours.into_iter().map(|(rule, _, state, _)| (rule, state)));
        }
    }
    for (rule, state) in [
        ("ErrorShareHigh", "ok"),
        ("ErrorShareHigh", "anomalous"),
        ("DepthOdd", "anomalous"),
        ("Drifted", "ok"),
    ] {
        let seen = (rule.to_owned(), state.to_owned());
        assert!(states.contains(&seen), "{states:?}");
    }
}

const LIVE: &str = "groups:
- name: g
  rules:
  - record: doubled
    metric: custom
    expr: broken * 2
  - alert: Broken
    expr: broken == 1
    labels: {severity: page}
    annotations:
      summary: >-
        broken at load {{ with printf \"load{instance=%q}\" $labels.instance | query }}{{ . | first | value }}{{ end }},
        twice is {{ query \"doubled\" | first | value }}
  - alert: Asks
    expr: broken == 1
    annotations:
      mixed: '{{ printf \"%s * load\" \"doubled\" | query | first | value }}'
      refused: '{{ query \"load + on (job) {job=~`m`}\" | first | value }}'
  - alert: Nonsense
    expr: label_replace(broken, 'a', '$1', 'b', '(.*)') * on (job) group_left () count by (job, instance) ({job=~'.+'})
";

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn alerts_come_from_a_source_and_its_silence_resolves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let broken = Arc::new(Mutex::new(1));
    let now = Arc::clone(&broken);
    let target = Fake::start(move || format!("broken {}\nload 7\n", now.lock().unwrap())).await;
    let scraping = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: m\n  static_configs: [{{targets: [\"{}\"]}}]\n",
        target.address
    );
    let Some((prometheus, url)) = start_prometheus(dir.path(), None, &scraping).await else {
        return;
    };
    let receiver = Fake::start(String::new).await;
    fs::write(dir.path().join("rules.yaml"), LIVE).unwrap();
    fs::write(
        dir.path().join("sidewatch.yaml"),
        format!(
            "global: {{scrape_interval: 1s}}\nmodel: {{id: m}}\n\
             scrape: {{source: {{prometheus: \"{url}\", matchers: ['job=\"m\"'], http_headers: {{X-Scope-OrgID: {{values: [team]}}}}}}}}\n\
             rule_files: [rules.yaml]\nalerting: {{alertmanagers: [{{url: \"http://{}\"}}]}}\n",
            receiver.address
        ),
    )
    .unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let listen = format!("--web.listen-address={address}");
    let args = ["run", "--config.file=sidewatch.yaml", &listen];
    let sidewatch = Process::sidewatch(&args, dir.path());
    let metrics = format!("http://{address}/metrics");
    until("the alert", SOON, async || {
        let heard = receiver.received();
        let told = heard.iter().any(|request| request.body.contains("Broken"));
        told.then_some(()).ok_or(format!("{heard:?}"))
    })
    .await;
    // Templates ask the source too, within its matchers, and what is recorded here.
    until("the texts", SOON, async || {
        let bodies: String = receiver
            .received()
            .into_iter()
            .map(|one| one.body)
            .collect();
        let all = [
            "broken at load 7, twice is 2",
            "it mixes recorded series with others",
            "found duplicate series for the match group",
        ];
        let missing = all.iter().find(|text| !bodies.contains(**text));
        missing.map_or(Ok(()), |text| Err(format!("no {text} in {bodies}")))
    })
    .await;
    let text = get_text(&metrics).await.unwrap();
    assert!(
        text.contains("sidewatch_target_up{model_id=\"m\",target=\"127.0.0.1:"),
        "{text}"
    );
    assert!(
        text.contains("sidewatch_source_clock_skew_seconds{model_id=\"m\"} 0\n"),
        "{text}"
    );

    // Nobody answers: that is an error of every rule, and no resolution.
    drop(prometheus);
    until("the silence to be noticed", SOON, async || {
        let text = get_text(&metrics).await?;
        let failing =
            text.contains("sidewatch_rule_evaluation_failing{group=\"g\",model_id=\"m\",rule=\"Broken\",severity=\"page\"} 1");
        let down = text
            .lines()
            .any(|line| line.starts_with("sidewatch_target_up") && line.ends_with(" 0"));
        (failing && down).then_some(()).ok_or(text)
    })
    .await;
    let text = get_text(&metrics).await.unwrap();
    let firing = text.lines().find(|line| {
        line.starts_with("sidewatch_active_alerts")
            && line.contains("Broken")
            && line.contains("firing")
    });
    assert!(firing.unwrap().ends_with(" 1"), "{text}");
    assert!(sidewatch.output().contains("the source does not answer"));
}

#[tokio::test]
async fn an_answer_with_labels_beyond_the_limits_is_an_error_of_its_rule_and_alerts_nobody() {
    let labels = (0..200).map(|label| (format!("l{label}"), json!("x")));
    let metric = Value::Object(labels.collect());
    let element = json!({"metric": metric, "value": [0, "1"]});
    let answer = json!({
        "status": "success", "data": {"resultType": "vector", "result": [element]},
    });
    let prometheus = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_json(answer))
        .mount(&prometheus)
        .await;
    let receiver = Fake::start(String::new).await;
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("rules.yaml"),
        "groups: [{name: g, rules: [{alert: Broken, expr: broken > 0}]}]\n",
    )
    .unwrap();
    fs::write(
        dir.path().join("sidewatch.yaml"),
        format!(
            "global: {{scrape_interval: 1s}}\nmodel: {{id: m}}\nscrape: {{source: {{prometheus: \"{}\"}}}}\n\
             rule_files: [rules.yaml]\nalerting: {{alertmanagers: [{{url: \"http://{}\"}}]}}\n",
            prometheus.uri(),
            receiver.address
        ),
    )
    .unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let listen = format!("--web.listen-address={address}");
    let args = ["run", "--config.file=sidewatch.yaml", &listen];
    let _sidewatch = Process::sidewatch(&args, dir.path());
    until("the error of the rule", SOON, async || {
        let text = get_text(&format!("http://{address}/api/v1/rules")).await?;
        let is_said = text.contains("the number of labels of  is 200, over label_limit 128");
        is_said.then_some(()).ok_or(text)
    })
    .await;
    assert!(receiver.received().is_empty());
}
