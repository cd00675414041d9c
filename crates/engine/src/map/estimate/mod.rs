//! How right a model is expected to be, from the distribution of its scores, without labels.
//!
//! A calibrated score is the probability of class 1. So of a hundred predictions with a score of
//! 0.8 eighty are expected to be right (confidence-based performance estimation). An [`Estimator`]
//! counts the buckets of a histogram of scores, or a sum and a count of confidences, over a sliding
//! window. When labels arrive, the estimate is compared with them: if they contradict it, scores no
//! longer mean what they meant.
//!
//! The limit of the method: a change of what is right for the same input (concept drift) does not
//! change the scores, so the estimate cannot see it.

mod calibrating;
mod density;
mod estimator;
mod group;
mod rule;

pub use calibrating::{CalibrationTally, MeasuredShares};
pub use estimator::{Estimator, Memory};
pub use rule::{Calibration, EstimateRule, Estimated, Evidenced, Truth};

#[cfg(test)]
mod tests;
