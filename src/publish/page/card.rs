//! The cards of alerts and signals.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::chart::{Axis, chart};
use super::headline::rank;
use super::text::{alert_anchor, anchor, clock, elapsed, escape, names, number, range, series};
use crate::alert::template::query_escape;
use crate::metric::Labels;
use crate::publish::snapshot::{Alert, Incident, Release, Signal, Snapshot};

/// Maximum number of cards of one kind; the API lists all.
const MAX_CARDS: usize = 100;

pub(super) fn alerts(snapshot: &Snapshot, out: &mut String) {
    out.push_str("<section id=\"alerts\"><h2>Alerts</h2>");
    if snapshot.alerts.is_empty() {
        out.push_str("<p class=\"quiet\">None is pending or firing.</p></section>");
        return;
    }
    let mut all: Vec<&Alert> = snapshot.alerts.iter().collect();
    all.sort_by_key(|alert| (alert.state != "firing", urgency(alert), alert.active_at));
    out.push_str("<div class=\"grid\">");
    for alert in all.iter().take(MAX_CARDS) {
        alert_card(alert, snapshot, out);
    }
    out.push_str("</div>");
    rest(all.len(), out);
    out.push_str("</section>");
}

fn alert_card(alert: &Alert, snapshot: &Snapshot, out: &mut String) {
    let state = alert.state;
    let class = if state == "firing" { "bad" } else { "wait" };
    // A text that renders empty says nothing.
    let text = |name: &str| alert.annotations.get(name).filter(|text| !text.is_empty());
    let summary = text("summary").unwrap_or(alert.rule.name());
    // Writing to a String cannot fail, here and below.
    write!(
        out,
        "<article class=\"card alert {state}\" id=\"{}\"{}><div class=\"top\"><h3>{}</h3><span class=\"tag {class}\">{state} for {}</span></div><p class=\"summary\">{}</p>",
        alert_anchor(alert),
        names(&alert.rule),
        escape(alert.rule.name()),
        elapsed(alert.active_at, snapshot.at),
        escape(summary)
    )
    .ok();
    if let Some(why) = text("why") {
        write!(out, "<p>Why: {}</p>", escape(why)).ok();
    }
    if let Some(text) = text("description") {
        write!(out, "<p>{}</p>", escape(text)).ok();
    }
    // Other schemes, such as javascript:, could run code.
    let web = |url: &&str| url.starts_with("https://") || url.starts_with("http://");
    if let Some(url) = text("runbook_url").filter(web) {
        write!(
            out,
            "<p><a rel=\"noreferrer\" href=\"{}\">runbook</a></p>",
            escape(url)
        )
        .ok();
    }
    write!(
        out,
        "<p class=\"quiet\">since {} UTC · {}",
        clock(alert.active_at),
        escape(&series(&own(&alert.labels, snapshot)))
    )
    .ok();
    if alert.keep_firing_since.is_some() {
        out.push_str(
            " · its condition is not met now; keep_firing_for keeps it open in case it returns",
        );
    }
    links(alert, snapshot, out);
    out.push_str("</p></article>");
}

/// Where to read on, and where to silence the alert.
fn links(alert: &Alert, snapshot: &Snapshot, out: &mut String) {
    if let Some(signal) = snapshot
        .signals
        .iter()
        .find(|signal| explains(signal, alert))
    {
        write!(
            out,
            " · <a id=\"to-{0}\" href=\"#{0}\">chart</a> · <a href=\"signal/{0}\">details</a>",
            anchor(signal)
        )
        .ok();
    }
    if let Some(url) = silence(alert, snapshot) {
        write!(
            out,
            " · <a rel=\"noreferrer\" href=\"{}\">silence in Alertmanager</a>",
            escape(&url)
        )
        .ok();
    }
}

/// The page of Alertmanager that prepares a silence for the alert; `None` without an Alertmanager
/// whose URL a reader can follow.
fn silence(alert: &Alert, snapshot: &Snapshot) -> Option<String> {
    let web = |url: &str| url.starts_with("http://") || url.starts_with("https://");
    let mut peers = snapshot.peers.iter().map(|peer| peer.url.as_str());
    let url = peers.find(|url| web(url) && !url.contains(['@', '?', '#', ' ']))?;
    let url = url.trim_end_matches('/').trim_end_matches("/api/v2/alerts");
    let matchers = alert
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"));
    let matchers = matchers.collect::<Vec<_>>().join(",");
    Some(format!(
        "{url}/#/silences/new?filter={}",
        query_escape(&format!("{{{matchers}}}"))
    ))
}

/// Sort key: the most severe alerts come first.
fn urgency(alert: &Alert) -> u8 {
    match alert.labels.get("severity") {
        Some("page" | "critical") => 0,
        Some("warning") | None => 1,
        Some(_) => 2,
    }
}

/// The labels that distinguish the alert from others of this model. With a single target, the
/// labels of the target are left out.
fn own(labels: &Labels, snapshot: &Snapshot) -> Labels {
    let target = match snapshot.targets.as_slice() {
        [target] => target.labels.clone(),
        _ => Labels::empty(),
    };
    labels.retain(|name| {
        let everywhere = snapshot.model.get(name).is_some()
            || target
                .get(name)
                .is_some_and(|known| labels.get(name) == Some(known));
        name != "alertname" && !everywhere
    })
}

/// Whether the alert came from this signal: the same rule, and no label that differs.
fn explains(signal: &Signal, alert: &Alert) -> bool {
    signal.rule.key == alert.rule.key
        && signal
            .labels
            .without_name()
            .iter()
            .all(|(name, value)| alert.labels.get(name).is_none_or(|other| other == value))
}

pub(super) fn signals(snapshot: &Snapshot, out: &mut String) {
    out.push_str("<section id=\"signals\"><h2>Signals</h2>");
    if snapshot.signals.is_empty() {
        out.push_str(nothing_judged(snapshot));
        out.push_str("</section>");
        return;
    }
    out.push_str("<p class=\"key quiet\"><i class=\"k-value\"></i>value <i class=\"k-band\"></i>expected <i class=\"k-hit\"></i>anomalous <i class=\"k-gap\"></i>no value</p>");
    out.push_str(FILTER);
    let watched: HashSet<&str> = snapshot.signals.iter().filter_map(judged_query).collect();
    // A metric that a watch judges is on the card of the watch.
    let shown = |signal: &&Signal| signal.metric().is_none_or(|name| !watched.contains(name));
    let mut all: Vec<&Signal> = snapshot.signals.iter().filter(shown).collect();
    all.sort_by_key(|signal| rank(signal));
    let axis = Axis::of(all.iter().take(MAX_CARDS).copied(), snapshot);
    let targets = &snapshot.targets;
    let is_dead = !targets.is_empty() && targets.iter().all(|target| target.up == Some(false));
    out.push_str("<div class=\"grid\">");
    for signal in all.iter().take(MAX_CARDS) {
        signal_card(signal, &axis, is_dead, out);
    }
    out.push_str("</div>");
    rest(all.len(), out);
    out.push_str("</section>");
}

/// The field that shows only some cards. It appears where the script runs.
const FILTER: &str = "<p id=\"filter-line\" hidden><label>Filter <input id=\"filter\" type=\"search\" placeholder=\"name, label or state\"></label> <span id=\"filtered\" class=\"quiet\" role=\"status\"></span></p>";

/// What a watch judges.
fn judged_query(signal: &Signal) -> Option<&str> {
    signal.watch().map(|_| signal.rule.query.trim())
}

/// Why there is no signal, and what to do.
fn nothing_judged(snapshot: &Snapshot) -> &'static str {
    if snapshot.groups.is_empty() {
        "<p>Nothing is watched: no rules are configured. Start with <code>--rules=auto</code>, which chooses the rules that fit the server, or name files in <code>rule_files</code>.</p>"
    } else if snapshot
        .targets
        .iter()
        .any(|target| target.up == Some(true))
    {
        "<p>No rule finds a value in what the targets expose. <code>sidewatch check rules --target=URL FILE</code> says what each rule looks for.</p>"
    } else {
        "<p>There is no value, since no target answers; see Targets.</p>"
    }
}

/// The value as HTML; of a signal without one, since when and what the last was.
fn now(signal: &Signal) -> String {
    let unit = signal.kind.unit();
    match (signal.value, signal.since) {
        (Some(last), Some(since)) => {
            format!(
                "no value</span> <span class=\"quiet\">since {} UTC, the last was {} {unit}",
                clock(since),
                number(last)
            )
        }
        (None, Some(since)) => format!(
            "no value</span> <span class=\"quiet\">since {} UTC",
            clock(since)
        ),
        (Some(value), None) => format!("{} {unit}", number(value)),
        (None, None) => "unknown".to_owned(),
    }
}

/// The state as HTML.
fn tag(signal: &Signal, is_dead: bool) -> String {
    signal.state.map_or_else(
        || "<span class=\"tag quiet\">metric</span>".to_owned(),
        |state| {
            // Without new values, the verdict is about the past.
            let (class, word) = match state {
                "ok" if is_dead => ("wait", "was ok".to_owned()),
                "stale" => ("wait", "no value".to_owned()),
                state => (class(state), state.replace('_', " ")),
            };
            format!("<span class=\"tag {class}\">{word}</span>")
        },
    )
}

fn signal_card(signal: &Signal, axis: &Axis, is_dead: bool, out: &mut String) {
    let name = signal.rule.name();
    let id = anchor(signal);
    let (now, tag) = (now(signal), tag(signal, is_dead));
    write!(
        out,
        "<article class=\"card\" id=\"{id}\"{2}><div class=\"top\"><h3><a id=\"open-{id}\" href=\"signal/{id}\">{0}</a></h3>{tag}</div><p class=\"quiet\">{1}</p><p><span class=\"now\">{now}</span>",
        escape(name),
        escape(&series(&signal.labels)),
        names(&signal.rule),
    )
    .ok();
    if signal.state.is_some() && signal.since.is_none() {
        write!(
            out,
            " <span class=\"quiet\">expected {}</span>",
            range(&signal.expected)
        )
        .ok();
    }
    out.push_str("</p>");
    // Of a signal without a value, the line above says it already.
    if !signal.why.is_empty() && signal.since.is_none() {
        let why = escape(&signal.why);
        write!(out, "<p class=\"quiet why\" title=\"{why}\">{why}</p>").ok();
    }
    if let Some(Release { from, result }) = &signal.release {
        let from = escape(from);
        let words = match *result {
            "as_good" => "as good as",
            "worse" => "worse than",
            _ => "on trial against",
        };
        write!(
            out,
            "<p class=\"quiet\">this version is {words} version {from}</p>"
        )
        .ok();
    }
    if let Some(incident) = &signal.incident {
        incident_line(incident, signal, &id, out);
    }
    out.push_str(&chart(signal, &id, name, axis));
    out.push_str("</article>");
}

/// Since when the signal is in an incident, and the button that ends it.
fn incident_line(incident: &Incident, signal: &Signal, id: &str, out: &mut String) {
    let since = clock(incident.since);
    let Some(usual) = incident.usual else {
        write!(out, "<p class=\"incident\">incident since {since} UTC</p>").ok();
        return;
    };
    write!(
        out,
        "<p class=\"incident\">new level since {since} UTC, usual is {} {} <button id=\"accept-{id}\" hidden data-accept=\"{id}\">accept as normal</button></p>",
        number(usual),
        signal.kind.unit(),
    )
    .ok();
}

fn class(state: &str) -> &'static str {
    match state {
        "ok" => "good",
        "anomalous" => "bad",
        _ => "wait",
    }
}

fn rest(count: usize, out: &mut String) {
    if count > MAX_CARDS {
        let more = count - MAX_CARDS;
        write!(out, "<p class=\"quiet\">and {more} more, in the API</p>").ok();
    }
}
