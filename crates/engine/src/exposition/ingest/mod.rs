//! From an exposition to samples in a window, remembering what the last scrape looked like.
//!
//! A sidecar scrapes the same series in the same order again and again. The memo keeps the series bytes of the last
//! good scrape and what was decided about each. A line equal to the one expected costs a comparison and a number, a
//! line that moved costs a hash, and only a series never seen is tokenised into labels.

mod attach;
mod decide;
mod ingested;
mod ingester;
mod memo;
mod pass;
mod seen;
mod strings;

pub use ingested::Ingested;
pub use ingester::Ingester;
