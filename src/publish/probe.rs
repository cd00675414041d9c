//! The page of `/probe`: one scrape of one target, judged once.

use std::time::Duration;

use super::catalogue;
use super::encode::{Exposition, Writer};
use super::family::Family;
use super::signals;
use super::snapshot::Snapshot;
use crate::metric::Labels;

/// The page of a probe: whether it succeeded, how long it took, and the signals that one scrape is
/// enough for.
#[must_use]
pub(crate) fn probe_page(snapshot: &Snapshot, success: bool, took: Duration) -> String {
    let mut page = Writer::new(Exposition::Text);
    let success = if success { 1.0 } else { 0.0 };
    for (family, value) in [
        (&catalogue::PROBE_SUCCESS, success),
        (&catalogue::PROBE_DURATION, took.as_secs_f64()),
    ] {
        page.family(&Family::new(family).with(Labels::empty(), value));
    }
    signals::write(snapshot, &mut page);
    page.finish()
}
