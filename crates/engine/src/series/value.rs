//! The sentinels: values that are not measurements.

/// Prometheus' stale marker: the previous scrape had the series and this one does not.
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// No sample in this slot. It never leaves the engine and never has the bits of a measured NaN.
pub const ABSENT: f64 = f64::from_bits(0x7ff0_0000_0000_0003);

/// The bits with which every measured NaN is stored, whatever its payload.
const MEASURED_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// Whether this is the stale marker.
#[must_use]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE.to_bits()
}

/// Whether there is no sample.
#[must_use]
pub fn is_absent(value: f64) -> bool {
    value.to_bits() == ABSENT.to_bits()
}

/// A measured value as it is stored: a NaN never has the bits of a sentinel.
pub(super) fn measured(value: f64) -> f64 {
    if value.is_nan() { MEASURED_NAN } else { value }
}

#[cfg(test)]
mod tests {
    use super::{ABSENT, STALE, is_absent, is_stale, measured};

    #[test]
    fn a_measured_nan_is_neither_stale_nor_absent() {
        for nan in [f64::NAN, -f64::NAN, STALE, ABSENT] {
            let stored = measured(nan);
            assert!(stored.is_nan() && !is_stale(stored) && !is_absent(stored));
        }
        assert!(is_stale(STALE) && is_absent(ABSENT) && !is_stale(ABSENT));
    }
}
