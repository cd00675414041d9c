//! PromQL: text → tree with places → plan → value at one instant.
//!
//! [`Expr::parse`] reads and checks an expression once. A [`Query`] evaluates it at an instant over a
//! [`SeriesSource`], with Prometheus 3 semantics for floats; what it knows about the series (which ones match, how
//! they group, how they join) it keeps until the source's epoch changes, so that an evaluation in the steady state
//! hashes no label and allocates nothing per series.
//!
//! Native histograms, `info()`, `anchored` and `smoothed`, duration expressions, `limitk` and `limit_ratio` are refused
//! by name.

mod aggregates;
pub mod ast;
mod error;
mod eval;
mod expr;
mod format;
mod functions;
mod narrow;
pub mod notation;
mod options;
mod parse;
mod query;
mod source;
mod token;
mod types;

pub use error::{ErrorKind, Position, PromqlError, Span};
pub use eval::{Coverage, Note};
pub use expr::{Expr, Selected};
pub use format::{format_general, format_value};
pub use functions::{Function, Signature};
pub use options::Options;
pub use parse::{MAX_DEPTH, MAX_LENGTH};
pub use query::{Evaluation, InstantSample, Query, SeriesPoints, Value};
pub use source::{Batch, Samples, SeriesSource};
