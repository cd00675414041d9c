//! The counters of a relay.

use std::sync::atomic::{AtomicU64, Ordering};

use super::decision::Outcome;
use crate::metric::Labels;
use crate::publish::{Family, Kind, Sample};

/// Values of the label `result`: responses with status 2xx (committed to disk), 4xx (not a valid
/// webhook, or without the token) and 5xx (Alertmanager retries).
const RESULTS: [&str; 3] = ["accepted", "refused", "failed"];

/// Counters since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// By result.
    notifications: [AtomicU64; RESULTS.len()],
    /// By outcome.
    alerts: [AtomicU64; Outcome::ALL.len()],
    truncated: AtomicU64,
}

impl Counters {
    /// Counts the response to a notification.
    pub(super) fn count_response(&self, status: u16) {
        let index = match status {
            ..400 => 0,
            400..500 => 1,
            500.. => 2,
        };
        self.notifications[index].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the outcomes of the alerts of a notification.
    pub(super) fn count_outcomes(&self, outcomes: &[Outcome], truncated: u64) {
        for ((outcome, _), counter) in Outcome::ALL.iter().zip(&self.alerts) {
            let count = outcomes.iter().filter(|other| *other == outcome).count();
            counter.fetch_add(count as u64, Ordering::Relaxed);
        }
        self.truncated.fetch_add(truncated, Ordering::Relaxed);
    }

    /// The counters as families.
    pub(super) fn families(&self) -> Vec<Family> {
        let outcomes = Outcome::ALL.iter().map(|(_, word)| *word);
        vec![
            family(
                "sidewatch_relay_notifications_total",
                "Notifications from Alertmanager, by result.",
                RESULTS
                    .into_iter()
                    .zip(&self.notifications)
                    .map(labelled("result")),
            ),
            family(
                "sidewatch_relay_alerts_total",
                "Alerts in accepted notifications, by outcome.",
                outcomes.zip(&self.alerts).map(labelled("outcome")),
            ),
            family(
                "sidewatch_relay_truncated_alerts_total",
                "Alerts that Alertmanager left out of notifications because of max_alerts.",
                [(Labels::empty(), &self.truncated)].into_iter(),
            ),
        ]
    }
}

fn labelled<'a>(
    name: &'static str,
) -> impl Fn((&'static str, &'a AtomicU64)) -> (Labels, &'a AtomicU64) {
    move |(word, counter)| (Labels::new([(name, word)]), counter)
}

#[expect(clippy::cast_precision_loss, reason = "counts")]
fn family<'a>(
    name: &'static str,
    help: &'static str,
    counters: impl Iterator<Item = (Labels, &'a AtomicU64)>,
) -> Family {
    let sample = |(labels, counter): (Labels, &AtomicU64)| Sample {
        labels,
        value: counter.load(Ordering::Relaxed) as f64,
    };
    Family {
        name,
        help,
        kind: Kind::Counter,
        samples: counters.map(sample).collect(),
    }
}
