//! The time between samples, in steps of the interval.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Verdict;
use crate::metric::{MetricSample, Timestamp};

/// Longer gaps, in steps, count as this many steps, so that they do not erase everything learned.
const MAX_GAP: i64 = 100;

/// The reason of the verdict on NaN.
pub(crate) const NO_NUMBER: &str = "the value is not a number";

/// If a sample is older than the last one by more steps than this, the clock was set back.
const SET_BACK: i64 = 10;

/// Counts the steps between samples. Without an interval every sample is one step, whatever
/// its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pace {
    last: Option<Timestamp>,
}

impl Pace {
    /// Steps since the last admitted sample: at least 1, at most 100.
    ///
    /// # Errors
    /// The verdict on a sample that must not be learned: its value is not finite, or it is not
    /// newer than the last one.
    pub fn admit(&mut self, sample: &MetricSample, interval: Duration) -> Result<i32, Verdict> {
        if !sample.value.is_finite() {
            return Err(Verdict::insufficient(NO_NUMBER));
        }
        let every = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        if every == 0 {
            return Ok(1);
        }
        let Some(last) = self.last else {
            self.last = Some(sample.at);
            return Ok(1);
        };
        let elapsed = sample.at.as_millis().saturating_sub(last.as_millis());
        // The clock was set back. Accept the new time; else the series would not be judged until
        // the old time returns.
        if elapsed < every.saturating_mul(-SET_BACK) {
            self.last = Some(sample.at);
            return Ok(1);
        }
        if elapsed <= 0 {
            return Err(Verdict::insufficient(
                "the sample is not newer than the last one",
            ));
        }
        self.last = Some(sample.at);
        let steps = (elapsed.saturating_add(every / 2) / every).clamp(1, MAX_GAP);
        Ok(i32::try_from(steps).unwrap_or(1))
    }
}

/// The weight of a new sample after `steps` steps with a weight of `alpha` each: `1 −
/// (1−α)^steps`.
pub(super) fn weight(alpha: f64, steps: i32) -> f64 {
    if steps == 1 {
        alpha
    } else {
        1.0 - (1.0 - alpha).powi(steps)
    }
}
