//! Reads exposition text as Prometheus 3 reads it, a line at a time and without allocating.
//!
//! [`Parser`] walks over a body: [`Parser::seek_sample`] stops at the next sample's line, [`Parser::series`] tokenises
//! its name and labels, [`Parser::suffix`] reads its value and timestamp. What Prometheus accepts is accepted and what
//! it rejects is rejected, except:
//! - a NUL byte between tokens is an error, where Prometheus silently ends the scrape;
//! - blanks before a metric name are skipped, where Prometheus makes them part of the name;
//! - an exemplar on a sample whose name ends in neither `_total` nor `_bucket` is an error, as OpenMetrics and
//!   Prometheus 2 have it;
//! - the type of a family does not leak to the untyped family after it.

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
pub use value::{canonical_bound, parse_value};

pub(super) use value::quick_value;
