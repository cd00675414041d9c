//! The vocabulary of the whole crate: what is measured, about which series, when, and how it is selected.
//!
//! Nothing here reads a clock, opens a file or knows a stage.

mod appender;
mod hash;
mod kind;
mod labels;
mod matcher;
mod number;
mod random;
mod sample;
mod time;

pub use appender::{Appender, SeriesFilter, SeriesRef};
pub use hash::{Chain, Keyed, hash_bytes, random_seed};
pub use kind::{Direction, Metric};
pub use labels::{Label, Labels};
pub use matcher::{MatchOp, Matcher, Selector, anchored, pattern_error};
pub use number::rounded;
pub use random::SplitMix64;
pub use sample::{Evidence, MetricSample};
pub use time::{Timestamp, date_of_days, days_of_date, format_duration, parse_duration};
