//! The tables of the report: alerts, differences to the other rules, and deliveries.

use std::fmt::Write as _;

use super::belongs_to;
use super::shared_labels::SharedLabels;
use crate::cli::backtest::compare::Comparison;
use crate::cli::backtest::text::{when, why};
use crate::cli::backtest::times::{lasted, moment};
use crate::cli::delivery_log::Delivery;
use crate::cli::replay::{Fired, Replay};
use crate::publish::escape;

/// Maximum number of rows of one table.
const MAX_ROWS: usize = 300;

fn open(headings: &[&str], out: &mut String) {
    out.push_str("<div class=\"card scroll\"><table><tr>");
    for heading in headings {
        // Writing to a String cannot fail, here and below.
        write!(out, "<th>{heading}</th>").ok();
    }
    out.push_str("</tr>");
}

/// Writes how many items were left out, if any.
pub(super) fn left_out(count: usize, shown: usize, noun: &str, out: &mut String) {
    if count > shown {
        let more = count - shown;
        write!(
            out,
            "<p class=\"quiet\">and {more} more {noun}, in the JSON output</p>"
        )
        .ok();
    }
}

/// The alerts that fired.
pub(super) fn alerts(replay: &Replay, shared: &SharedLabels, out: &mut String) {
    if replay.fired.is_empty() {
        return;
    }
    open(&["Alert", "Fired at", "Lasted", "Why"], out);
    for fired in replay.fired.iter().take(MAX_ROWS) {
        let start = fired.alert.starts_at();
        let signal = replay
            .judged
            .iter()
            .position(|judged| belongs_to(judged, fired));
        let linked = shared.cell(&fired.alert.rule, &fired.alert.labels, signal);
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
    left_out(replay.fired.len(), MAX_ROWS, "alerts", out);
    out.push_str("</div>");
}

/// The numbers of alerts, posts and requests of both sets of rules.
pub(super) fn counts(comparison: &Comparison<'_>, out: &mut String) {
    open(&["", "These rules", "The other rules"], out);
    let (before, after) = (comparison.before, comparison.after);
    let rows = [
        (
            "alerts",
            before.fired.len() as u64,
            after.fired.len() as u64,
        ),
        ("posts to Alertmanager", before.posts(), after.posts()),
        (
            "retraining requests",
            before.requests() as u64,
            after.requests() as u64,
        ),
    ];
    for (noun, old, new) in rows {
        write!(
            out,
            "<tr><th>{noun}</th><td class=\"n\">{old}</td><td class=\"n\">{new}</td></tr>"
        )
        .ok();
    }
    out.push_str("</table></div>");
}

/// The alerts that differ between the two sets of rules.
pub(super) fn changes(comparison: &Comparison<'_>, shared: &SharedLabels, out: &mut String) {
    if comparison.is_empty() {
        out.push_str("<p>All alerts fire and end at the same times with both.</p>");
        return;
    }
    open(&["Change", "Alert", "These rules", "The other rules"], out);
    let mut row = |change: &str, fired: &Fired, old: &str, new: &str| {
        write!(
            out,
            "<tr><td class=\"n\">{change}</td><td>{}</td><td class=\"n\">{old}</td><td class=\"n\">{new}</td></tr>",
            shared.alert_cell(fired)
        )
        .ok();
    };
    for fired in comparison.only_before.iter().take(MAX_ROWS) {
        row("gone", fired, &when(fired), "—");
    }
    for fired in comparison.only_after.iter().take(MAX_ROWS) {
        row("new", fired, "—", &when(fired));
    }
    for pair in comparison.moved.iter().take(MAX_ROWS) {
        row("moved", pair.before, &when(pair.before), &when(pair.after));
    }
    for pair in comparison.relabelled.iter().take(MAX_ROWS) {
        let new = shared.alert_cell(pair.after);
        row("relabelled", pair.before, &when(pair.before), &new);
    }
    out.push_str("</table></div>");
}

/// What would have been sent, to which receiver and how often.
pub(super) fn deliveries(replay: &Replay, shared: &SharedLabels, out: &mut String) {
    out.push_str("<h2>What would have been sent</h2>");
    if replay.deliveries.is_empty() {
        out.push_str("<p class=\"quiet\">Nothing.</p>");
        return;
    }
    open(&["At", "To", "What", "About", "Times"], out);
    for delivery in replay.deliveries.iter().take(MAX_ROWS) {
        let row = delivery_row(delivery, shared);
        write!(
            out,
            "<tr><td class=\"n\">{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td></tr>",
            moment(delivery.at()),
            escape(row.receiver),
            row.content,
            row.rule,
            row.times
        )
        .ok();
    }
    out.push_str("</table>");
    left_out(replay.deliveries.len(), MAX_ROWS, "deliveries", out);
    out.push_str("</div>");
}

/// The cells of a delivery. Only the receiver is not escaped yet.
struct DeliveryRow<'a> {
    receiver: &'a str,
    content: String,
    rule: String,
    times: String,
}

fn delivery_row<'a>(delivery: &'a Delivery, shared: &SharedLabels) -> DeliveryRow<'a> {
    match delivery {
        Delivery::Alert {
            alert,
            times,
            last_at,
            ..
        } => DeliveryRow {
            receiver: "Alertmanager",
            content: alert.state.as_str().to_owned(),
            rule: shared.cell(&alert.rule, &alert.labels, None),
            times: match times {
                1 => "1".to_owned(),
                _ => format!("{times}, until {}", moment(*last_at)),
            },
        },
        Delivery::Retrain { request, to } => DeliveryRow {
            receiver: to,
            content: format!("retrain: {}", escape(&request.reason)),
            rule: shared.cell(&request.rule, &request.labels, None),
            times: "1".to_owned(),
        },
    }
}
