//! A plan as one HTML document: a table of the models, then what each would have said, with the charts of a backtest.

use std::fmt::Write as _;

use super::Planned;
use super::replayed::Replayed;
use super::text::{CAVEAT, about, nothing, place, verdict};
use crate::cli::backtest::report;
use crate::metric::rounded;
use crate::publish::escape;

/// Renders the document.
pub(super) fn render(planned: &Planned) -> String {
    let mut out = report::head("plan");
    write!(
        out,
        "<h1>{}</h1><p class=\"quiet\">{CAVEAT}</p>",
        escape(&about(planned))
    )
    .ok();
    table(planned, &mut out);
    for (index, model) in planned.models.iter().enumerate() {
        section(index, model, &mut out);
    }
    for (job, why) in &planned.fleet.without_pack {
        write!(out, "<p><code>{}</code>: {}</p>", escape(job), escape(why)).ok();
    }
    for (model, why) in &planned.left {
        let (name, why) = (escape(&model.name), escape(why));
        write!(out, "<p><code>{name}</code>, not replayed: {why}</p>").ok();
    }
    if let Some(nothing) = nothing(planned) {
        write!(out, "<p>{}</p>", escape(&nothing)).ok();
    }
    let version = crate::publish::Build::VERSION;
    writeln!(
        out,
        "<footer><p>Made by sidewatch {version} plan. Times are UTC.</p></footer></main></body></html>"
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
            escape(&place(model)),
            model.found.len(),
            model.missing.len(),
            rounded(model.alerts_per_week()),
            model.retrainings(),
        )
        .ok();
    }
    out.push_str("</tbody></table></div>");
}

fn section(index: usize, model: &Replayed, out: &mut String) {
    let found = &model.model;
    write!(
        out,
        "<h1 id=\"m{index}\">{}</h1><p class=\"quiet\">Pack <code>{}</code>, because of <code>{}</code>; {}</p><p>{}</p>",
        escape(&found.name),
        found.pack,
        escape(&found.because),
        escape(&place(model)),
        escape(&verdict(model)),
    )
    .ok();
    if !model.missing.is_empty() {
        out.push_str("<h2>Missing</h2><ul>");
        for (name, why) in &model.missing {
            write!(out, "<li><b>{}</b>: {}</li>", escape(name), escape(why)).ok();
        }
        out.push_str("</ul>");
    }
    // The charts of every model are numbered from 0.
    let body = report::section(&model.replay);
    let body = body.replace(" id=\"s", &format!(" id=\"m{index}s"));
    out.push_str(&body.replace("href=\"#s", &format!("href=\"#m{index}s")));
}
