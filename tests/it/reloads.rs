//! Reloading: two hundred times under load, and automatically when a ConfigMap changes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::{Fake, Process, free_port, get_json, get_text, until};

const SOON: Duration = Duration::from_secs(30);

async fn target() -> MockServer {
    let server = MockServer::start().await;
    let body = "# TYPE model_accuracy gauge\nmodel_accuracy{model_name=\"a\"} 0.5\n";
    Mock::given(method("GET"))
        .and(path("/metrics"))
        .respond_with(
            ResponseTemplate::new(200)
                .set_body_raw(body, "text/plain; version=0.0.4; charset=utf-8"),
        )
        .mount(&server)
        .await;
    server
}

/// Two watches that change together: one configuration has the bounds 0.6 and 0.7, another 0.8 and
/// 0.9. `Kept` is the same in each, and every configuration has a rule of its own.
fn rules(generation: usize) -> String {
    let (one, two) = if generation.is_multiple_of(2) {
        (0.6, 0.7)
    } else {
        (0.8, 0.9)
    };
    format!(
        "groups:\n- name: g\n  rules:\n  \
         - watch: One\n    expr: model_accuracy\n    strategy: {{type: static, bound: {one}, direction: below}}\n  \
         - watch: Two\n    expr: model_accuracy\n    strategy: {{type: static, bound: {two}, direction: below}}\n  \
         - watch: Kept\n    expr: model_accuracy\n    strategy: {{type: static, bound: 0.85, direction: below}}\n  \
         - watch: Own{generation}\n    expr: model_accuracy\n    strategy: {{type: static, bound: 0.1, direction: below}}\n"
    )
}

fn config(target: &str) -> String {
    format!(
        "global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}\nmodel: {{id: m}}\n\
         scrape:\n  targets: [{{url: \"{target}/metrics\", labels: {{pod: p}}}}]\nrule_files: [rules.yaml]\n"
    )
}

async fn start(dir: &Path, flags: &[&str]) -> (Process, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let listen = format!("--web.listen-address={address}");
    let mut args = vec!["run", "--web.enable-lifecycle", listen.as_str()];
    args.extend(flags);
    let process = Process::sidewatch(&args, dir);
    let url = format!("http://{address}");
    until("ready", SOON, async || {
        get_text(&format!("{url}/-/ready")).await
    })
    .await;
    (process, url)
}

/// The value of a sample without labels.
fn number(metrics: &str, name: &str) -> f64 {
    let line = metrics
        .lines()
        .find(|line| line.split([' ', '{']).next() == Some(name));
    let value = line.and_then(|line| line.rsplit(' ').next());
    value.unwrap().parse().unwrap()
}

/// The bounds of the two watches at one instant, when both were judged.
fn bounds(signals: &Value) -> Option<(f64, f64)> {
    let all = signals["data"]["signals"].as_array()?;
    let of = |name: &str| {
        let signal = all.iter().find(|signal| signal["rule"] == name)?;
        signal["expected"]["lower"].as_f64()
    };
    Some((of("One")?, of("Two")?))
}

#[tokio::test]
async fn two_hundred_reloads_under_load_lose_no_state_leak_nothing_and_never_mix() {
    let dir = tempfile::tempdir().unwrap();
    let target = target().await;
    fs::write(dir.path().join("sidewatch.yaml"), config(&target.uri())).unwrap();
    fs::write(dir.path().join("rules.yaml"), rules(0)).unwrap();
    let (_process, url) = start(dir.path(), &["--config.file=sidewatch.yaml"]).await;
    let since = until("the alert", SOON, async || {
        let alerts = get_json(&format!("{url}/api/v1/alerts")).await?;
        started(&alerts).ok_or(alerts.to_string())
    })
    .await;

    let stop = Arc::new(AtomicBool::new(false));
    let looks = Arc::new(AtomicUsize::new(0));
    let readers = readers(&url, &stop, &looks);
    let client = reqwest::Client::new();
    let mut before = (0.0, 0.0);
    for generation in 1..=200 {
        let good = generation % 2 == 0;
        let text = if good {
            rules(generation / 2)
        } else {
            rules(generation).replace("bound: 0.85", "bound: high")
        };
        fs::write(dir.path().join("rules.yaml"), text).unwrap();
        let before_it = looks.load(Ordering::Relaxed);
        let answer = client.post(format!("{url}/-/reload")).send().await.unwrap();
        assert_eq!(answer.status(), if good { 200 } else { 500 });
        until("a look at this configuration", SOON, async || {
            let now = looks.load(Ordering::Relaxed);
            if now > before_it { Ok(()) } else { Err(now) }
        })
        .await;
        if generation == 40 {
            before = usage(&url).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    every_look_was_of_one_configuration(&readers.join_all().await.concat());

    // The rule that every configuration had still fires, since the same time.
    let alerts = get_json(&format!("{url}/api/v1/alerts")).await.unwrap();
    assert_eq!(started(&alerts), Some(since), "{alerts}");
    // Only the rules of the last configuration have metrics.
    until(
        "the last configuration's own rule alone",
        SOON,
        async || {
            let metrics = get_text(&format!("{url}/metrics")).await?;
            let own = metrics.lines().filter(|line| line.contains("rule=\"Own"));
            let others: Vec<&str> = own.filter(|line| !line.contains("\"Own100\"")).collect();
            let there = metrics
                .contains("sidewatch_alerts_total{group=\"g\",model_id=\"m\",rule=\"Own100\"} 0");
            if others.is_empty() && there {
                Ok(())
            } else {
                Err(others.join("\n"))
            }
        },
    )
    .await;
    let after = usage(&url).await;
    assert!(after.0 < before.0 + 8e6, "memory {before:?} → {after:?}");
    assert!(after.1 <= before.1 + 2.0, "files {before:?} → {after:?}");
}

/// They look all the time, and remember the bounds that they saw together.
fn readers(
    url: &str,
    stop: &Arc<AtomicBool>,
    looks: &Arc<AtomicUsize>,
) -> tokio::task::JoinSet<Vec<(f64, f64)>> {
    let mut readers = tokio::task::JoinSet::new();
    for path in ["/api/v1/signals", "/metrics", "/"] {
        let (url, stop, looks) = (format!("{url}{path}"), Arc::clone(stop), Arc::clone(looks));
        readers.spawn(async move {
            let mut seen = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let body = get_text(&url).await.unwrap();
                if let Ok(signals) = serde_json::from_str::<Value>(&body) {
                    seen.extend(bounds(&signals));
                    looks.store(seen.len(), Ordering::Relaxed);
                }
            }
            seen
        });
    }
    readers
}

fn every_look_was_of_one_configuration(seen: &[(f64, f64)]) {
    for pair in seen {
        let whole = [(0.6, 0.7), (0.8, 0.9)]
            .iter()
            .any(|(one, two)| (pair.0 - one).abs() + (pair.1 - two).abs() < 1e-9);
        assert!(whole, "{pair:?} is of two configurations");
    }
    assert!(seen.len() > 100, "{} looks", seen.len());
    let both = seen.iter().any(|pair| pair.0 < 0.7) && seen.iter().any(|pair| pair.0 > 0.7);
    assert!(both, "both configurations were in force");
}

/// Since when `Kept` fires.
fn started(alerts: &Value) -> Option<String> {
    let all = alerts["data"]["alerts"].as_array()?;
    let kept = all
        .iter()
        .find(|alert| alert["labels"]["alertname"] == "Kept" && alert["state"] == "firing")?;
    Some(kept["activeAt"].as_str()?.to_owned())
}

/// Resident memory and open files.
async fn usage(url: &str) -> (f64, f64) {
    let metrics = get_text(&format!("{url}/metrics")).await.unwrap();
    (
        number(&metrics, "process_resident_memory_bytes"),
        number(&metrics, "process_open_fds"),
    )
}

/// Writes a generation of the files and swaps `..data` to it, as the kubelet does.
fn mount(volume: &Path, name: &str, config: &str, rules: &str) {
    let fresh = volume.join(name);
    fs::create_dir_all(&fresh).unwrap();
    fs::write(fresh.join("sidewatch.yaml"), config).unwrap();
    fs::write(fresh.join("rules.yaml"), rules).unwrap();
    symlink(name, volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
}

#[tokio::test]
async fn a_config_map_that_changes_is_taken_up_by_itself_and_a_broken_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (target, volume) = (target().await, dir.path());
    let config = config(&target.uri());
    mount(volume, "..1", &config, &rules(0));
    for file in ["sidewatch.yaml", "rules.yaml"] {
        symlink(format!("..data/{file}"), volume.join(file)).unwrap();
    }
    let flags = [
        "--config.file=sidewatch.yaml",
        "--config.reload-interval=200ms",
    ];
    let (process, url) = start(volume, &flags).await;
    let shows = async |what: &str| {
        until(what, SOON, async || {
            let metrics = get_text(&format!("{url}/metrics")).await?;
            if metrics.contains(what) {
                Ok(metrics)
            } else {
                Err(metrics)
            }
        })
        .await
    };
    let successful = "sidewatch_config_last_reload_successful{model_id=\"m\"}";
    let time = "sidewatch_config_last_reload_success_timestamp_seconds";
    let at_start = number(&shows("rule=\"Own0\"").await, time);

    mount(volume, "..2", &config, &rules(1));
    let metrics = shows("rule=\"Own1\"").await;
    assert!(
        metrics.contains(&format!("{successful} 1")) && !metrics.contains("Own0"),
        "{metrics}"
    );
    let reloaded = number(&metrics, time);
    assert!(reloaded > at_start, "{reloaded} {at_start}");

    // Broken: told once, with file and line on the page, and the old one stays in force.
    mount(
        volume,
        "..3",
        &config,
        &rules(2).replace("bound: 0.85", "bound: high"),
    );
    let metrics = shows(&format!("{successful} 0")).await;
    assert!(
        metrics.contains("rule=\"Own1\"") && !metrics.contains("Own2"),
        "{metrics}"
    );
    assert!((number(&metrics, time) - reloaded).abs() < 1e-9);
    let page = get_text(&format!("{url}/")).await.unwrap();
    assert!(
        page.contains("the old one stays in force") && page.contains("rules.yaml:12"),
        "{page}"
    );
    let refusals = || process.output().matches("was not reloaded").count();
    assert_eq!(refusals(), 1);

    // Mended: taken up, and the reason is gone.
    mount(volume, "..4", &config, &rules(3));
    let metrics = shows("rule=\"Own3\"").await;
    assert!(metrics.contains(&format!("{successful} 1")), "{metrics}");
    assert_eq!(refusals(), 1, "a file that stays broken is told once");
    let page = get_text(&format!("{url}/")).await.unwrap();
    assert!(!page.contains("the old one stays in force"), "{page}");
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn a_reload_says_what_needs_a_restart_and_nothing_when_nothing_changed() {
    let dir = tempfile::tempdir().unwrap();
    let target = target().await;
    let receiver = Fake::start(String::new).await;
    let base = format!(
        "{}alerting: {{resend_delay: 1h, alertmanagers: [{{url: \"http://{}\"}}]}}\n",
        config(&target.uri()),
        receiver.address
    );
    let write = |text: &str| fs::write(dir.path().join("sidewatch.yaml"), text).unwrap();
    write(&base);
    fs::write(dir.path().join("rules.yaml"), rules(0)).unwrap();
    let flags = [
        "--config.file=sidewatch.yaml",
        "--config.reload-interval=0s",
    ];
    let (process, url) = start(dir.path(), &flags).await;
    let posts_with = |name: &str| {
        let name = format!("\"alertname\":\"{name}\"");
        let posts = receiver.received().into_iter();
        posts.filter(|post| post.body.contains(&name)).count()
    };
    until("the alert", SOON, async || match posts_with("Kept") {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    let client = reqwest::Client::new();
    let reload = async || {
        let answer = client.post(format!("{url}/-/reload")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(
        reload().await,
        (200, "reloaded: nothing changed\n".to_owned())
    );

    // What stands on every counter keeps everything else from being applied too.
    write(&base.replace("model: {id: m}", "model: {id: m, version: 8}"));
    let (status, answer) = reload().await;
    let told = "model.version: changed from none to \"8\"; restart to apply it";
    assert_eq!(status, 500);
    assert!(answer.contains(told), "{answer}");
    until(
        "the reason in the log",
        Duration::from_secs(30),
        async || {
            let log = process.output();
            let is_there = log.contains("model.version: changed from none");
            if is_there { Ok(()) } else { Err(log) }
        },
    )
    .await;

    // What only the start reads does not.
    write(&format!(
        "{base}backfill: {{prometheus: 'http://127.0.0.1:1'}}\n"
    ));
    fs::write(dir.path().join("rules.yaml"), rules(2)).unwrap();
    let told = "backfill: added; restart to apply it";
    assert_eq!(reload().await, (200, format!("reloaded\n{told}\n")));
    assert!(process.output().contains(told));
    let again = format!("reloaded: nothing changed\n{told}\n");
    assert_eq!(reload().await, (200, again));
    let shown = until("the new rules", SOON, async || {
        let signals = get_json(&format!("{url}/api/v1/signals")).await?;
        let text = signals.to_string();
        if text.contains("Own2") {
            Ok(text)
        } else {
            Err(text)
        }
    })
    .await;
    assert!(!shown.contains("Own0"), "{shown}");
    // The first time, and the reload with changes; not the reload without.
    until("the alert again", SOON, async || match posts_with("Kept") {
        0 | 1 => Err("not yet"),
        _ => Ok(()),
    })
    .await;
    assert_eq!(posts_with("Kept"), 2);

    // Back to what the process started with.
    write(&base);
    assert_eq!(reload().await, (200, "reloaded\n".to_owned()));
}

#[tokio::test]
async fn a_reload_applies_the_limit_on_series_and_the_url_of_links() {
    let dir = tempfile::tempdir().unwrap();
    let many = Fake::start(|| {
        let lines = (0..50).map(|n| format!("model_accuracy{{n=\"{n}\"}} 0.5\n"));
        lines.collect()
    })
    .await;
    let base = config(&format!("http://{}", many.address));
    let limited =
        |limit: usize| base.replace("scrape:\n", &format!("scrape:\n  series_limit: {limit}\n"));
    fs::write(dir.path().join("sidewatch.yaml"), limited(20)).unwrap();
    fs::write(dir.path().join("rules.yaml"), rules(0)).unwrap();
    let (_process, url) = start(dir.path(), &["--config.file=sidewatch.yaml"]).await;
    let kept = async || {
        let metrics = get_text(&format!("{url}/metrics")).await.unwrap();
        number(&metrics, "sidewatch_series")
    };
    let before = kept().await;
    assert!(before < 50.0, "{before}");
    let linked = limited(1000).replace(
        "global: {",
        "global: {external_url: 'http://side.example/p', ",
    );
    fs::write(dir.path().join("sidewatch.yaml"), linked).unwrap();
    let answer = reqwest::Client::new()
        .post(format!("{url}/-/reload"))
        .send()
        .await;
    assert_eq!(answer.unwrap().status(), 200);
    until("all series", SOON, async || {
        let now = kept().await;
        if now >= 50.0 { Ok(()) } else { Err(now) }
    })
    .await;
    until("the link", SOON, async || {
        let alerts = get_text(&format!("{url}/api/v1/alerts")).await?;
        let link = "http://side.example/p/?rule=Kept&id=";
        if alerts.contains(link) {
            Ok(())
        } else {
            Err(alerts)
        }
    })
    .await;
}

#[tokio::test]
async fn two_rules_that_cannot_be_told_apart_are_reported_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let target = target().await;
    let rule = "  - {alert: Low, expr: model_accuracy < 0.9}\n";
    let text = format!("groups:\n- name: g\n  rules:\n{rule}{rule}");
    fs::write(dir.path().join("rules.yaml"), text).unwrap();
    fs::write(dir.path().join("c.yaml"), config(&target.uri())).unwrap();
    let (process, _) = start(dir.path(), &["--config.file=c.yaml"]).await;
    let output = process.output();
    assert!(
        output.contains("WARN rules.yaml:5: groups[0].rules[1].alert: "),
        "{output}"
    );
    assert!(output.contains("[duplicate-rules]"), "{output}");
}
