//! Incidents: while an alert lasts, its signal is judged by what was normal before it.
//!
//! A strategy that goes on learning takes a long incident for normal. So from the first anomalous
//! value on, what was known before is kept as the *baseline*; it judges, and a copy goes on
//! learning. When the alert fires, the incident is open. It ends by recovery, and the baseline is
//! in force again, or by acceptance: the new level becomes the baseline.
//!
//! A new version of a model starts from the baseline of the version before, and is on *trial* until
//! it is found worse or as good.

mod stage;
mod table;
mod trial;

pub use stage::{Acceptance, Judged, OUTAGE_INTERVALS, SeriesSnapshot};
pub use table::{Table, TableCounts};
pub use trial::{Trial, TrialResult};

#[cfg(test)]
mod tests;
