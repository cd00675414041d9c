//! The operators of a plan and what they share while one instant is evaluated.
//!
//! Every operator that yields a vector yields a table of label sets, shared and unchanged as long as its input's table
//! is, and one value per row of the table, [`ABSENT`] where the row has none at this instant. Whatever an operator
//! derives from labels it derives once per table.

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
mod scalars;
mod select;
mod sets;
mod sort;
mod subquery;
mod sum;
mod table;
mod topk;

pub use context::{Coverage, Note};

pub(super) use build::{Root, build};
pub(super) use context::{Context, Level};
pub(super) use ranges::{Ranges, Scratch};
pub(super) use table::{Table, Vector};

use std::fmt::Debug;

use super::error::{PromqlError, Span};

/// A scalar parameter and where it stands.
pub(super) type Param = (Box<dyn ScalarOperator>, Span);

/// An operator that yields a scalar; times are milliseconds.
pub(super) trait ScalarOperator: Debug + Send {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<f64, PromqlError>;
}

/// An operator that yields an instant vector; times are milliseconds.
pub(super) trait VectorOperator: Debug + Send {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<Vector, PromqlError>;
}
