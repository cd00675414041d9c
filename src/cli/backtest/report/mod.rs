//! The report of a replay: one self-contained HTML document without scripts.
//!
//! From top to bottom: the alerts with their times and reasons, the differences to the other rules,
//! what would have been sent, and a chart for each signal.

mod axis;
mod chart;
mod shared_labels;
mod tables;
mod timeline;

use std::fmt::Write as _;

use self::axis::Axis;
use self::shared_labels::{SharedLabels, pairs};
use super::compare::Comparison;
use super::text::{count, totals};
use super::times::moment;
use crate::cli::replay::{Fired, Judged, Replay};
use crate::metric::{Timestamp, format_duration};
use crate::publish::escape;

const STYLE: &str = include_str!("report.css");
/// Maximum number of charts in one report; the JSON output has all values.
const MAX_CHARTS: usize = 60;

/// The inputs of the replay, as named on the command line.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    /// The rules.
    pub(super) rules: Vec<String>,
    /// The rules to compare with.
    pub(super) other_rules: Vec<String>,
    /// The source of the history.
    pub(super) source: String,
}

/// The start of a document, up to its first heading.
pub(in crate::cli) fn head(title: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{title}</title><style>{STYLE}</style></head><body><main>"
    )
}

/// The alerts, deliveries and charts of one replay, for a document about several replays.
pub(in crate::cli) fn section(replay: &Replay) -> String {
    let axis = Axis::of(replay);
    let shared = SharedLabels::of(&[replay]);
    let mut out = String::new();
    if !replay.fired.is_empty() {
        out.push_str("<h2>Alerts</h2>");
        alerts(replay, None, &shared, &axis, &mut out);
    }
    tables::deliveries(replay, &shared, &mut out);
    signals(replay, &axis, &mut out);
    out
}

/// Renders the document.
pub(super) fn render(
    inputs: &Inputs,
    replay: &Replay,
    comparison: Option<&Comparison<'_>>,
) -> String {
    let axis = Axis::of(replay);
    let other = comparison.map(|comparison| comparison.after);
    let replays: Vec<&Replay> = std::iter::once(replay).chain(other).collect();
    let shared = SharedLabels::of(&replays);
    let (class, headline) = headline(replay);
    let mut out = head(&format!("{headline} · backtest"));
    // Writing to a String cannot fail, here and below.
    write!(
        out,
        "<p class=\"quiet\">Backtest of {} on {}</p><h1 class=\"{class}\">{headline}</h1><p class=\"quiet\">{}</p>",
        names(&inputs.rules),
        escape(&inputs.source),
        escape(&subtitle(replay)),
    )
    .ok();
    if other.is_some() {
        out.push_str("<h2>Alerts</h2>");
        out.push_str("<p class=\"quiet legend\"><span><i class=\"key\" style=\"background:var(--bad)\"></i>these rules</span><span><i class=\"key\" style=\"background:var(--value)\"></i>the other rules</span></p>");
        alerts(replay, other, &shared, &axis, &mut out);
    } else if !replay.fired.is_empty() {
        out.push_str("<h2>Alerts</h2>");
        alerts(replay, None, &shared, &axis, &mut out);
    }
    if let Some(comparison) = comparison {
        let names = names(&inputs.other_rules);
        write!(out, "<h2>What {names} would change</h2>").ok();
        tables::counts(comparison, &mut out);
        tables::changes(comparison, &shared, &mut out);
    }
    tables::deliveries(replay, &shared, &mut out);
    signals(replay, &axis, &mut out);
    footer(replay, &mut out);
    out.push_str("</main></body></html>\n");
    out
}

/// The timeline of both replays, and a table of the alerts of the first.
fn alerts(
    replay: &Replay,
    other: Option<&Replay>,
    shared: &SharedLabels,
    axis: &Axis,
    out: &mut String,
) {
    out.push_str(&shared.sentence());
    out.push_str("<div class=\"card\">");
    timeline::draw(replay, other, shared, axis, out);
    out.push_str("</div>");
    tables::alerts(replay, shared, out);
}

fn names(rules: &[String]) -> String {
    rules
        .iter()
        .map(|rule| format!("<code>{}</code>", escape(rule)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The CSS class and the text of the headline.
fn headline(replay: &Replay) -> (&'static str, String) {
    let mut points = replay.judged.iter().flat_map(|judged| &judged.points);
    let over = replay.span.map_or(String::new(), |(first, last)| {
        format!(" in {}", format_duration(last.since(first)))
    });
    match replay.fired.len() {
        0 if replay.judged.is_empty() => ("wait", "Nothing was judged".to_owned()),
        0 if points.all(|point| point.score.is_nan()) => {
            ("wait", "Nothing could be judged yet".to_owned())
        }
        0 => ("good", format!("No alert{over}")),
        fired => ("bad", format!("{}{over}", count(fired, "alert", "alerts"))),
    }
}

fn subtitle(replay: &Replay) -> String {
    let span = replay.span.map_or(String::new(), |(first, last)| {
        format!("{} to {}: ", moment(first), moment(last))
    });
    format!("{span}{}", totals(replay))
}

/// Whether the alert belongs to this signal.
fn belongs_to(judged: &Judged, fired: &Fired) -> bool {
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
         <span><i class=\"key\" style=\"background:var(--unknown)\"></i>unknown</span></p>",
    );
    let mut ranked: Vec<(usize, &Judged)> = replay.judged.iter().enumerate().collect();
    ranked.sort_by_cached_key(|(_, judged)| {
        let has_fired = replay.fired.iter().any(|fired| belongs_to(judged, fired));
        std::cmp::Reverse((has_fired, anomalies(judged)))
    });
    for (index, judged) in ranked.into_iter().take(MAX_CHARTS) {
        signal(index, judged, replay, axis, out);
    }
    tables::left_out(replay.judged.len(), MAX_CHARTS, "signals", out);
}

/// The number of anomalous judgements.
fn anomalies(judged: &Judged) -> usize {
    judged
        .points
        .iter()
        .filter(|point| chart::is_anomalous(point))
        .count()
}

/// The card of one signal, with its chart.
fn signal(index: usize, judged: &Judged, replay: &Replay, axis: &Axis, out: &mut String) {
    let firing: Vec<(Timestamp, Timestamp)> = replay
        .fired
        .iter()
        .filter(|fired| belongs_to(judged, fired))
        .map(|fired| {
            (
                fired.alert.starts_at(),
                fired.resolved_at.unwrap_or(axis.end()),
            )
        })
        .collect();
    let (class, tag) = match (firing.len(), anomalies(judged)) {
        (0, 0) => ("good", "quiet".to_owned()),
        (0, anomalies) => ("wait", format!("{anomalies} anomalous")),
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
    if !replay.unjudged.is_empty() {
        let unjudged = escape(&replay.unjudged.join(", "));
        write!(
            out,
            "<p>Never judged, too little to learn from: {unjudged}</p>"
        )
        .ok();
    }
    if let Some(error) = &replay.failed.last {
        let failed = count(replay.failed.count, "scrape failed", "scrapes failed");
        write!(out, "<p>{failed}, the last: {}</p>", escape(error)).ok();
    }
    let version = crate::publish::Build::VERSION;
    write!(
        out,
        "<p>Created by sidewatch {version} backtest. Times are UTC.</p></footer>"
    )
    .ok();
}
