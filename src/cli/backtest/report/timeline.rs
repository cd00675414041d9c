//! The timeline of all alerts: a row for each rule and series, a bar for each time it fired.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::axis::{Axis, WIDTH};
use super::shared_labels::SharedLabels;
use crate::cli::backtest::text;
use crate::cli::delivery_log::Delivery;
use crate::cli::replay::{Fired, Replay};
use crate::metric::Labels;
use crate::publish::escape;

/// Maximum number of rows.
const MAX_ROWS: usize = 40;
const ROW_HEIGHT: f64 = 34.0;

/// The alerts of one rule and series.
#[derive(Default)]
struct Row<'a> {
    before: Vec<&'a Fired>,
    after: Vec<&'a Fired>,
}

/// Rows by rule and labels.
type Rows<'a> = BTreeMap<(&'a str, &'a Labels), Row<'a>>;

/// Draws the alerts, and below them those of the other rules in another colour.
pub(super) fn draw(
    before: &Replay,
    after: Option<&Replay>,
    shared: &SharedLabels,
    axis: &Axis,
    out: &mut String,
) {
    let rows = rows(before, after);
    if rows.is_empty() {
        return;
    }
    let shown = rows.len().min(MAX_ROWS);
    let height = ROW_HEIGHT * f64::from(u32::try_from(shown).unwrap_or(0));
    // Writing to a String cannot fail, here and below.
    write!(
        out,
        "<div class=\"scroll\"><svg class=\"timeline\" viewBox=\"0 -2 {WIDTH} {:.0}\" role=\"img\"><title>When each alert fired</title>",
        height + 22.0
    )
    .ok();
    axis.draw(height, out);
    let mut top = 0.0;
    let bar_height = if after.is_some() { 5.0 } else { 10.0 };
    for ((rule, labels), row) in rows.iter().take(MAX_ROWS) {
        write!(
            out,
            "<text x=\"0\" y=\"{:.1}\"><tspan class=\"name\">{}</tspan> {}</text>",
            top + 13.0,
            escape(rule),
            escape(&shared.own(labels))
        )
        .ok();
        bars(&row.before, "bar", top + 18.0, bar_height, axis, out);
        bars(&row.after, "bar new", top + 24.0, bar_height, axis, out);
        requests(rule, labels, before, top + 23.0, axis, out);
        top += ROW_HEIGHT;
    }
    out.push_str("</svg></div>");
    if rows.len() > shown {
        write!(
            out,
            "<p class=\"quiet\">and {} more series</p>",
            rows.len() - shown
        )
        .ok();
    }
}

fn rows<'a>(before: &'a Replay, after: Option<&'a Replay>) -> Rows<'a> {
    let mut rows = Rows::new();
    for fired in &before.fired {
        let key = (&*fired.alert.rule, &fired.alert.labels);
        rows.entry(key).or_default().before.push(fired);
    }
    for fired in after.into_iter().flat_map(|replay| &replay.fired) {
        let key = (&*fired.alert.rule, &fired.alert.labels);
        rows.entry(key).or_default().after.push(fired);
    }
    rows
}

/// Draws a bar for each time an alert fired.
fn bars(fired: &[&Fired], class: &str, top: f64, height: f64, axis: &Axis, out: &mut String) {
    for fired in fired {
        let from = axis.x(fired.alert.starts_at());
        let to = axis.x(fired.resolved_at.unwrap_or(axis.end()));
        write!(
            out,
            "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{height}\" rx=\"2\"><title>{}</title></rect>",
            (to - from).max(3.0),
            escape(&text::line(fired))
        )
        .ok();
    }
}

/// Draws a mark for each retraining request of an alert.
fn requests(rule: &str, labels: &Labels, replay: &Replay, y: f64, axis: &Axis, out: &mut String) {
    for delivery in &replay.deliveries {
        if let Delivery::Retrain { request, .. } = delivery
            && (request.rule.as_str(), &request.labels) == (rule, labels)
        {
            let x = axis.x(request.requested_at);
            write!(
                out,
                "<path class=\"retrain\" d=\"M{:.1} {:.1}l6 -9h-12z\"><title>retraining would have been requested</title></path>",
                x, y - 5.0
            )
            .ok();
        }
    }
}
