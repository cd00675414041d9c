//! What a person reads on the status page, in a real Chromium, in each state of a model.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::support::browser::{Browser, PATIENCE};
use super::support::{Fake, Fault, Process, free_port, get_text, until};

const RULES: &str = "groups:
- name: g
  interval: 1s
  rules:
  - watch: LatencyHigh
    expr: latency_seconds
    strategy: {type: static, upper: 1}
    annotations: {summary: 'answers take {{ $value }} s', runbook_url: 'https://wiki.example/slow'}
  - watch: AccuracyLow
    expr: accuracy
    strategy: {type: static, lower: 0.9}
    annotations: {summary: 'accuracy is {{ $value }}'}
";

fn screenshots(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("target/screenshots").join(name)
}

/// One replica, whose latency and accuracy the test controls.
struct Replica {
    server: Fake,
    is_slow: Arc<AtomicBool>,
    has_accuracy: Arc<AtomicBool>,
}

impl Replica {
    async fn start() -> Self {
        let is_slow = Arc::new(AtomicBool::new(false));
        let has_accuracy = Arc::new(AtomicBool::new(true));
        let (slow, accurate) = (Arc::clone(&is_slow), Arc::clone(&has_accuracy));
        let server = Fake::start(move || {
            let latency = if slow.load(Ordering::Relaxed) {
                5.0
            } else {
                0.2
            };
            let mut body = format!("latency_seconds {latency}\n");
            if accurate.load(Ordering::Relaxed) {
                body.push_str("accuracy 0.95\n");
            }
            body
        });
        Self {
            server: server.await,
            is_slow,
            has_accuracy,
        }
    }
}

/// Sidewatch in front of these servers, and its URL.
async fn sidewatch(targets: &[&Fake], rules: &str, dir: &Path) -> (Process, String) {
    let targets: Vec<String> = targets
        .iter()
        .zip('a'..)
        .map(|(server, name)| {
            let address = server.address;
            format!("{{url: \"http://{address}/metrics\", labels: {{instance: {name}}}}}")
        })
        .collect();
    let config = format!(
        "global: {{scrape_interval: 1s}}\nmodel: {{id: m}}\nscrape:\n  targets: [{}]\nrule_files: [rules.yaml]\n",
        targets.join(", ")
    );
    fs::write(dir.join("sidewatch.yaml"), config).unwrap();
    fs::write(dir.join("rules.yaml"), rules).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let listen = format!("--web.listen-address={address}");
    let process = Process::sidewatch(&["run", "--config.file=sidewatch.yaml", &listen], dir);
    let url = format!("http://{address}/");
    until("the page", PATIENCE, async || {
        get_text(&format!("{url}-/ready")).await
    })
    .await;
    (process, url)
}

/// Waits for a headline with all these texts, and returns it with its colour's name.
async fn headline(browser: &Browser, texts: &[&str]) -> Value {
    let wanted = json!(texts);
    let script = format!(
        "const h = document.querySelector('h1'); return {wanted}.every(text => h.textContent.includes(text)) && [h.textContent, h.className]"
    );
    browser
        .wait(&format!("the headline {texts:?}"), &script)
        .await
}

/// The names of the cards that have a line, and how many cards there are.
const CHARTS: &str = "const cards = [...document.querySelectorAll('#signals .card')]; \
    return [cards.length, cards.filter(card => card.querySelector('svg polyline.value')).length]";
const NO_SCROLL: &str =
    "return document.documentElement.scrollWidth <= document.documentElement.clientWidth";

async fn every_chart_has_points(browser: &Browser, cards: u32) {
    let script = format!(
        "const drawn = (() => {{ {CHARTS} }})(); return drawn[0] === {cards} && drawn[1] === {cards}"
    );
    browser.wait("a line on every card", &script).await;
}

/// Every link to a page of ours that the page shows answers 200.
async fn links_answer(browser: &Browser) {
    let script = "return [...new Set([...document.querySelectorAll('a[href]')].map(a => a.href.split('#')[0]).filter(url => url.startsWith(location.origin)))]";
    let links = browser.ask(script).await;
    let links = links.as_array().unwrap();
    assert!(links.len() > 2, "{links:?}");
    for link in links {
        let link = link.as_str().unwrap();
        get_text(link)
            .await
            .unwrap_or_else(|error| panic!("{link}: {error}"));
    }
}

#[tokio::test]
async fn the_first_screen_says_what_is_wrong_in_every_state() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let replicas = [
        Replica::start().await,
        Replica::start().await,
        Replica::start().await,
    ];
    let servers = replicas.each_ref().map(|replica| &replica.server);
    let (process, url) = sidewatch(&servers, RULES, dir.path()).await;
    browser.resize(1200, 960).await;
    browser.open(&url).await;

    let healthy = headline(&browser, &["m is healthy: all signals are normal"]).await;
    assert_eq!(healthy[1], "good");
    every_chart_has_points(&browser, 6).await;
    links_answer(&browser).await;
    browser.screenshot(&screenshots("state-healthy.png")).await;

    a_vanished_signal_keeps_its_chart(&browser, &replicas).await;

    an_alert_names_its_replicas(&browser, &replicas, &url).await;

    targets_go_down(&browser, &replicas).await;

    // The watcher itself ends: nothing green stays, on the page or in the tab.
    drop(process);
    let lost = headline(&browser, &["Sidewatch itself does not answer since"]).await;
    assert_eq!(lost[1], "bad");
    let title = browser.ask("return document.title").await;
    assert!(
        title.as_str().unwrap().starts_with("Sidewatch itself"),
        "{title}"
    );
    browser.screenshot(&screenshots("state-lost.png")).await;
}

async fn a_vanished_signal_keeps_its_chart(browser: &Browser, replicas: &[Replica; 3]) {
    // A signal vanishes: its last value and its chart stay, and the headline names it.
    for replica in replicas {
        replica.has_accuracy.store(false, Ordering::Relaxed);
    }
    let gone = headline(
        browser,
        &["cannot be judged fully", "AccuracyLow has no value since"],
    )
    .await;
    assert_eq!(gone[1], "wait");
    every_chart_has_points(browser, 6).await;
    let words = "const card = [...document.querySelectorAll('#signals .card')].find(card => card.dataset.rule === 'AccuracyLow'); return card.innerText";
    let words = browser.ask(words).await;
    let words = words.as_str().unwrap();
    assert!(
        words.contains("no value since") && words.contains("the last was 0.95"),
        "{words}"
    );
    let marked = "return document.querySelectorAll('#signals rect.gap').length === 3";
    browser
        .wait("the gaps of the vanished signals", marked)
        .await;
    browser.screenshot(&screenshots("state-vanished.png")).await;
}

async fn an_alert_names_its_replicas(browser: &Browser, replicas: &[Replica; 3], url: &str) {
    // An alert fires about one replica.
    replicas[0].is_slow.store(true, Ordering::Relaxed);
    let firing = headline(
        browser,
        &["m is unhealthy: LatencyHigh fires on 1 of 3 targets since"],
    )
    .await;
    assert_eq!(firing[1], "bad");
    let runbook = "return document.querySelector('#alerts a[href^=\"https://wiki\"]').textContent";
    assert_eq!(browser.ask(runbook).await, "runbook");
    links_answer(browser).await;
    browser.screenshot(&screenshots("state-firing.png")).await;
    a_signal_has_its_own_page(browser, url).await;
}

async fn targets_go_down(browser: &Browser, replicas: &[Replica; 3]) {
    // One of three replicas is down, and the alert is over.
    replicas[0].is_slow.store(false, Ordering::Relaxed);
    for replica in replicas {
        replica.has_accuracy.store(true, Ordering::Relaxed);
    }
    headline(browser, &["all signals are normal"]).await;
    replicas[2].server.set(Fault::Refused);
    let part = headline(browser, &["1 of 3 targets is down since"]).await;
    assert_eq!(part[1], "wait");
    browser.screenshot(&screenshots("state-one-down.png")).await;

    // All are down: the last values and their charts stay.
    for replica in replicas {
        replica.server.set(Fault::Refused);
    }
    let dead = headline(
        browser,
        &["m does not answer: 3 of 3 targets are down since"],
    )
    .await;
    assert_eq!(dead[1], "bad");
    every_chart_has_points(browser, 6).await;
    let green = "return document.querySelectorAll('#signals .tag.good').length";
    assert_eq!(browser.ask(green).await, 0);
    let told = browser
        .ask("return document.querySelector('#events').innerText")
        .await;
    let told = told.as_str().unwrap();
    for part in [
        "LatencyHigh fires: answers take 5 s",
        "LatencyHigh ended after",
        "target c is down",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    browser.screenshot(&screenshots("state-all-down.png")).await;
    phone_print_and_dark(browser).await;
}

async fn a_signal_has_its_own_page(browser: &Browser, url: &str) {
    browser.click("#alerts a[href^='signal/']").await;
    let script = "return location.pathname.startsWith('/signal/') && document.querySelector('h1').textContent";
    let title = browser.wait("the page of the signal", script).await;
    assert_eq!(title, "LatencyHigh is anomalous");
    let drawn = "return document.querySelectorAll('svg polyline.value').length > 0";
    browser.wait("the chart of the signal", drawn).await;
    links_answer(browser).await;
    browser.screenshot(&screenshots("signal.png")).await;
    browser.open(url).await;
}

async fn phone_print_and_dark(browser: &Browser) {
    browser.resize(390, 844).await;
    assert_eq!(browser.ask(NO_SCROLL).await, true);
    browser.screenshot(&screenshots("state-phone.png")).await;
    browser.resize(1200, 960).await;
    let media = |media: &str, scheme: &str| json!({"media": media, "features": [{"name": "prefers-color-scheme", "value": scheme}]});
    let set = "Emulation.setEmulatedMedia";
    let paper = "return getComputedStyle(document.body).backgroundColor";
    browser.devtools(set, media("", "light")).await;
    let light = browser.ask(paper).await;
    browser.devtools(set, media("", "dark")).await;
    assert_ne!(browser.ask(paper).await, light);
    browser.screenshot(&screenshots("state-dark.png")).await;
    browser.devtools(set, media("print", "dark")).await;
    assert_eq!(browser.ask(paper).await, light, "paper is light");
    let buttons = "return [...document.querySelectorAll('header button')].every(b => getComputedStyle(b).display === 'none')";
    assert_eq!(browser.ask(buttons).await, true);
    browser.screenshot(&screenshots("state-print.png")).await;
    browser.devtools(set, media("", "light")).await;
}

#[tokio::test]
async fn of_400_signals_the_worst_come_first_and_all_have_charts_and_can_be_filtered() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let server = Fake::start(|| {
        let lines = (0..400).map(|i| {
            let latency = if i == 399 { 5.0 } else { 0.2 };
            format!("latency_seconds{{tenant=\"t{i}\"}} {latency}\n")
        });
        lines.collect()
    })
    .await;
    let rules = RULES.split("  - watch: AccuracyLow").next().unwrap();
    let (_process, url) = sidewatch(&[&server], rules, dir.path()).await;
    browser.resize(1200, 960).await;
    browser.open(&format!("{url}?filter=tenant%3Dt399")).await;
    headline(&browser, &["m is unhealthy: LatencyHigh fires"]).await;
    every_chart_has_points(&browser, 100).await;
    let shown = "return [...document.querySelectorAll('#signals .card')].filter(card => !card.hidden).map(card => card.innerText)";
    let cards = browser.ask(shown).await;
    let cards = cards.as_array().unwrap();
    assert_eq!(cards.len(), 1, "{cards:?}");
    assert!(
        cards[0].as_str().unwrap().contains("anomalous"),
        "{cards:?}"
    );
    // The keyboard clears the filter, and the URL follows.
    browser
        .ask("const field = document.getElementById('filter'); field.focus(); field.select()")
        .await;
    browser.press("\u{e017}").await;
    browser
        .wait("an URL without a filter", "return location.search === '' && [...document.querySelectorAll('#signals .card')].every(card => !card.hidden)")
        .await;
    browser.screenshot(&screenshots("state-400.png")).await;
}
