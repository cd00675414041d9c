//! One HTML document about a replay, to be kept and passed on: nothing from elsewhere, no script.
//!
//! It reads from the top: what would have happened, when, how long and why; what would have been sent; what other rules
//! would change; then the evidence, a chart for each signal.

mod axis;
mod chart;
mod labels;
mod tables;
mod timeline;

use std::fmt::Write as _;

use self::axis::Axis;
use self::labels::{Common, pairs};
use super::compare::Comparison;
use super::text::{count, sum};
use super::times::moment;
use crate::cli::replay::{Fired, Judged, Replay};
use crate::metric::{Timestamp, format_duration};
use crate::publish::escape;

const STYLE: &str = include_str!("report.css");
/// Charts in one report; the JSON has every value.
const MAX_CHARTS: usize = 60;

/// What was replayed, in the user's words.
#[derive(Debug, Default)]
pub(super) struct About {
    /// The rules.
    pub(super) rules: Vec<String>,
    /// The other rules.
    pub(super) others: Vec<String>,
    /// Where the past comes from.
    pub(super) source: String,
}

/// The beginning of a document, up to its first heading.
pub(in crate::cli) fn head(title: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main>"
    )
}

/// What a replay said, for a document about several: alerts, what would have been sent, a chart for each signal.
pub(in crate::cli) fn section(replay: &Replay) -> String {
    let axis = Axis::new(replay.span.unwrap_or_default());
    let common = Common::of(&[replay]);
    let mut out = String::new();
    if !replay.fired.is_empty() {
        out.push_str("<h2>Alerts</h2>");
        out.push_str(&common.told());
        out.push_str("<div class=\"card\">");
        timeline::draw((replay, None), &common, &axis, &mut out);
        out.push_str("</div>");
        tables::alerts(replay, &common, &mut out);
    }
    tables::deliveries(replay, &common, &mut out);
    signals(replay, &axis, &mut out);
    out
}

/// Renders the document.
pub(super) fn render(
    about: &About,
    replay: &Replay,
    compared: Option<(&Replay, &Comparison<'_>)>,
) -> String {
    let axis = Axis::new(replay.span.unwrap_or_default());
    let after = compared.map(|(after, _)| after);
    let replays: Vec<&Replay> = std::iter::once(replay).chain(after).collect();
    let common = Common::of(&replays);
    let (class, headline) = headline(replay);
    let mut out = head(&format!("{headline} · backtest"));
    write!(
        out,
        "<p class=\"quiet\">Backtest of {} on {}</p><h1 class=\"{class}\">{headline}</h1><p class=\"quiet\">{}</p>",
        names(&about.rules),
        escape(&about.source),
        escape(&described(replay)),
    )
    .ok();
    if compared.is_some() || !replay.fired.is_empty() {
        out.push_str("<h2>Alerts</h2>");
        if compared.is_some() {
            out.push_str("<p class=\"quiet legend\"><span><i class=\"key\" style=\"background:var(--bad)\"></i>these rules</span><span><i class=\"key\" style=\"background:var(--value)\"></i>the other rules</span></p>");
        }
        out.push_str(&common.told());
        out.push_str("<div class=\"card\">");
        timeline::draw((replay, after), &common, &axis, &mut out);
        out.push_str("</div>");
        tables::alerts(replay, &common, &mut out);
    }
    if let Some((after, comparison)) = compared {
        write!(out, "<h2>What {} would change</h2>", names(&about.others)).ok();
        tables::counts(replay, after, &mut out);
        tables::changes(comparison, &common, &mut out);
    }
    tables::deliveries(replay, &common, &mut out);
    signals(replay, &axis, &mut out);
    footer(replay, &mut out);
    out.push_str("</main></body></html>\n");
    out
}

fn names(rules: &[String]) -> String {
    let names: Vec<String> = rules
        .iter()
        .map(|rule| format!("<code>{}</code>", escape(rule)))
        .collect();
    names.join(", ")
}

fn headline(replay: &Replay) -> (&'static str, String) {
    let judged = replay.judged.iter().flat_map(|judged| &judged.points);
    let over = replay.span.map_or(String::new(), |(first, last)| {
        format!(" in {}", format_duration(last.since(first)))
    });
    match replay.fired.len() {
        0 if replay.judged.is_empty() => ("wait", "Nothing was judged".to_owned()),
        0 if !judged.clone().any(|point| !point.score.is_nan()) => {
            ("wait", "Nothing could be judged yet".to_owned())
        }
        0 => ("good", format!("No alert{over}")),
        fired => ("bad", format!("{}{over}", count(fired, "alert", "alerts"))),
    }
}

fn described(replay: &Replay) -> String {
    let span = replay.span.map_or(String::new(), |(first, last)| {
        format!("{} to {}: ", moment(first), moment(last))
    });
    format!("{span}{}", sum(replay))
}

/// Whether the alert came from this signal.
fn explains(judged: &Judged, fired: &Fired) -> bool {
    judged.rule == fired.alert.rule && judged.labels == fired.alert.series.without_name()
}

fn signals(replay: &Replay, axis: &Axis, out: &mut String) {
    out.push_str("<h2>Signals</h2>");
    if replay.judged.is_empty() {
        out.push_str("<p class=\"quiet\">No watch found a value.</p>");
        return;
    }
    out.push_str(
        "<p class=\"quiet legend\"><span><i class=\"key\" style=\"background:var(--value)\"></i>value</span>\
         <span><i class=\"key\" style=\"background:var(--band);outline:1px solid var(--edge)\"></i>expected</span>\
         <span><i class=\"key\" style=\"background:var(--bad);width:.65rem;border-radius:50%\"></i>anomalous</span>\
         <span><i class=\"key\" style=\"background:var(--fire)\"></i>alert fires</span>\
         <span><i class=\"key\" style=\"background:var(--unknown)\"></i>not known</span></p>",
    );
    let mut ranked: Vec<(usize, &Judged)> = replay.judged.iter().enumerate().collect();
    let anomalies = |judged: &Judged| {
        judged
            .points
            .iter()
            .filter(|p| chart::is_anomalous(p))
            .count()
    };
    ranked.sort_by_cached_key(|(_, judged)| {
        let fired = replay
            .fired
            .iter()
            .filter(|fired| explains(judged, fired))
            .count();
        std::cmp::Reverse((fired > 0, anomalies(judged)))
    });
    for (index, judged) in ranked.iter().take(MAX_CHARTS) {
        let fired = replay.fired.iter().filter(|fired| explains(judged, fired));
        let firing: Vec<(Timestamp, Timestamp)> = fired
            .map(|fired| {
                (
                    fired.alert.starts_at(),
                    fired.resolved_at.unwrap_or(axis.end()),
                )
            })
            .collect();
        let hits = anomalies(judged);
        let (class, tag) = match (firing.len(), hits) {
            (0, 0) => ("good", "quiet".to_owned()),
            (0, hits) => ("wait", format!("{hits} anomalous")),
            (fired, _) => ("bad", count(fired, "alert", "alerts")),
        };
        write!(
            out,
            "<article class=\"card\" id=\"s{index}\"><div class=\"top\"><h3>{}</h3><span class=\"tag {class}\">{tag}</span></div><p class=\"quiet\">{}{}</p>",
            escape(&judged.rule),
            escape(&pairs(&judged.labels)),
            unit(judged.metric.unit())
        )
        .ok();
        chart::draw(judged, axis, &firing, out);
        out.push_str("</article>");
    }
    tables::rest(replay.judged.len(), MAX_CHARTS, "signals", out);
}

fn unit(unit: &str) -> String {
    if unit.is_empty() {
        String::new()
    } else {
        format!(" · {}", escape(unit))
    }
}

fn footer(replay: &Replay, out: &mut String) {
    out.push_str("<footer>");
    if !replay.silent.is_empty() {
        let silent = escape(&replay.silent.join(", "));
        write!(out, "<p>Never had a value: {silent}</p>").ok();
    }
    if let Some(error) = &replay.failed.last {
        let failed = replay.failed.count;
        let failed = count(failed, "scrape failed", "scrapes failed");
        write!(out, "<p>{failed}, the last: {}</p>", escape(error)).ok();
    }
    let version = crate::publish::Build::VERSION;
    write!(
        out,
        "<p>Made by sidewatch {version} backtest. Times are UTC.</p></footer>"
    )
    .ok();
}
