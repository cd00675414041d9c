//! PromQL: text → tree with spans → plan → value at one instant.
//!
//! [`Expr::parse`] parses and checks an expression once. A [`Query`] evaluates it at an instant
//! over a [`SeriesSource`], with the semantics of Prometheus 3 for floats. It caches what it
//! derives from the labels of the series (which ones match, how they group, how they join) until
//! the source's epoch changes, so that usually an evaluation hashes no labels and allocates nothing
//! per series.
//!
//! Native histograms, `info()`, `anchored` and `smoothed`, duration expressions, `limitk` and
//! `limit_ratio` are not supported; the error names the feature.

mod aggregates;
pub mod ast;
mod error;
mod eval;
mod expr;

mod functions;
mod narrow;
pub mod notation;
mod options;
mod parse;
mod query;
mod sampling;
mod source;
mod token;
mod types;
mod value;

pub use error::{ErrorKind, Position, PromqlError, Span};
pub use eval::{Counts, Coverage, Note};
pub use expr::{Expr, Selected};

pub use functions::{Function, Signature};
pub use options::Options;
pub use query::Query;
pub use source::{Batch, Samples, SeriesSource};
pub use value::{Evaluation, ExprValue, InstantSample, SeriesPoints};

pub use crate::metric::format_value;
