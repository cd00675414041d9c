//! Reads exposition text as Prometheus 3 reads it, a line at a time and without allocating.
//!
//! [`Parser`] reads a body: [`Parser::next_sample`] reads the next sample. It accepts and rejects
//! what Prometheus accepts and rejects, except:
//! - a NUL byte between tokens is an error, where Prometheus silently ends the scrape;
//! - blanks before a metric name are skipped, where Prometheus makes them part of the name;
//! - an exemplar on a sample whose name ends in neither `_total` nor `_bucket` is an error, as in
//!   OpenMetrics and Prometheus 2;
//! - the type of a family does not apply to the untyped family after it.

mod cursor;
mod error;
mod family;
mod openmetrics;
mod parser;
mod series;
mod swar;
mod text;
mod value;

pub use error::SyntaxError;
pub use family::{Family, FamilyType};
pub use parser::Parser;
pub use series::{ByteSpan, Series, Suffix};
pub use value::parse_value;

pub(super) use value::{canonical_bound, quick_value};
