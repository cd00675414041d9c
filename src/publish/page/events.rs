//! The list of what happened.

use std::fmt::Write as _;

use super::place;
use super::text::{escape, moment};
use crate::publish::events::Event;
use crate::publish::snapshot::Snapshot;

/// So many of the newest events are shown; the others are folded away.
const OPEN: usize = 12;

pub(super) fn events(snapshot: &Snapshot, out: &mut String) {
    out.push_str("<section id=\"events\"><h2>What happened</h2>");
    if snapshot.events.is_empty() {
        out.push_str("<p class=\"quiet\">Nothing since the start.</p></section>");
        return;
    }
    list(snapshot.events.iter().rev().take(OPEN), "", out);
    let more = snapshot.events.len().saturating_sub(OPEN);
    if more > 0 {
        // Writing to a String cannot fail, here and below.
        write!(
            out,
            "<details id=\"earlier\"><summary id=\"earlier-s\">{more} earlier</summary>"
        )
        .ok();
        list(snapshot.events.iter().rev().skip(OPEN), "", out);
        out.push_str("</details>");
    }
    out.push_str("</section>");
}

/// The events as a list; `up` leads to the folder of the status page.
pub(super) fn list<'a>(events: impl Iterator<Item = &'a Event>, up: &str, out: &mut String) {
    out.push_str("<ol class=\"events\">");
    for event in events {
        let text = escape(&event.text);
        let text = match &event.rule {
            Some((name, id)) => {
                let link = place(name, id);
                format!("<a href=\"{up}{}\">{text}</a>", escape(&link))
            }
            None => text,
        };
        write!(
            out,
            "<li><span class=\"quiet\">{}</span> <b class=\"{}\">{}</b> {text}</li>",
            moment(event.at),
            event.tone,
            event.kind
        )
        .ok();
    }
    out.push_str("</ol>");
}
