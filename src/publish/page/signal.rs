//! The page of one signal, which cards and alerts link to.

use std::fmt::Write as _;

use super::chart::{Axis, chart, words};
use super::text::{anchor, escape, moment, number, range, rule_anchor, series};
use super::{Frame, begin, end, events};
use crate::metric::format_duration;
use crate::publish::events::{Event, events_of};
use crate::publish::snapshot::{Point, Rule, Signal, Snapshot};

/// The page of a signal, with its last 24 hours.
pub(in crate::publish) fn render(snapshot: &Snapshot, signal: &Signal, day: Vec<Point>) -> String {
    let id = &anchor(signal);
    let name = escape(signal.rule.name());
    let labels = escape(&series(&signal.labels));
    let (class, state) = state(signal);
    let mut out = begin(
        snapshot,
        &Frame {
            title: &format!("{name} {state}"),
            live: "",
            config: "",
            header: "<a href=\"../\">status page</a>",
        },
    );
    // Writing to a String cannot fail, here and below.
    write!(
        out,
        "<h1 class=\"{class}\" aria-live=\"polite\">{name} {state}</h1>\
         <p id=\"lost\" class=\"bad\" hidden>What follows is old. Whether the signal is normal is not known.</p>\
         <div id=\"live\"><p class=\"quiet\">{labels} · as of {}</p><p class=\"summary\">{}</p>",
        moment(snapshot.at),
        escape(&words(signal))
    )
    .ok();
    if !signal.why.is_empty() {
        write!(out, "<p>Why: {}</p>", escape(&signal.why)).ok();
    }
    let axis = Axis::of(std::iter::once(signal), snapshot);
    write!(
        out,
        "<article class=\"card wide\">{}</article>",
        chart(signal, id, signal.rule.name(), &axis)
    )
    .ok();
    let whole = Signal {
        points: day,
        ..signal.clone()
    };
    // One span is no line yet.
    if whole.points.len() > 2 {
        let axis = Axis::of_spans(&whole, snapshot);
        let day = chart(&whole, &format!("{id}-day"), "The last 24 hours", &axis);
        write!(out, "<h2>The last 24 hours</h2><p class=\"quiet\">The lowest and the highest value of every five minutes.</p><article class=\"card wide\">{day}</article>").ok();
    }
    facts(signal, id, snapshot, &mut out);
    out.push_str("<h2>What happened to its rule</h2>");
    let own: Vec<&Event> = events_of(snapshot, signal).collect();
    if own.is_empty() {
        out.push_str("<p class=\"quiet\">No alert began or ended since the start.</p>");
    } else {
        events::list(own.into_iter().rev(), "../", &mut out);
    }
    write!(out, "</div><footer><a href=\"{id}.json\">JSON</a></footer>").ok();
    end(&mut out);
    out
}

/// The class and the words of its state.
fn state(signal: &Signal) -> (&'static str, String) {
    match signal.state {
        Some("ok") => ("good", "is normal".to_owned()),
        Some("anomalous") => ("bad", "is anomalous".to_owned()),
        Some("stale") => ("wait", "has no value".to_owned()),
        Some(other) => ("wait", format!("is {}", other.replace('_', " "))),
        None => ("", "is not judged".to_owned()),
    }
}

/// How the signal is judged, as a table.
fn facts(signal: &Signal, id: &str, snapshot: &Snapshot, out: &mut String) {
    out.push_str("<h2>How it is judged</h2><div class=\"scroll\"><table>");
    let mut row = |name: &str, text: &str| {
        write!(out, "<tr><th scope=\"row\">{name}<td>{}</tr>", escape(text)).ok();
    };
    row("expression", &signal.rule.query);
    if !signal.kind.unit().is_empty() {
        row("unit", signal.kind.unit());
    }
    if signal.state.is_some() {
        row("expected", &range(&signal.expected));
        let score = signal.score.map_or_else(|| "unknown".to_owned(), number);
        row("score, 1 is at the limit", &score);
        row("fires after", &format_duration(signal.rule.hold));
    }
    if let Some(incident) = &signal.incident {
        row("incident since", &moment(incident.since));
        if let Some(usual) = incident.usual {
            row("usual before it", &number(usual));
        }
    }
    let mut rules = snapshot.groups.iter().flat_map(|group| &group.rules);
    if let Some(Rule { definition, .. }) = rules.find(|rule| rule.definition.key == signal.rule.key)
    {
        let place = rule_anchor(definition);
        write!(
            out,
            "<tr><th scope=\"row\">rule<td><a href=\"../#{place}\">{} in group {}</a></tr>",
            escape(definition.name()),
            escape(&definition.key.group)
        )
        .ok();
    }
    out.push_str("</table></div>");
    if signal
        .incident
        .is_some_and(|incident| incident.usual.is_some())
    {
        write!(out, "<p><button id=\"accept-{id}\" hidden data-accept=\"{id}\">accept the present level as normal</button></p>").ok();
    }
}
