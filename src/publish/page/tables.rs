//! The tables of targets, deliveries and rules, and the footer.

use std::fmt::Write as _;

use super::headline::word;
use super::text::{clock, escape, names, rule_anchor, series};
use crate::metric::format_duration;
use crate::publish::Build;
use crate::publish::snapshot::{Group, Snapshot};

/// Up to this number of rules, every group is shown open.
const MAX_OPEN_RULES: usize = 20;

pub(super) fn targets(snapshot: &Snapshot, out: &mut String) {
    out.push_str("<section id=\"targets\"><h2>Targets</h2><div class=\"scroll\"><table><tr><th>target<th>health<th>last scrape<th>took<th>samples<th>error</tr>");
    for target in &snapshot.targets {
        let (class, health) = match target.up {
            None => ("wait", "not scraped yet"),
            Some(true) => ("good", "up"),
            Some(false) => ("bad", "down"),
        };
        let last = target.last_scrape.map_or_else(|| "never".to_owned(), clock);
        // Writing to a String cannot fail, here and below.
        write!(
            out,
            "<tr><td>{}<br><span class=\"quiet\">{}</span><td class=\"{class}\">{health}<td class=\"n\">{last}<td class=\"n\">{} ms<td class=\"n\">{}<td>{}</tr>",
            escape(&target.url),
            escape(&series(&target.labels)),
            target.duration.as_millis(),
            target.samples,
            escape(target.error.as_deref().unwrap_or(""))
        )
        .ok();
    }
    out.push_str("</table></div></section>");
}

pub(super) fn deliveries(snapshot: &Snapshot, out: &mut String) {
    out.push_str("<section id=\"deliveries\"><h2>Deliveries</h2>");
    if snapshot.peers.is_empty() && snapshot.receivers.is_empty() {
        out.push_str(
            "<p class=\"quiet\">No Alertmanager and no retraining webhook is configured.</p></section>",
        );
        return;
    }
    out.push_str("<div class=\"scroll\"><table><tr><th>receiver<th>of<th>arrived<th>failed<th>given up<th>waiting<th>last error</tr>");
    for peer in &snapshot.peers {
        let counts = [peer.sent, peer.failed, peer.dropped, peer.queue_length];
        delivery(&peer.url, "alerts", counts, peer.last_error.as_deref(), out);
    }
    for to in &snapshot.receivers {
        let counts = [to.delivered, to.failed, to.dead, to.waiting];
        delivery(
            &to.name,
            "retraining",
            counts,
            to.last_error.as_deref(),
            out,
        );
    }
    out.push_str("</table></div><p class=\"quiet\">Waiting requests for retraining ");
    out.push_str(if snapshot.durable {
        "are kept on disk until they arrive."
    } else {
        "are kept in memory; set storage.path to keep them on disk."
    });
    out.push_str("</p></section>");
}

fn delivery(name: &str, of: &str, counts: [u64; 4], error: Option<&str>, out: &mut String) {
    write!(out, "<tr><td>{}<td>{of}", escape(name)).ok();
    for count in counts {
        write!(out, "<td class=\"n\">{count}").ok();
    }
    let error = escape(error.unwrap_or(""));
    write!(out, "<td class=\"bad\">{error}</tr>").ok();
}

pub(super) fn rules(snapshot: &Snapshot, out: &mut String) {
    out.push_str("<section id=\"rules\"><h2>Rules</h2>");
    let few = snapshot
        .groups
        .iter()
        .map(|group| group.rules.len())
        .sum::<usize>()
        <= MAX_OPEN_RULES;
    for (index, group) in snapshot.groups.iter().enumerate() {
        let failing = group
            .rules
            .iter()
            .filter(|rule| rule.problem().is_some())
            .count();
        let health = if failing > 0 {
            format!(" · <span class=\"bad\">{failing} failing or unsupported</span>")
        } else {
            String::new()
        };
        write!(
            out,
            "<details id=\"group-{index}\"{}><summary id=\"group-{index}-s\">{} <span class=\"quiet\">{} · every {} · {} rules{health}</span></summary>",
            if few || failing > 0 { " open" } else { "" },
            escape(&group.name),
            escape(&group.file),
            format_duration(group.interval),
            group.rules.len()
        )
        .ok();
        rule_table(group, out);
        out.push_str("</details>");
    }
    out.push_str("</section>");
}

fn rule_table(group: &Group, out: &mut String) {
    out.push_str("<div class=\"scroll\"><table><tr><th>rule<th>expression<th>last evaluation<th>took<th>error</tr>");
    for rule in &group.rules {
        let kind = word(rule.definition.kind);
        let last = rule.last.map_or_else(|| "never".to_owned(), clock);
        write!(
            out,
            "<tr id=\"{}\"{}><td><span class=\"quiet\">{kind}</span> {}<td><code>{}</code><td class=\"n\">{last}<td class=\"n\">{} µs<td class=\"bad\">{}</tr>",
            rule_anchor(&rule.definition),
            names(&rule.definition),
            escape(rule.definition.name()),
            escape(&rule.definition.query),
            rule.took.as_micros(),
            escape(rule.problem().unwrap_or(""))
        )
        .ok();
    }
    out.push_str("</table></div>");
}

pub(super) fn footer(snapshot: &Snapshot, out: &mut String) {
    let durable = if snapshot.durable {
        "state survives a restart"
    } else {
        "state is in memory only"
    };
    write!(
        out,
        "<footer>Sidewatch {} · configuration <code>{}</code> · {} series in the window · {durable} · \
         <a href=\"/metrics\">metrics</a> · <a href=\"/api/v1/signals\">signals</a> · <a href=\"/api/v1/rules\">rules</a> · <a href=\"/api/v1/alerts\">alerts</a> · <a href=\"/api/v1/status/config\">configuration</a></footer>",
        Build::VERSION,
        escape(&snapshot.config_hash),
        snapshot.series
    )
    .ok();
}
