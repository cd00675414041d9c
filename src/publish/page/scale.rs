//! The vertical scale of a chart.

/// Lowest and highest of the finite values; `(∞, -∞)` if there is none.
pub(crate) fn extremes(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        })
}

/// Where a value lies between `low` (0) and `high` (1), clamped. It is 0.5 for an empty range, so
/// that a flat line runs through the middle.
pub(crate) fn position(value: f64, low: f64, high: f64) -> f64 {
    // Halves are subtracted so that the widest range does not overflow.
    let half = high / 2.0 - low / 2.0;
    let share = if half > 0.0 {
        (value / 2.0 - low / 2.0) / half
    } else {
        0.5
    };
    share.clamp(0.0, 1.0)
}
