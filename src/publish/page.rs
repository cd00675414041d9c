//! The status page: one self-contained document, rendered here, refreshed by the browser.

use std::fmt::Write as _;

use super::snapshot::{Signal, Snapshot};

/// Sent with the page: nothing from elsewhere, no scripts at all.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const STYLE: &str = "
:root{color-scheme:light dark;--bad:#c0392b;--good:#2e7d32;--quiet:#777}
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.05rem;margin-top:2rem}
table{border-collapse:collapse;width:100%;display:block;overflow-x:auto}
th,td{text-align:left;padding:.3rem .8rem .3rem 0;vertical-align:top;border-bottom:1px solid #8883}
th{font-weight:600;color:var(--quiet)}
.firing,.anomalous,.down{color:var(--bad);font-weight:600}.ok,.up{color:var(--good)}
.quiet{color:var(--quiet)}
";

/// Renders the page.
pub(super) fn render(snapshot: &Snapshot) -> String {
    let mut out = String::with_capacity(8192);
    let model = snapshot.model.get("model_id").unwrap_or("");
    let firing = snapshot
        .alerts
        .iter()
        .filter(|alert| alert.state == "firing")
        .count();
    let verdict = match firing {
        0 => "<span class=ok>no alert fires</span>".to_owned(),
        1 => "<span class=firing>1 alert fires</span>".to_owned(),
        n => format!("<span class=firing>{n} alerts fire</span>"),
    };
    let head = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <meta http-equiv=refresh content=5><title>Sidewatch {model}</title><style>{STYLE}</style>\
         <h1>{model}: {verdict}</h1><p class=quiet>as of {at}</p>",
        model = escape(model),
        at = snapshot.at,
    );
    out.push_str(&head);
    // Writing to a String cannot fail.
    let written = body(snapshot, &mut out);
    debug_assert!(written.is_ok());
    out
}

fn body(snapshot: &Snapshot, out: &mut String) -> std::fmt::Result {
    if !snapshot.alerts.is_empty() {
        out.push_str("<h2>Alerts</h2><table><tr><th>state<th>alert<th>why<th>since</tr>");
        for alert in &snapshot.alerts {
            let summary = alert.annotations.get("summary").unwrap_or(&alert.rule);
            let why = alert.annotations.get("why").unwrap_or("");
            let (state, since) = (alert.state, alert.active_at);
            writeln!(
                out,
                "<tr><td class={state}>{state}<td>{}<td>{}<td>{since}</tr>",
                escape(summary),
                escape(why)
            )?;
        }
        out.push_str("</table>");
    }
    out.push_str(
        "<h2>Signals</h2><table><tr><th>signal<th>series<th>value<th>expected<th>state<th>why</tr>",
    );
    for signal in &snapshot.signals {
        row(signal, out)?;
    }
    out.push_str(
        "</table><h2>Targets</h2><table><tr><th>target<th>health<th>samples<th>error</tr>",
    );
    for target in &snapshot.targets {
        let health = match target.up {
            None => "unknown",
            Some(true) => "up",
            Some(false) => "down",
        };
        let error = escape(target.error.as_deref().unwrap_or(""));
        let (url, samples) = (escape(&target.url), target.samples);
        writeln!(
            out,
            "<tr><td>{url}<td class={health}>{health}<td>{samples}<td>{error}</tr>"
        )?;
    }
    out.push_str("</table><h2>Deliveries</h2><table><tr><th>receiver<th>arrived<th>failed<th>waiting<th>last error</tr>");
    for peer in &snapshot.peers {
        let error = escape(peer.last_error.as_deref().unwrap_or(""));
        let (url, sent, failed, waiting) =
            (escape(&peer.url), peer.sent, peer.failed, peer.queue_length);
        writeln!(
            out,
            "<tr><td>{url}<td>{sent}<td>{failed}<td>{waiting}<td>{error}</tr>"
        )?;
    }
    for receiver in &snapshot.receivers {
        let error = escape(receiver.last_error.as_deref().unwrap_or(""));
        let (name, arrived) = (escape(&receiver.name), receiver.delivered);
        let (failed, waiting) = (receiver.failed, receiver.waiting);
        writeln!(
            out,
            "<tr><td>{name}<td>{arrived}<td>{failed}<td>{waiting}<td>{error}</tr>"
        )?;
    }
    out.push_str("</table>");
    Ok(())
}

fn row(signal: &Signal, out: &mut String) -> std::fmt::Result {
    let name = signal
        .rule
        .as_deref()
        .or(signal.metric.as_deref())
        .unwrap_or("");
    let show =
        |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"));
    let expected = match (signal.expected.lower, signal.expected.upper) {
        (None, None) => "–".to_owned(),
        (lower, upper) => format!("{} to {}", show(lower), show(upper)),
    };
    let state = signal.state.unwrap_or("");
    writeln!(
        out,
        "<tr><td>{}<td class=quiet>{}<td>{} {}<td>{expected}<td class={}>{}<td>{}</tr>",
        escape(name),
        escape(&signal.labels.to_string()),
        show(signal.value),
        signal.kind.unit(),
        if state.is_empty() { "quiet" } else { state },
        state.replace('_', " "),
        escape(&signal.why),
    )
}

/// Text that is safe inside an element or a quoted attribute.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::{Signal, Snapshot};
    use super::render;
    use crate::metric::Labels;

    #[test]
    fn nothing_from_a_target_reaches_the_page_unescaped() {
        let snapshot = Snapshot {
            signals: vec![Signal {
                rule: Some("<script>".to_owned()),
                labels: Labels::new([("x", "<img onerror=a>")]),
                why: "<b>".to_owned(),
                ..Signal::default()
            }],
            ..Snapshot::default()
        };
        let page = render(&snapshot);
        assert!(
            !page.contains("<script>") && !page.contains("<img") && !page.contains("<b>"),
            "{page}"
        );
    }
}
