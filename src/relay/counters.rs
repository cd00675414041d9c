//! What a relay counts.

use std::sync::atomic::{AtomicU64, Ordering};

use super::decision::Outcome;
use crate::metric::Labels;
use crate::publish::{Family, Kind, Sample};

/// What a notification was answered, by status.
const RESULTS: [(&str, &str); 3] = [
    ("accepted", "2xx: what it asks for is on the disk"),
    (
        "refused",
        "4xx: not Alertmanager's webhook, or without the token",
    ),
    ("failed", "5xx: Alertmanager tries again"),
];

/// Counters since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    notifications: [AtomicU64; RESULTS.len()],
    alerts: [AtomicU64; Outcome::ALL.len()],
    truncated: AtomicU64,
}

impl Counters {
    /// Counts an answer to a notification.
    pub(super) fn answered(&self, status: u16) {
        let place = match status {
            ..400 => 0,
            400..500 => 1,
            500.. => 2,
        };
        self.notifications[place].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what became of the alerts of a notification.
    pub(super) fn decided(&self, outcomes: &[Outcome], truncated: u64) {
        for ((outcome, _), counter) in Outcome::ALL.iter().zip(&self.alerts) {
            let count = outcomes.iter().filter(|other| *other == outcome).count();
            counter.fetch_add(count as u64, Ordering::Relaxed);
        }
        self.truncated.fetch_add(truncated, Ordering::Relaxed);
    }

    /// The counters as families.
    pub(super) fn families(&self) -> Vec<Family> {
        let results = RESULTS.iter().map(|(word, _)| *word);
        let outcomes = Outcome::ALL.iter().map(|(_, word)| *word);
        vec![
            family(
                "sidewatch_relay_notifications_total",
                "Notifications from Alertmanager, by how they were answered.",
                results.zip(&self.notifications).map(labelled("result")),
            ),
            family(
                "sidewatch_relay_alerts_total",
                "Alerts in accepted notifications, by what became of them.",
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
