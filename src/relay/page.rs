//! The status page of a relay.

use crate::config::relay::Relay;
use crate::metric::format_duration;
use crate::notify::retrain::ReceiverStats;

/// The page as plain text.
pub(super) fn page(relay: &Relay, gates: &[String], receivers: &[ReceiverStats]) -> String {
    let mut out = "sidewatch relay\n\nAlerts that request retraining:\n".to_owned();
    for ask in &relay.asks {
        let matchers: Vec<String> = ask.matchers.iter().map(ToString::to_string).collect();
        let cooldown = format_duration(ask.cooldown);
        out.push_str(&format!(
            "  {} (cool-down {cooldown})\n",
            matchers.join(", ")
        ));
    }
    let switches = [
        (
            !relay.retraining.enabled,
            "retraining.enabled is false: no requests are sent\n",
        ),
        (
            relay.retraining.dry_run,
            "retraining.dry_run is true: no requests are sent\n",
        ),
    ];
    for (_, text) in switches.iter().filter(|(is_on, _)| *is_on) {
        out.push_str(text);
    }
    out.push_str("\nReceivers:\n");
    for receiver in receivers {
        let error = receiver
            .last_error
            .as_deref()
            .map(|error| format!(", last error: {error}"));
        out.push_str(&format!(
            "  {}: {} delivered, {} waiting, {} dead{}\n",
            receiver.name,
            receiver.delivered,
            receiver.waiting,
            receiver.dead,
            error.unwrap_or_default()
        ));
    }
    out.push_str("\nSeries:\n");
    for line in gates {
        out.push_str(&format!("  {line}\n"));
    }
    if gates.is_empty() {
        out.push_str("  no recent requests\n");
    }
    out
}
