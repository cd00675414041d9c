//! What fired, what other rules change and what would have been sent, a table each.

use std::fmt::Write as _;

use super::explains;
use super::labels::Common;
use crate::cli::backtest::compare::Comparison;
use crate::cli::backtest::text::{when, why};
use crate::cli::backtest::times::{lasted, moment};
use crate::cli::replay::{Delivery, Fired, Replay};
use crate::publish::escape;

/// Rows of one table.
const MAX_ROWS: usize = 300;

fn open(headings: &[&str], out: &mut String) {
    out.push_str("<div class=\"card scroll\"><table><tr>");
    for heading in headings {
        // Writing to a String cannot fail, here and below.
        write!(out, "<th>{heading}</th>").ok();
    }
    out.push_str("</tr>");
}

/// Says that something was left out.
pub(super) fn rest(count: usize, shown: usize, what: &str, out: &mut String) {
    if count > shown {
        let more = count - shown;
        write!(
            out,
            "<p class=\"quiet\">and {more} more {what}, in the JSON answer</p>"
        )
        .ok();
    }
}

pub(super) fn alerts(replay: &Replay, common: &Common, out: &mut String) {
    if replay.fired.is_empty() {
        return;
    }
    open(&["Alert", "Fired at", "Lasted", "Why"], out);
    for fired in replay.fired.iter().take(MAX_ROWS) {
        let start = fired.alert.starts_at();
        let signal = replay
            .judged
            .iter()
            .position(|judged| explains(judged, fired));
        let linked = common.cell(&fired.alert.rule, &fired.alert.labels, signal);
        // Writing to a String cannot fail, here and below.
        write!(
            out,
            "<tr><td>{linked}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            moment(start),
            lasted(start, fired.resolved_at),
            escape(&why(fired))
        )
        .ok();
    }
    out.push_str("</table>");
    rest(replay.fired.len(), MAX_ROWS, "alerts", out);
    out.push_str("</div>");
}

/// How much each of the two says.
pub(super) fn counts(before: &Replay, after: &Replay, out: &mut String) {
    open(&["", "These rules", "The other rules"], out);
    let ((posts, requests), (new_posts, new_requests)) = (before.sent(), after.sent());
    let rows = [
        (
            "alerts",
            before.fired.len() as u64,
            after.fired.len() as u64,
        ),
        ("posts to Alertmanager", posts, new_posts),
        ("retraining requests", requests as u64, new_requests as u64),
    ];
    for (what, old, new) in rows {
        write!(
            out,
            "<tr><th>{what}</th><td class=\"n\">{old}</td><td class=\"n\">{new}</td></tr>"
        )
        .ok();
    }
    out.push_str("</table></div>");
}

/// Which alerts differ, and how.
pub(super) fn changes(comparison: &Comparison<'_>, common: &Common, out: &mut String) {
    if comparison.is_empty() {
        out.push_str("<p>Every alert fires and ends at the same time under both.</p>");
        return;
    }
    open(&["Change", "Alert", "These rules", "The other rules"], out);
    let mut row = |change: &str, fired: &Fired, old: &str, new: &str| {
        write!(
            out,
            "<tr><td class=\"n\">{change}</td><td>{}</td><td class=\"n\">{old}</td><td class=\"n\">{new}</td></tr>",
            common.alert(fired)
        )
        .ok();
    };
    for fired in comparison.only_before.iter().take(MAX_ROWS) {
        row("gone", fired, &when(fired), "—");
    }
    for fired in comparison.only_after.iter().take(MAX_ROWS) {
        row("new", fired, "—", &when(fired));
    }
    for (old, new) in comparison.moved.iter().take(MAX_ROWS) {
        row("moved", old, &when(old), &when(new));
    }
    for (old, new) in comparison.relabelled.iter().take(MAX_ROWS) {
        row("relabelled", old, &when(old), &common.alert(new));
    }
    out.push_str("</table></div>");
}

/// What would have been sent, to whom and how often.
pub(super) fn deliveries(replay: &Replay, common: &Common, out: &mut String) {
    out.push_str("<h2>What would have been sent</h2>");
    if replay.deliveries.is_empty() {
        out.push_str("<p class=\"quiet\">Nothing.</p>");
        return;
    }
    open(&["At", "To", "What", "About", "Times"], out);
    for delivery in replay.deliveries.iter().take(MAX_ROWS) {
        let at = moment(delivery.at());
        let (to, what, about, times): (&str, String, String, String) = match delivery {
            Delivery::Alert {
                alert,
                times,
                last_at,
                ..
            } => {
                let times = match times {
                    1 => "1".to_owned(),
                    _ => format!("{times}, until {}", moment(*last_at)),
                };
                let about = common.cell(&alert.rule, &alert.labels, None);
                (
                    "Alertmanager",
                    alert.state.as_str().to_owned(),
                    about,
                    times,
                )
            }
            Delivery::Retrain { request, to } => {
                let about = common.cell(&request.rule, &request.labels, None);
                let what = format!("retrain: {}", escape(&request.reason));
                (to.as_str(), what, about, "1".to_owned())
            }
        };
        write!(
            out,
            "<tr><td class=\"n\">{at}</td><td>{}</td><td>{what}</td><td>{about}</td><td class=\"n\">{times}</td></tr>",
            escape(to)
        )
        .ok();
    }
    out.push_str("</table>");
    rest(replay.deliveries.len(), MAX_ROWS, "deliveries", out);
    out.push_str("</div>");
}
