//! The answer for a person at a terminal.

use std::io::{self, Write};

use super::compare::Comparison;
use super::times::{lasted, moment};
use crate::alert::Alert;
use crate::cli::replay::{Delivery, Fired, Replay};
use crate::metric::{Labels, format_duration};

/// Alerts, then what would have been sent, then the sum of it.
pub(super) fn print(out: &mut dyn Write, replay: &Replay) -> io::Result<()> {
    for fired in &replay.fired {
        writeln!(out, "{}", line(fired))?;
        writeln!(out, "    {}", why(fired))?;
    }
    if !replay.deliveries.is_empty() {
        writeln!(out, "\nwould have been sent:")?;
    }
    for delivery in &replay.deliveries {
        writeln!(out, "    {}", delivery_line(delivery))?;
    }
    if !replay.deliveries.is_empty() {
        writeln!(out)?;
    }
    if !replay.silent.is_empty() {
        writeln!(out, "never had a value: {}", replay.silent.join(", "))?;
    }
    if let Some(error) = &replay.failed.last {
        let failed = replay.failed.count;
        writeln!(
            out,
            "{}, the last: {error}",
            count(failed, "scrape failed", "scrapes failed")
        )?;
    }
    writeln!(out, "{}", sum(replay))
}

/// What a change of rules changes.
pub(super) fn print_comparison(
    out: &mut dyn Write,
    (before, after): (&Replay, &Replay),
    comparison: &Comparison<'_>,
) -> io::Result<()> {
    writeln!(out, "\nwith the other rules:")?;
    for fired in &comparison.only_before {
        writeln!(out, "    - {}", line(fired))?;
    }
    for fired in &comparison.only_after {
        writeln!(out, "    + {}", line(fired))?;
    }
    for (old, new) in &comparison.moved {
        writeln!(out, "    ~ {}; now {}", line(old), when(new))?;
    }
    for (old, new) in &comparison.relabelled {
        writeln!(out, "    ~ {}; now {}", line(old), name(&new.alert))?;
    }
    let changes = [
        (comparison.only_before.len(), "gone"),
        (comparison.only_after.len(), "new"),
        (comparison.moved.len(), "moved"),
        (comparison.relabelled.len(), "relabelled"),
        (comparison.unchanged, "unchanged"),
    ];
    let told: Vec<String> = changes
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let told = if told.is_empty() {
        "no alerts".to_owned()
    } else {
        told.join(", ")
    };
    let ((posts, requests), (new_posts, new_requests)) = (before.sent(), after.sent());
    writeln!(
        out,
        "alerts: {} before, {} after ({told}); posts to Alertmanager: {posts} before, {new_posts} after; retraining requests: {requests} before, {new_requests} after",
        before.fired.len(),
        after.fired.len(),
    )
}

/// `High{a="b"} fired at 30s for 15s`.
pub(in crate::cli) fn line(fired: &Fired) -> String {
    format!("{} fired at {}", name(&fired.alert), when(fired))
}

/// When and for how long.
pub(super) fn when(fired: &Fired) -> String {
    let start = fired.alert.starts_at();
    format!("{} {}", moment(start), lasted(start, fired.resolved_at))
}

/// The rule and the labels that are not its name.
pub(super) fn name(alert: &Alert) -> String {
    named(&alert.rule, &alert.labels)
}

pub(super) fn named(rule: &str, labels: &Labels) -> String {
    let rest = labels.retain(|name| name != "alertname");
    if rest.is_empty() {
        rule.to_owned()
    } else {
        format!("{rule}{rest}")
    }
}

/// The summary, and why where it says more.
pub(super) fn why(fired: &Fired) -> String {
    let summary = fired.alert.summary();
    let explanation = fired.alert.explanation.as_ref();
    match explanation.map(|explanation| explanation.why.as_str()) {
        Some(why) if summary.contains(why) => why.to_owned(),
        Some(why) if !why.is_empty() => format!("{summary} ({why})"),
        _ => summary,
    }
}

fn delivery_line(delivery: &Delivery) -> String {
    let at = moment(delivery.at());
    match delivery {
        Delivery::Alert {
            alert,
            times,
            last_at,
            ..
        } => {
            let again = match times {
                1 => String::new(),
                _ => format!(", {times} times until {}", moment(*last_at)),
            };
            format!("{at} alertmanager: {} {}{again}", name(alert), alert.state)
        }
        Delivery::Retrain { request, to } => {
            let what = named(&request.rule, &request.labels);
            format!("{at} {to}: retrain because of {what}")
        }
    }
}

pub(in crate::cli) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// `240 scrapes over 1h, 3 signals, 1 alert, 5 posts to Alertmanager, 1 retraining request`.
pub(super) fn sum(replay: &Replay) -> String {
    let over = replay.span.map_or(String::new(), |(first, last)| {
        format!(" over {}", format_duration(last.since(first)))
    });
    let mut parts = vec![
        format!("{}{over}", count(replay.scrapes, "scrape", "scrapes")),
        count(replay.judged.len(), "signal", "signals"),
        count(replay.fired.len(), "alert", "alerts"),
    ];
    let (posts, requests) = replay.sent();
    if posts > 0 {
        let posts = usize::try_from(posts).unwrap_or(usize::MAX);
        parts.push(count(
            posts,
            "post to Alertmanager",
            "posts to Alertmanager",
        ));
    }
    if requests > 0 {
        parts.push(count(requests, "retraining request", "retraining requests"));
    }
    parts.join(", ")
}
