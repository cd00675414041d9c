//! The types and helpers that all stages share: model metrics, labels, selectors, samples, time,
//! numbers.
//!
//! Nothing here reads a clock or a file, or depends on a stage.

mod appender;
mod exported;
mod format;
mod hash;
mod kind;
mod labels;
mod matcher;
mod pattern;
mod random;
mod sample;
mod sampling;
mod suggest;
mod time;

pub use appender::{Appender, SeriesFilter, SeriesRef};
pub use exported::exported_name;
pub use format::{format_value, percent, rounded};
pub use hash::{Keyed, hash_bytes};
pub use kind::{Direction, Metric};
pub use labels::{Label, Labels};
pub use matcher::{MatchOp, Matcher, Selector};
pub use pattern::{PatternError, anchored};
pub use random::SplitMix64;
pub use sample::{Counts, Evidence, MetricSample, Moved, Quotient};
pub use sampling::Sampling;
pub use suggest::nearest;
pub use time::{Timestamp, date_of_days, days_of_date, format_duration, parse_duration};

pub(crate) use format::{format_bound, format_general};
pub(crate) use hash::random_seed;
pub(crate) use pattern::unanchored;
pub(crate) use sampling::{plausible_proportion, plausible_ranks};
pub(crate) use time::millis;
