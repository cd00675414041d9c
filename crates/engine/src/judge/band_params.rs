//! The parameters of `ewma`, and of the band that other strategies start with.

use std::time::Duration;

use super::streaming::COOLDOWN;
use crate::describe::section;
use crate::metric::Direction;

section! {
    /// An adaptive band: an exponentially weighted mean and variance.
    pub struct EwmaParams {
        /// Weight of a new value.
        pub alpha: f64 = 0.005, between(0.0, 1.0);
        /// Half the width of the band, in standard deviations.
        pub k_sigma: f64 = 5.0, above(0.0);
        /// How many values are learned before the first is judged.
        pub warm_up: u32 = 50, within(2.0, 1_000_000.0);
        /// Least standard deviation, in the unit of the value.
        pub min_deviation: f64 = 1e-9, above(0.0);
        /// Least standard deviation as a share of the mean, added to `min_deviation`.
        pub min_relative_deviation: f64 = 1e-3, at_least(0.0);
        /// A value teaches no more than this many standard deviations.
        pub clip_sigma: f64 = 6.0, above(0.0);
        /// How many anomalous values in a row on one side make the level move there.
        pub relearn_after: u32 = 50, within(1.0, 1_000_000.0);
        /// In a list of events, the time after an anomaly in which only a higher score is another one.
        pub cooldown: Duration = COOLDOWN;
        /// Which side is bad.
        pub direction: Direction = Direction::Both, default_text("that of the rule");
        unwritten {
            /// Time between samples; zero counts samples instead.
            pub interval: Duration = Duration::ZERO;
        }
    }
}
