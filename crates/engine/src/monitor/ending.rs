//! What the last notification of a watch's alert says when the signal did not just recover.

use std::time::Duration;

use super::watch::Watching;
use crate::alert::with_unit;
use crate::incident::{Acceptance, Judged};
use crate::metric::{Labels, MetricSample, Timestamp, format_duration};

/// Why an alert ended after its baseline was lost.
const ANEW: &str = "what is normal was learned anew while the alert fired, since the rule or its strategy changed; the fault may last";

impl Watching {
    /// How the alert of a series ends with this value, if it does not recover.
    pub(super) fn ending(&self, sample: &MetricSample, judged: &Judged) -> Option<String> {
        match &judged.accepted {
            Some(accepted) => Some(describe(accepted, sample.metric.unit())),
            None => self
                .is_learned_anew(&sample.labels)
                .then(|| ANEW.to_owned()),
        }
    }

    /// Whether the alert of a series fires and what was normal before it is not known any more.
    fn is_learned_anew(&self, series: &Labels) -> bool {
        self.incidents.contains_key(series)
            && !self.tracker.is_shared(series)
            && self.table.lacks_incident(series)
    }

    /// The window of a series became its reference: its alert ends with the next value.
    pub(super) fn accept_reference(&mut self, series: &Labels, at: Timestamp) {
        let since = self.incidents.get(series);
        let lasted = since.map_or(Duration::ZERO, |since| at.since(*since));
        let ending = format!(
            "accepted as the reference after {}",
            format_duration(Duration::from_secs(lasted.as_secs()))
        );
        self.rebased.insert(series.clone(), ending);
        self.table.count_acceptance();
    }
}

/// `accepted as the new normal after 1d: 485 ms, was 190 ms`.
fn describe(accepted: &Acceptance, unit: &str) -> String {
    let now = with_unit(accepted.now, unit);
    let lasted = format_duration(accepted.lasted);
    let was = accepted
        .was
        .map(|was| format!(", was {}", with_unit(was, unit)));
    let was = was.unwrap_or_default();
    format!("accepted as the new normal after {lasted}: {now}{was}")
}
