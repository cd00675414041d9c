//! Turns expositions into samples in a window, with a memo of the last scrape.
//!
//! A target exposes nearly the same series in the same order at every scrape. The memo holds the
//! series bytes of the last successful scrape and the decision about each. An expected line costs a
//! comparison and the parsing of its value, a line that moved costs a hash lookup, and only a new
//! series is tokenized into labels.

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
