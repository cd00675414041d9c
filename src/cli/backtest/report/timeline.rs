//! Every alert at a glance: a row for each rule and series, a bar for each time it fired.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::axis::{Axis, WIDTH};
use super::labels::Common;
use crate::cli::backtest::text;
use crate::cli::replay::{Delivery, Fired, Replay};
use crate::metric::Labels;
use crate::publish::escape;

/// Rows that are drawn.
const MAX_ROWS: usize = 40;
const ROW: f64 = 34.0;

/// The alerts of a rule and a series under either set of rules.
type Row<'a> = [Vec<&'a Fired>; 2];

/// Draws the alerts, and those of the other rules below them in another colour.
pub(super) fn draw(
    (before, after): (&Replay, Option<&Replay>),
    common: &Common,
    axis: &Axis,
    out: &mut String,
) {
    let mut rows: BTreeMap<(&str, &Labels), Row<'_>> = BTreeMap::new();
    for (index, replay) in [Some(before), after].into_iter().enumerate() {
        for fired in replay.into_iter().flat_map(|replay| &replay.fired) {
            let key = (&*fired.alert.rule, &fired.alert.labels);
            rows.entry(key).or_default()[index].push(fired);
        }
    }
    if rows.is_empty() {
        return;
    }
    let shown = rows.len().min(MAX_ROWS);
    // At most 40 rows.
    let height = ROW * f64::from(u32::try_from(shown).unwrap_or(0));
    // Writing to a String cannot fail, here and below.
    write!(
        out,
        "<div class=\"scroll\"><svg class=\"timeline\" viewBox=\"0 -2 {WIDTH} {:.0}\" role=\"img\"><title>When each alert fired</title>",
        height + 22.0
    )
    .ok();
    axis.draw(height, out);
    let mut top = 0.0;
    for ((rule, labels), [old, new]) in rows.iter().take(MAX_ROWS) {
        write!(
            out,
            "<text x=\"0\" y=\"{:.1}\"><tspan class=\"name\">{}</tspan> {}</text>",
            top + 13.0,
            escape(rule),
            escape(&common.own(labels))
        )
        .ok();
        let half = if after.is_some() { 5.0 } else { 10.0 };
        bars(old, "bar", (top + 18.0, half), axis, out);
        bars(new, "bar new", (top + 24.0, half), axis, out);
        marks((rule, labels), before, top + 23.0, axis, out);
        top += ROW;
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

fn bars(fired: &[&Fired], class: &str, (top, height): (f64, f64), axis: &Axis, out: &mut String) {
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

/// When a new model would have been asked for.
fn marks((rule, labels): (&str, &Labels), replay: &Replay, y: f64, axis: &Axis, out: &mut String) {
    for delivery in &replay.deliveries {
        if let Delivery::Retrain { request, .. } = delivery
            && (request.rule.as_str(), &request.labels) == (rule, labels)
        {
            let x = axis.x(request.requested_at);
            write!(
                out,
                "<path class=\"retrain\" d=\"M{:.1} {:.1}l6 -9h-12z\"><title>retraining would have been asked for</title></path>",
                x, y - 5.0
            )
            .ok();
        }
    }
}
