//! PromQL: text → tree with places → plan → value at one instant.
//!
//! [`Expr::parse`] reads and checks an expression once. A [`Query`] evaluates it at an instant over a
//! [`SeriesSource`], with Prometheus 3 semantics for floats; what it knows about the series (which ones match, how
//! they group, how they join) it keeps until the source's epoch changes, so that an evaluation in the steady state
//! hashes no label and allocates nothing per series.
//!
//! Native histograms, `info()`, `anchored` and `smoothed`, duration expressions, `limitk` and `limit_ratio` are refused
//! by name.

pub mod ast;
mod error;
mod eval;
mod expr;

mod functions;
mod narrow;
pub mod notation;
mod parse;
mod query;
mod source;
mod token;

pub use error::{Error, ErrorKind, Position, Span};
pub use eval::{Coverage, Note};
pub use expr::{Expr, Selected};

pub use functions::{Function, Signature};
pub use parse::{MAX_DEPTH, MAX_LENGTH};
pub use query::{Evaluation, InstantSample, Options, Points, Query, Value};
pub use source::{Batch, Samples, SeriesSource};

pub use crate::metric::format_value;
