//! The report of a plan: one HTML document with a table of the models and a section with charts for
//! each.

use std::fmt::Write as _;

use super::planned::Planned;
use super::replayed::ReplayedModel;
use super::text::{CAVEAT, empty_message, location, result, title};
use crate::cli::backtest::report;
use crate::metric::rounded;
use crate::publish::escape;

/// Renders the document.
pub(super) fn render(planned: &Planned) -> String {
    let mut out = report::head("plan");
    // Writing to a String cannot fail, here and below.
    write!(
        out,
        "<h1>{}</h1><p class=\"quiet\">{CAVEAT}</p>",
        escape(&title(planned))
    )
    .ok();
    table(planned, &mut out);
    for (index, model) in planned.models.iter().enumerate() {
        section(index, model, &mut out);
    }
    for program in &planned.fleet.without_pack {
        let (name, reason) = (escape(&program.name), escape(&program.reason));
        write!(out, "<p><code>{name}</code>: {reason}</p>").ok();
    }
    for entry in &planned.not_replayed {
        let (name, reason) = (escape(&entry.model.name), escape(&entry.reason));
        write!(out, "<p><code>{name}</code>, not replayed: {reason}</p>").ok();
    }
    if let Some(message) = empty_message(planned) {
        write!(out, "<p>{}</p>", escape(&message)).ok();
    }
    let version = crate::publish::Build::VERSION;
    writeln!(
        out,
        "<footer><p>Created by sidewatch {version} plan. Times are UTC.</p></footer></main></body></html>"
    )
    .ok();
    out
}

fn table(planned: &Planned, out: &mut String) {
    out.push_str(
        "<div class=\"card\"><table><thead><tr><th>Model</th><th>Pack</th><th>Where</th><th>Signals</th><th>Missing</th>\
         <th>Alerts a week</th><th>Retrainings</th></tr></thead><tbody>",
    );
    for (index, model) in planned.models.iter().enumerate() {
        write!(
            out,
            "<tr><td><a href=\"#m{index}\">{}</a></td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&model.model.name),
            model.model.pack,
            escape(&location(model)),
            model.found.len(),
            model.missing.len(),
            rounded(model.alerts_per_week()),
            model.replay.requests(),
        )
        .ok();
    }
    out.push_str("</tbody></table></div>");
}

fn section(index: usize, model: &ReplayedModel, out: &mut String) {
    let found = &model.model;
    write!(
        out,
        "<h1 id=\"m{index}\">{}</h1><p class=\"quiet\">Pack <code>{}</code>, because of <code>{}</code>; {}</p><p>{}</p>",
        escape(&found.name),
        found.pack,
        escape(&found.because),
        escape(&location(model)),
        escape(&result(model)),
    )
    .ok();
    if !model.missing.is_empty() {
        out.push_str("<h2>Missing</h2><ul>");
        for watch in &model.missing {
            let (name, reason) = (escape(&watch.name), escape(&watch.reason));
            write!(out, "<li><b>{name}</b>: {reason}</li>").ok();
        }
        out.push_str("</ul>");
    }
    // The charts of every replay are numbered from 0, so their anchors need the model's number.
    let section = report::section(&model.replay)
        .replace(" id=\"s", &format!(" id=\"m{index}s"))
        .replace("href=\"#s", &format!("href=\"#m{index}s"));
    out.push_str(&section);
}
