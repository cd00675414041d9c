//! The configuration in force, line by line, without secrets.

use std::fmt::Write as _;

use super::text::{escape, moment};
use crate::publish::snapshot::Snapshot;

/// Maximum number of lines of one file on the page; the API has all.
const MAX_LINES: usize = 2000;

pub(super) fn configuration(snapshot: &Snapshot, out: &mut String) {
    out.push_str("<section id=\"configuration\"><h2>Configuration</h2>");
    // Writing to a String cannot fail, here and below.
    write!(
        out,
        "<p class=\"quiet\">version <code>{}</code>, in force since {}</p>",
        escape(&snapshot.config_hash),
        moment(snapshot.reload.succeeded_at)
    )
    .ok();
    if snapshot.sources.is_empty() {
        out.push_str("<p class=\"quiet\">No file was read; everything comes from flags.</p>");
    }
    for (index, source) in snapshot.sources.iter().enumerate() {
        let count = source.text.lines().count();
        write!(
            out,
            "<details id=\"file-{index}\"><summary>{} <span class=\"quiet\">{count} lines</span></summary><pre tabindex=\"0\" class=\"source\">",
            escape(&source.file)
        )
        .ok();
        for (line, number) in source.text.lines().zip(1..=MAX_LINES) {
            write!(
                out,
                "<span id=\"file-{index}-{number}\" data-line=\"{number}\">{}\n</span>",
                escape(line)
            )
            .ok();
        }
        out.push_str("</pre>");
        if count > MAX_LINES {
            write!(
                out,
                "<p class=\"quiet\">and {} more lines, at <a href=\"/api/v1/status/config\">/api/v1/status/config</a></p>",
                count - MAX_LINES
            )
            .ok();
        }
        out.push_str("</details>");
    }
    out.push_str("</section>");
}

/// Writes why the last configuration was refused, or what it was loaded without; nothing if it was
/// accepted.
pub(super) fn refused(snapshot: &Snapshot, out: &mut String) {
    if let Some(problems) = &snapshot.reload.error {
        let title = if snapshot.reload.is_partial {
            "The configuration has mistakes; Sidewatch runs without what is wrong"
        } else {
            "The new configuration was refused; the old one stays in force"
        };
        write!(
            out,
            "<article class=\"card alert firing\" role=\"status\"><h3>{title}</h3><pre>{}</pre></article>",
            escape(problems)
        )
        .ok();
    }
}
