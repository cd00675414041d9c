//! The output of `--format text`.

use std::io::{self, Write};

use super::compare::Comparison;
use super::times::{lasted, moment};
use crate::alert::Alert;
use crate::cli::delivery_log::Delivery;
use crate::cli::replay::{Fired, Replay};
use crate::metric::{Labels, format_duration};
use crate::runtime::one_line;

/// Prints the alerts, the deliveries and the totals, then the comparison if there is one.
pub(super) fn print(
    out: &mut dyn Write,
    replay: &Replay,
    comparison: Option<&Comparison<'_>>,
) -> io::Result<()> {
    for fired in &replay.fired {
        writeln!(out, "{}", line(fired))?;
        writeln!(out, "    {}", one_line(&why(fired)))?;
    }
    if !replay.deliveries.is_empty() {
        writeln!(out, "\nwould have been sent:")?;
        for delivery in &replay.deliveries {
            writeln!(out, "    {}", delivery_line(delivery))?;
        }
        writeln!(out)?;
    }
    if !replay.silent.is_empty() {
        writeln!(out, "never had a value: {}", replay.silent.join(", "))?;
    }
    if !replay.unjudged.is_empty() {
        let watches = replay.unjudged.join(", ");
        writeln!(out, "never judged, too little to learn from: {watches}")?;
    }
    if let Some(error) = &replay.failed.last {
        let failed = count(replay.failed.count, "scrape failed", "scrapes failed");
        writeln!(out, "{failed}, the last: {}", one_line(error))?;
    }
    writeln!(out, "{}", totals(replay))?;
    match comparison {
        Some(comparison) => print_comparison(out, comparison),
        None => Ok(()),
    }
}

/// Prints how the alerts of the other rules differ.
fn print_comparison(out: &mut dyn Write, comparison: &Comparison<'_>) -> io::Result<()> {
    writeln!(out, "\nwith the other rules:")?;
    for fired in &comparison.only_before {
        writeln!(out, "    - {}", line(fired))?;
    }
    for fired in &comparison.only_after {
        writeln!(out, "    + {}", line(fired))?;
    }
    for pair in &comparison.moved {
        writeln!(out, "    ~ {}; now {}", line(pair.before), when(pair.after))?;
    }
    for pair in &comparison.relabelled {
        let new = name(&pair.after.alert);
        writeln!(out, "    ~ {}; now {new}", line(pair.before))?;
    }
    let changes: Vec<String> = [
        (comparison.only_before.len(), "gone"),
        (comparison.only_after.len(), "new"),
        (comparison.moved.len(), "moved"),
        (comparison.relabelled.len(), "relabelled"),
        (comparison.unchanged, "unchanged"),
    ]
    .iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, change)| format!("{count} {change}"))
    .collect();
    let changes = if changes.is_empty() {
        "no alerts".to_owned()
    } else {
        changes.join(", ")
    };
    let (before, after) = (comparison.before, comparison.after);
    writeln!(
        out,
        "alerts: {} before, {} after ({changes}); posts to Alertmanager: {} before, {} after; retraining requests: {} before, {} after",
        before.fired.len(),
        after.fired.len(),
        before.posts(),
        after.posts(),
        before.requests(),
        after.requests(),
    )
}

/// `High{a="b"} fired at 30s for 15s`.
pub(in crate::cli) fn line(fired: &Fired) -> String {
    format!("{} fired at {}", name(&fired.alert), when(fired))
}

/// `30s for 15s`.
pub(super) fn when(fired: &Fired) -> String {
    let start = fired.alert.starts_at();
    // Recovery is the usual end.
    let why = fired.resolved.as_deref().filter(|why| *why != "recovered");
    let why = why.map(|why| format!(", {why}")).unwrap_or_default();
    format!(
        "{} {}{why}",
        moment(start),
        lasted(start, fired.resolved_at)
    )
}

fn name(alert: &Alert) -> String {
    rule_with_labels(&alert.rule, &alert.labels)
}

/// `High{a="b"}`; `alertname` would only repeat the rule.
fn rule_with_labels(rule: &str, labels: &Labels) -> String {
    let labels = labels.retain(|name| name != "alertname");
    if labels.is_empty() {
        rule.to_owned()
    } else {
        format!("{rule}{labels}")
    }
}

/// The summary and the reason, without saying the same twice.
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
            let repeated = match times {
                1 => String::new(),
                _ => format!(", {times} times until {}", moment(*last_at)),
            };
            format!(
                "{at} alertmanager: {} {}{repeated}",
                name(alert),
                alert.state
            )
        }
        Delivery::Retrain { request, to } => {
            let rule = rule_with_labels(&request.rule, &request.labels);
            format!("{at} {to}: retrain because of {rule}")
        }
    }
}

/// `1 alert`, `2 alerts`.
pub(in crate::cli) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// `240 scrapes over 1h, 3 signals, 1 alert, 5 posts to Alertmanager, 1 retraining request`.
pub(super) fn totals(replay: &Replay) -> String {
    let over = replay.span.map_or(String::new(), |(first, last)| {
        format!(" over {}", format_duration(last.since(first)))
    });
    let mut parts = vec![
        format!("{}{over}", count(replay.scrapes, "scrape", "scrapes")),
        count(replay.judged.len(), "signal", "signals"),
        count(replay.fired.len(), "alert", "alerts"),
    ];
    let posts = usize::try_from(replay.posts()).unwrap_or(usize::MAX);
    if posts > 0 {
        parts.push(count(
            posts,
            "post to Alertmanager",
            "posts to Alertmanager",
        ));
    }
    let requests = replay.requests();
    if requests > 0 {
        parts.push(count(requests, "retraining request", "retraining requests"));
    }
    parts.join(", ")
}
