//! Evaluates a recording rule: stores its values under a new name in the window.

use tracing::{info, warn};

use super::pass::Pass;
use crate::map::drift::{Detector, DriftRule, Refused};
use crate::map::{self, Recording, Source};
use crate::metric::MetricSample;
use crate::promql::InstantSample;

/// A recording rule and its state.
#[derive(Debug)]
pub struct Recorder {
    pub(super) recording: Recording,
    /// The samples of the last evaluation.
    pub(super) samples: Vec<MetricSample>,
    /// The counts of a drift rule.
    pub(super) detector: Option<Box<Detector>>,
}

impl Recorder {
    pub(super) fn new(recording: &Recording) -> Self {
        let detector = match &recording.source {
            Source::Expr(_) => None,
            Source::Drift(drift) => Some(Box::new(Detector::new(drift))),
        };
        Self {
            recording: recording.clone(),
            samples: Vec::new(),
            detector,
        }
    }

    /// The rule as written.
    #[must_use]
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// The samples of the last evaluation.
    #[must_use]
    pub fn samples(&self) -> &[MetricSample] {
        &self.samples
    }

    /// The number of distributions that a drift rule counts, and those that it refuses to count;
    /// `None` for another rule.
    #[must_use]
    pub fn distributions(&self) -> Option<(usize, Refused)> {
        let detector = self.detector.as_ref()?;
        Some((detector.distributions(), detector.refused()))
    }

    /// Logs when limits begin and end to refuse distributions.
    fn note_refusals(&self, before: Refused) {
        let after = self.distributions().map_or(before, |(_, refused)| refused);
        let rule = &*self.recording.name;
        match (before.now, after.now) {
            (0, refused @ 1..) => warn!(rule, refused, "some distributions are not counted"),
            (1.., 0) => info!(rule, "all distributions are counted again"),
            _ => {}
        }
    }

    /// The drift behind the record.
    pub(super) fn drift(&self) -> Option<&DriftRule> {
        match &self.recording.source {
            Source::Drift(drift) => Some(drift),
            Source::Expr(_) => None,
        }
    }

    /// Records the values of this tick; returns the error if it failed.
    pub(super) fn take(
        &mut self,
        values: &[InstantSample],
        owner: u64,
        pass: &mut Pass<'_>,
    ) -> Option<String> {
        let before = self.distributions().map(|(_, refused)| refused);
        let named = match (&self.recording.source, &mut self.detector) {
            (Source::Drift(drift), Some(detector)) => detector
                .observe(drift, values, pass.at)
                .and_then(|drifted| map::drifted(&self.recording, drifted, pass.at)),
            _ => map::samples(&self.recording, values, pass.at),
        };
        self.note_refusals(before.unwrap_or_default());
        match record(&self.recording.name, named, owner, pass) {
            Ok(samples) => {
                self.samples = samples;
                None
            }
            Err(error) => {
                self.samples.clear();
                Some(error)
            }
        }
    }

    /// Keeps the series that an earlier version of the rule recorded, and its counts if the rule
    /// still counts in the same way.
    pub(super) fn inherit(&mut self, before: Self, is_same_model: bool) {
        let same_counts = match (before.drift(), self.drift()) {
            (Some(was), Some(is)) => was.counts() == is.counts(),
            _ => false,
        };
        self.samples = before.samples;
        if is_same_model
            && same_counts
            && let (Some(counted), Some(detector)) = (before.detector, &mut self.detector)
        {
            detector.inherit(*counted);
        }
    }
}

/// Writes the values of a recording rule into the window and marks missing series as stale.
fn record(
    name: &str,
    samples: Result<Vec<MetricSample>, String>,
    owner: u64,
    pass: &mut Pass<'_>,
) -> Result<Vec<MetricSample>, String> {
    let mut refused = 0;
    for sample in samples.iter().flatten() {
        let stored = pass
            .window
            .record(owner, pass.at, &sample.labels, sample.value);
        refused += u64::from(!stored);
    }
    pass.window.end_records(owner, pass.at);
    let samples = samples?;
    pass.evidence.keep(owner, name, &samples);
    if refused > 0 {
        return Err(format!(
            "{refused} recorded series were refused by the limit on stored series"
        ));
    }
    Ok(samples)
}
