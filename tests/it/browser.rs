//! The status page in a real Chromium, while the demo runs.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::support::browser::{Browser, PATIENCE};
use super::support::{Process, free_port, until};

/// Healthy for 15 seconds, degraded for 15, then healthy again, long enough to see the end on a
/// busy machine.
const LENGTH: &str = "--duration=45s";
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

fn screenshots(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("target/screenshots").join(name)
}

/// The demonstration on a port of its own, once its page answers.
async fn demo(dir: &Path) -> (Process, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let listen = format!("--web.listen-address={address}");
    let process = Process::sidewatch(&["demo", LENGTH, &listen], dir);
    let url = format!("http://{address}/");
    until("the page", PATIENCE, async || {
        super::support::get_text(&url).await
    })
    .await;
    (process, url)
}

const HEADLINE: &str = "return document.querySelector('h1').textContent";
const FIRING: &str = "return document.querySelector('h1').textContent.startsWith('demo is unhealthy') && \
                      ['AccuracyDropped', 'LatencyUnusual'].every(name => [...document.querySelectorAll('#alerts .firing h3')].some(h => h.textContent === name))";
const NO_SCROLL: &str =
    "return document.documentElement.scrollWidth <= document.documentElement.clientWidth";

#[tokio::test]
async fn on_call_sees_an_alert_come_and_go_in_a_real_browser() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (_demo, url) = demo(dir.path()).await;
    browser.resize(1200, 960).await;
    browser.requests().await;
    browser.open(&url).await;
    let first = browser.ask(HEADLINE).await;
    assert!(
        !first.as_str().unwrap().starts_with("demo is unhealthy"),
        "{first}"
    );

    // Nobody reloads the page: its script shows the alert.
    browser.wait("the alert on the page", FIRING).await;
    browser.screenshot(&screenshots("alert.png")).await;
    let text = browser
        .ask("return document.querySelector('#alerts').innerText")
        .await;
    let text = text.as_str().unwrap();
    assert!(text.contains("accuracy of demo is"), "{text}");
    assert!(text.contains("is below the bound 0.9"), "{text}");
    assert!(text.contains("severity=page"), "{text}");

    the_link_leads_to_the_chart(&browser).await;
    the_keyboard_switches_the_theme(&browser).await;
    a_phone_needs_no_sideways_scrolling(&browser).await;
    what_is_open_and_focused_stays_so(&browser).await;

    browser.resize(1200, 960).await;
    browser
        .wait(
            "the end of the alert",
            "return document.querySelectorAll('#alerts article').length === 0",
        )
        .await;
    browser.screenshot(&screenshots("resolved.png")).await;

    let requests = browser.requests().await;
    assert!(
        requests.len() > 5,
        "the page refreshed itself: {requests:?}"
    );
    for request in requests {
        assert!(
            request.starts_with(&url) || request.starts_with("data:"),
            "{request} is elsewhere"
        );
    }
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:?}");
}

/// From the alert to the signal it came from, and what a screen reader says of the chart.
async fn the_link_leads_to_the_chart(browser: &Browser) {
    let link = "#alerts a[href^='#signal-AccuracyDropped']";
    browser.click(link).await;
    let target = browser
        .wait(
            "the linked card",
            "const card = document.querySelector('.card:target'); return card && card.dataset.rule",
        )
        .await;
    assert_eq!(target, "AccuracyDropped");
    let spoken = browser
        .ask(
            "const svg = document.querySelector('.card:target svg'); \
             return svg.getAttribute('role') + ' ' + svg.getAttribute('aria-labelledby').split(' ').map(id => document.getElementById(id).textContent).join(': ')",
        )
        .await;
    let spoken = spoken.as_str().unwrap();
    assert!(
        spoken.starts_with("img AccuracyDropped: Now 0.")
            && spoken.contains("expected at least 0.9."),
        "{spoken}"
    );
    assert!(spoken.contains("evaluations anomalous"), "{spoken}");
    let drawn = browser
        .ask("const svg = document.querySelector('.card:target svg'); return ['.value', '.band', '.hit'].map(c => svg.querySelectorAll(c).length > 0)")
        .await;
    assert_eq!(drawn, json!([true, true, true]));
}

async fn the_keyboard_switches_the_theme(browser: &Browser) {
    let paper = "return getComputedStyle(document.body).backgroundColor";
    let before = browser.ask(paper).await;
    browser
        .ask("window.scrollTo(0, 0); document.activeElement.blur(); getSelection().removeAllRanges(); location.hash = ''")
        .await;
    // The button is the first thing that Tab reaches.
    browser.press(TAB).await;
    let focused = browser.ask("return document.activeElement.tagName").await;
    assert_eq!(focused, "BUTTON");
    browser.press(ENTER).await;
    assert_ne!(browser.ask(paper).await, before);
    browser.screenshot(&screenshots("dark.png")).await;
    browser.press(ENTER).await;
    assert_eq!(browser.ask(paper).await, before);
}

async fn a_phone_needs_no_sideways_scrolling(browser: &Browser) {
    for width in [320, 390] {
        browser.resize(width, 800).await;
        assert_eq!(browser.ask(NO_SCROLL).await, true, "{width} pixels");
    }
    browser.screenshot(&screenshots("phone.png")).await;
}

/// The page replaces what it shows once a second; a reader must not notice.
async fn what_is_open_and_focused_stays_so(browser: &Browser) {
    browser
        .ask(
            "document.querySelector('#rules details').open = false; document.querySelector('#file-0').open = true; \
             document.querySelector('#to-rules').focus(); document.querySelector('#live').dataset.old = 1",
        )
        .await;
    browser
        .wait(
            "a refresh",
            "return document.querySelector('#live').dataset.old === undefined",
        )
        .await;
    let state = browser
        .ask(
            "return [document.querySelector('#rules details').open, document.querySelector('#file-0').open, document.activeElement.id, \
             document.querySelector('#file-0-2').dataset.line]",
        )
        .await;
    assert_eq!(state, json!([false, true, "to-rules", "2"]));
}

#[tokio::test]
async fn the_policy_stops_whatever_slips_into_the_page() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (_demo, url) = demo(dir.path()).await;
    browser.open(&url).await;
    assert!(browser.complaints().await.is_empty());
    browser
        .ask(
            "window.ran = false; const script = document.createElement('script'); script.textContent = 'window.ran = true'; \
             document.body.append(script); const image = new Image(); image.src = 'http://127.0.0.1:9/x.png'; document.body.append(image)",
        )
        .await;
    assert_eq!(browser.ask("return window.ran").await, false);
    let refused = until("both refusals", PATIENCE, async || {
        let seen = browser.complaints().await;
        let refusals = seen
            .iter()
            .filter(|text| text.contains("Content Security Policy"));
        if refusals.count() >= 2 {
            Ok(seen)
        } else {
            Err(format!("{seen:?}"))
        }
    })
    .await;
    assert!(
        refused.iter().any(|text| text.contains("script-src")),
        "{refused:?}"
    );
}
