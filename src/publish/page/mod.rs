//! The status page: one self-contained document, rendered here, kept fresh by a few lines of script.
//!
//! It reads from the top: is the model well, what is wrong and why, then the evidence. Without JavaScript it
//! reloads itself. A hash in the policy names the only style and the only script that may run.

mod card;
mod chart;
mod tables;
mod text;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::snapshot::{Signal, Snapshot};
pub(super) use text::anchor;
use text::moment;
pub use text::{escape, number};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Sent with the page: nothing from elsewhere, no frame around it, only our own style and script.
pub(super) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

/// Renders the page.
pub(super) fn render(snapshot: &Snapshot) -> String {
    let model = escape(snapshot.model.get("model_id").unwrap_or("Sidewatch"));
    let version = snapshot
        .model
        .get("model_version")
        .map_or_else(String::new, |version| {
            format!(" version {}", escape(version))
        });
    let Headline { class, text } = headline(snapshot);
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{text} · {model}</title><style>{STYLE}</style>\
         <noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript></head><body>\
         <header><span><b>{model}</b>{version}</span><button type=\"button\" hidden>light or dark</button></header>\
         <main><h1 class=\"{class}\" aria-live=\"polite\">{text}</h1>\
         <p id=\"lost\" class=\"bad\" role=\"status\" hidden>Sidewatch does not answer; what follows is old.</p>\
         <div id=\"live\"><p class=\"quiet\">as of {}</p>",
        moment(snapshot.at)
    );
    card::alerts(snapshot, &mut out);
    card::signals(snapshot, &mut out);
    tables::targets(snapshot, &mut out);
    tables::deliveries(snapshot, &mut out);
    tables::rules(snapshot, &mut out);
    tables::footer(snapshot, &mut out);
    out.push_str("</div></main><script>");
    out.push_str(SCRIPT);
    out.push_str("</script></body></html>");
    out
}

/// The answer to "is the model well?".
struct Headline {
    class: &'static str,
    text: String,
}

/// The worst thing known comes first; what is not known is never called normal.
fn headline(snapshot: &Snapshot) -> Headline {
    let of = |class, text: String| Headline { class, text };
    let alerts = |state| count(snapshot.alerts.iter().map(|alert| alert.state), state);
    let signals = |state| count(snapshot.signals.iter().filter_map(|s| s.state), state);
    let down = count(snapshot.targets.iter().map(|target| target.up), Some(false));
    let unseen = count(snapshot.targets.iter().map(|target| target.up), None);
    let unknown = signals("warming_up") + signals("insufficient_data") + signals("stale");
    let anomalous = signals("anomalous") + signals("frozen");
    let failing = snapshot
        .groups
        .iter()
        .flat_map(|group| &group.rules)
        .filter(|rule| rule.error.is_some())
        .count();
    if alerts("firing") > 0 {
        return of(
            "bad",
            plural(alerts("firing"), "alert fires", "alerts fire"),
        );
    }
    if down > 0 {
        return of("bad", plural(down, "target is down", "targets are down"));
    }
    if unseen > 0 || snapshot.targets.is_empty() {
        return of("wait", "Nothing scraped yet".to_owned());
    }
    if failing > 0 {
        return of("bad", plural(failing, "rule fails", "rules fail"));
    }
    if alerts("pending") > 0 {
        return of(
            "wait",
            plural(alerts("pending"), "alert is pending", "alerts are pending"),
        );
    }
    if anomalous > 0 {
        return of(
            "wait",
            plural(anomalous, "signal is anomalous", "signals are anomalous"),
        );
    }
    if unknown > 0 {
        return of(
            "wait",
            plural(
                unknown,
                "signal is not known yet",
                "signals are not known yet",
            ),
        );
    }
    if !snapshot.signals.iter().any(|signal| signal.state.is_some()) {
        return of("wait", "No alert fires; nothing is judged".to_owned());
    }
    of("good", "All signals are normal".to_owned())
}

fn count<T: PartialEq + Copy>(items: impl Iterator<Item = T>, wanted: T) -> usize {
    items.filter(|item| *item == wanted).count()
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Worst first, so that the cut of a long list drops the quiet ones.
fn rank(signal: &Signal) -> u8 {
    match signal.state {
        Some("anomalous") => 0,
        Some("frozen") => 1,
        Some("stale") => 2,
        Some("insufficient_data") => 3,
        Some("warming_up") => 4,
        Some(_) => 5,
        None => 6,
    }
}

#[cfg(test)]
mod tests;
