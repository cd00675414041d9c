//! The counters of a relay.

use std::sync::atomic::{AtomicU64, Ordering};

use super::outcome::Outcome;
use crate::metric::Labels;
use crate::publish::{Description, Family, catalogue};

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

    /// Counts the outcomes of alerts.
    pub(super) fn count_outcomes(&self, outcomes: &[Outcome]) {
        for ((outcome, _), counter) in Outcome::ALL.iter().zip(&self.alerts) {
            let count = outcomes.iter().filter(|other| *other == outcome).count();
            counter.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    /// Counts the alerts that a notification left out.
    pub(super) fn count_truncated(&self, truncated: u64) {
        self.truncated.fetch_add(truncated, Ordering::Relaxed);
    }

    /// The counters as families.
    pub(super) fn families(&self) -> Vec<Family> {
        let results = RESULTS.into_iter().zip(&self.notifications);
        let outcomes = Outcome::ALL.iter().map(|(_, word)| *word);
        vec![
            by_word(&catalogue::RELAY_NOTIFICATIONS, "result", results),
            by_word(
                &catalogue::RELAY_ALERTS,
                "outcome",
                outcomes.zip(&self.alerts),
            ),
            Family::new(&catalogue::RELAY_TRUNCATED_ALERTS)
                .with(Labels::empty(), value(&self.truncated)),
        ]
    }
}

/// A family with one label, whose values are words.
fn by_word<'a>(
    description: &'static Description,
    label: &str,
    counters: impl Iterator<Item = (&'static str, &'a AtomicU64)>,
) -> Family {
    counters.fold(Family::new(description), |family, (word, counter)| {
        family.with(Labels::new([(label, word)]), value(counter))
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn value(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}

#[cfg(test)]
mod tests {
    use super::Counters;

    #[test]
    fn every_label_of_every_family_is_described() {
        for family in Counters::default().families() {
            let missing = family.undescribed_labels();
            assert!(
                missing.is_empty(),
                "{}: {missing:?}",
                family.description.name
            );
        }
    }
}
