//! The status page: one self-contained HTML document, refreshed by a short script.
//!
//! From the top: whether the model is well, what is wrong and why, then the evidence. Without
//! JavaScript the page reloads itself. The content security policy allows only its own style and
//! script, by hash.

mod card;
mod chart;
mod events;
mod headline;
mod scale;
mod signal;
mod source;
mod tables;
mod text;

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::query::Query;
use super::snapshot::Snapshot;
use crate::alert::template::query_escape;
use headline::{Headline, headline, overview};
pub(crate) use scale::{extremes, position};
pub(super) use signal::render as signal;
pub(crate) use text::anchor;
use text::moment;
pub(crate) use text::{escape, number};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// The page asks for news once per tick, but within these bounds.
const MIN_REFRESH: Duration = Duration::from_secs(1);
const MAX_REFRESH: Duration = Duration::from_secs(5);

/// The content security policy of the page: no external resource, no frame, only its own style and
/// script.
pub(super) static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
    format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

/// The place of a rule on the page, from another page of the same folder: of the rule with the id or
/// name that a link gives, or the first one with its expression.
pub(super) fn link(query: &Query, snapshot: &Snapshot) -> String {
    let asked = |name: &str| query.first(name).unwrap_or("");
    let (id, name) = (asked("id"), asked("rule"));
    if !id.is_empty() || !name.is_empty() {
        return place(name, id);
    }
    let mut rules = snapshot.groups.iter().flat_map(|group| &group.rules);
    let found = rules.find(|rule| rule.definition.query == asked("g0.expr"));
    found.map_or_else(
        || "./".to_owned(),
        |rule| place(rule.definition.name(), &rule.definition.key.id()),
    )
}

fn place(name: &str, id: &str) -> String {
    format!("./?rule={}&id={}", query_escape(name), query_escape(id))
}

/// How much of the page a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Everything.
    Whole,
    /// Only what changes with a tick, for the page's own script.
    Live,
}

impl Part {
    /// Reads the query string: `live`, or anything else for the whole page.
    pub(super) fn of(query: Option<&str>) -> Self {
        if query == Some("live") {
            Self::Live
        } else {
            Self::Whole
        }
    }
}

/// Renders the page.
pub(super) fn render(snapshot: &Snapshot, part: Part) -> String {
    let model = escape(snapshot.model.get("model_id").unwrap_or("Sidewatch"));
    let version = snapshot
        .model
        .get("model_version")
        .map_or_else(String::new, |version| {
            format!(" version {}", escape(version))
        });
    let Headline {
        class,
        verdict,
        text,
    } = headline(snapshot);
    let text = escape(&text);
    let mut out = begin(
        snapshot,
        &Frame {
            title: &format!("{text} · {model}"),
            live: "?live",
            config: &format!(
                "{} {}",
                escape(&snapshot.config_hash),
                snapshot.reload.succeeded_at
            ),
            header: &format!("<span><b>{model}</b>{version} · watched by Sidewatch</span>"),
        },
    );
    // Writing to a String cannot fail.
    write!(
        out,
        "<h1 class=\"{class}\" aria-live=\"polite\">{model} {verdict}: {text}</h1>\
         <p id=\"lost\" class=\"bad\" hidden>What follows is old. Whether the model is well is not known.</p>\
         <div id=\"live\"><p class=\"quiet\">as of {}</p>",
        moment(snapshot.at)
    )
    .ok();
    source::refused(snapshot, &mut out);
    overview(snapshot, &mut out);
    card::alerts(snapshot, &mut out);
    card::signals(snapshot, &mut out);
    events::events(snapshot, &mut out);
    tables::targets(snapshot, &mut out);
    tables::deliveries(snapshot, &mut out);
    tables::rules(snapshot, &mut out);
    out.push_str("</div>");
    if part == Part::Whole {
        source::configuration(snapshot, &mut out);
    }
    tables::footer(snapshot, &mut out);
    end(&mut out);
    out
}

/// What tells the beginnings of two pages apart, as HTML.
struct Frame<'a> {
    title: &'a str,
    /// The query of what changes with a tick.
    live: &'a str,
    /// The configuration that the page shows.
    config: &'a str,
    /// The beginning of the header.
    header: &'a str,
}

/// The beginning of a page, up to its main part.
fn begin(snapshot: &Snapshot, frame: &Frame<'_>) -> String {
    let Frame {
        title,
        live,
        config,
        header,
    } = frame;
    let every = snapshot
        .interval
        .clamp(MIN_REFRESH, MAX_REFRESH)
        .as_millis();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><link rel=\"icon\" href=\"data:,\"><style>{STYLE}</style>\
         <noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript></head>\
         <body data-every=\"{every}\" data-live=\"{live}\" data-config=\"{config}\">\
         <header>{header}<button type=\"button\" id=\"theme\" hidden>Light or dark</button><button type=\"button\" id=\"pause\" aria-pressed=\"false\" hidden>Pause</button></header>\
         <main>"
    )
}

/// The end of a page, from the end of its main part.
fn end(out: &mut String) {
    out.push_str("</main><script>");
    out.push_str(SCRIPT);
    out.push_str("</script></body></html>");
}

#[cfg(test)]
mod tests;
