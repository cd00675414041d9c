//! The increase of one counter between two reads.

/// The increase since the last value. A reset is not a decrease. A counter without a last value
/// started at 0 if `from_zero`; otherwise it brings no past.
pub(super) fn rise(last: Option<f64>, value: f64, from_zero: bool) -> f64 {
    match last {
        Some(last) if value >= last => value - last,
        // After a reset the value is the increase since the reset.
        Some(_) => value,
        None if from_zero => value,
        None => 0.0,
    }
}
