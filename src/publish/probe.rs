//! What `/probe` answers: one scrape of one target, judged once.

use std::time::Duration;

use super::encode::{Exposition, Writer};
use super::families::Kind;
use super::signals;
use super::snapshot::Snapshot;

/// The page of a probe: whether it succeeded, how long it took, and the signals that one scrape can tell.
#[must_use]
pub fn probe_page(snapshot: &Snapshot, success: bool, took: Duration) -> String {
    let mut page = Writer::new(Exposition::Text);
    let success = if success { 1.0 } else { 0.0 };
    for (name, help, value) in [
        (
            "probe_success",
            "Whether the target was scraped and every rule evaluated.",
            success,
        ),
        (
            "probe_duration_seconds",
            "Time that the probe took.",
            took.as_secs_f64(),
        ),
    ] {
        page.head(Kind::Gauge, name, help);
        page.sample(name, "", "", value);
    }
    signals::write(snapshot, &mut page);
    page.finish()
}
