//! Time ranges of range queries.

use std::time::Duration;

use crate::metric::Timestamp;

/// Maximum number of points of one series in a response of Prometheus.
pub(crate) const MAX_POINTS: usize = 11_000;
/// Maximum number of samples in one request, over all series.
const MAX_SAMPLES: usize = 4_000_000;

/// A time range with steps of equal length; both ends are included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first step.
    pub start: Timestamp,
    /// The latest time of a step.
    pub end: Timestamp,
    /// Time between two steps, at least 1 ms.
    pub step: Duration,
}

impl Range {
    /// The range with its start at a multiple of the step, so that equal queries hit the cache of
    /// the server.
    #[must_use]
    pub fn aligned(self) -> Self {
        let step = self.step_millis();
        let start = Timestamp::from_millis(self.start.as_millis().div_euclid(step) * step);
        Self { start, ..self }
    }

    /// The number of steps.
    #[must_use]
    pub fn steps(&self) -> usize {
        let steps = (self.end.as_millis() - self.start.as_millis()).div_euclid(self.step_millis());
        usize::try_from(steps + 1).unwrap_or(0)
    }

    /// Splits the range into parts that a server accepts: at most [`MAX_POINTS`] steps, and fewer
    /// for many series.
    #[must_use]
    pub fn chunks(&self, series: usize) -> Vec<Self> {
        let points = (MAX_SAMPLES / series.max(1)).clamp(1, MAX_POINTS);
        self.split(points)
    }

    /// Splits the range into parts of at most `points` steps.
    pub(super) fn split(&self, points: usize) -> Vec<Self> {
        let count = self.steps().div_ceil(points);
        let length = self.step * u32::try_from(points).unwrap_or(u32::MAX);
        std::iter::successors(Some(self.start), |start| Some(*start + length))
            .take(count)
            .map(|start| Self {
                start,
                end: self.end.min(start + (length - self.step)),
                ..*self
            })
            .collect()
    }

    fn step_millis(&self) -> i64 {
        i64::try_from(self.step.as_millis())
            .unwrap_or(i64::MAX)
            .max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MAX_POINTS, Range};
    use crate::metric::Timestamp;

    fn range(start: i64, end: i64) -> Range {
        Range {
            start: Timestamp::from_millis(start * 1000),
            end: Timestamp::from_millis(end * 1000),
            step: Duration::from_secs(15),
        }
    }

    #[test]
    fn a_week_is_split_without_a_gap_or_an_overlap() {
        let week = range(0, 7 * 86_400);
        let chunks = week.chunks(10);
        assert_eq!(chunks.len(), 4);
        assert!(chunks.iter().all(|chunk| chunk.steps() <= MAX_POINTS));
        let steps: usize = chunks.iter().map(Range::steps).sum();
        assert_eq!(steps, week.steps());
        for pair in chunks.windows(2) {
            assert_eq!(pair[1].start.since(pair[0].end), week.step);
        }
        assert_eq!(chunks.last().unwrap().end, week.end);
        assert_eq!(week.chunks(1000)[0].steps(), 4000);
    }

    #[test]
    fn a_range_starts_at_a_multiple_of_its_step() {
        let aligned = range(1_700_000_008, 1_700_000_100).aligned();
        assert_eq!(aligned.start.as_millis(), 1_700_000_000_000 - 5_000);
        assert_eq!(aligned.steps(), 8);
    }
}
