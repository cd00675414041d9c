//! The operators of a plan and the context they share.
//!
//! A vector is a table of label sets with one value per row, [`ABSENT`](crate::series::ABSENT)
//! where a row has no value at this instant. The table is shared and stays the same as long as the
//! tables of the operator's inputs do, and an operator caches what it derives from the labels of a
//! table.

mod absent;
mod aggregate;
mod arithmetic;
mod build;
mod context;
mod count_values;
mod dates;
mod elementwise;
mod histogram;
mod join;
mod labels;
mod over_time;
mod quantiles;
mod range_function;
mod ranges;
mod rate;
mod sampler;
mod scalars;
mod select;
mod sets;
mod signatures;
mod sort;
mod subquery;
mod sum;
mod table;
mod topk;

pub use context::{Coverage, Note};
pub use sampler::Counts;

pub(super) use build::{Root, build};
pub(super) use context::{Context, Level};
pub(super) use ranges::{Ranges, Scratch};
pub(super) use sampler::Sampler;
pub(super) use table::{Table, Vector};

use std::fmt::Debug;

use super::error::{PromqlError, Span};

/// A scalar parameter and its place in the expression.
pub(super) type Param = (Box<dyn ScalarOperator>, Span);

/// An operator that returns a scalar; times are in milliseconds.
pub(super) trait ScalarOperator: Debug + Send {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<f64, PromqlError>;
}

/// An operator that returns an instant vector; times are in milliseconds.
pub(super) trait VectorOperator: Debug + Send {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<Vector, PromqlError>;
}
