//! Scalars, and operators between a vector and a scalar.

use std::sync::Arc;

use super::super::ast::BinaryOp;
use super::super::error::{PromqlError, Span};
use super::arithmetic::combine;
use super::table::NameDrop;
use super::{Context, ScalarOperator, Table, Vector, VectorOperator};
use crate::metric::{Labels, Timestamp};
use crate::series::{ABSENT, is_absent};

/// A number.
#[derive(Debug)]
pub(super) struct Constant(pub(super) f64);

impl ScalarOperator for Constant {
    fn eval(&mut self, _cx: &mut Context<'_>, _at: i64) -> Result<f64, PromqlError> {
        Ok(self.0)
    }
}

/// `time()`
#[derive(Debug)]
pub(super) struct Time;

impl ScalarOperator for Time {
    fn eval(&mut self, _cx: &mut Context<'_>, at: i64) -> Result<f64, PromqlError> {
        Ok(Timestamp::from_millis(at).as_secs_f64())
    }
}

/// `scalar(v)`: the value of the only element, or NaN.
#[derive(Debug)]
pub(super) struct Only(pub(super) Box<dyn VectorOperator>);

impl ScalarOperator for Only {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<f64, PromqlError> {
        let vector = self.0.eval(cx, at)?;
        let mut present = vector.present();
        let only = match (present.next(), present.next()) {
            (Some((_, value)), None) => value,
            _ => f64::NAN,
        };
        drop(present);
        cx.give(vector.values);
        Ok(only)
    }
}

/// `-s`
#[derive(Debug)]
pub(super) struct NegateScalar(pub(super) Box<dyn ScalarOperator>);

impl ScalarOperator for NegateScalar {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<f64, PromqlError> {
        self.0.eval(cx, at).map(|value| -value)
    }
}

/// An operator between two scalars.
#[derive(Debug)]
pub(super) struct BetweenScalars {
    pub(super) op: BinaryOp,
    pub(super) left: Box<dyn ScalarOperator>,
    pub(super) right: Box<dyn ScalarOperator>,
}

impl ScalarOperator for BetweenScalars {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<f64, PromqlError> {
        let left = self.left.eval(cx, at)?;
        let right = self.right.eval(cx, at)?;
        // Comparisons between scalars always have the modifier bool.
        Ok(combine(self.op, true, left, right, left).unwrap_or(0.0))
    }
}

/// `vector(s)`
#[derive(Debug)]
pub(super) struct ToVector {
    scalar: Box<dyn ScalarOperator>,
    table: Arc<Table>,
}

impl ToVector {
    pub(super) fn new(scalar: Box<dyn ScalarOperator>) -> Self {
        let table = Arc::new(Table::new(vec![Labels::empty()]));
        Self { scalar, table }
    }
}

impl VectorOperator for ToVector {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<Vector, PromqlError> {
        let value = self.scalar.eval(cx, at)?;
        Ok(Vector::single(cx, &self.table, value))
    }
}

/// `-v`
#[derive(Debug)]
pub(super) struct Negate {
    inner: Box<dyn VectorOperator>,
    names: NameDrop,
    span: Span,
}

impl Negate {
    pub(super) fn new(inner: Box<dyn VectorOperator>, span: Span) -> Self {
        let names = NameDrop::default();
        Self { inner, names, span }
    }
}

impl VectorOperator for Negate {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<Vector, PromqlError> {
        let mut vector = self.inner.eval(cx, at)?;
        vector.map(|value| -value);
        self.names.apply(cx, &mut vector, self.span)?;
        Ok(vector)
    }
}

/// An operator between a vector and a scalar.
#[derive(Debug)]
pub(super) struct WithScalar {
    op: BinaryOp,
    returns_bool: bool,
    vector: Box<dyn VectorOperator>,
    scalar: Box<dyn ScalarOperator>,
    scalar_first: bool,
    names: NameDrop,
    span: Span,
}

impl WithScalar {
    pub(super) fn new(
        (op, returns_bool): (BinaryOp, bool),
        vector: Box<dyn VectorOperator>,
        scalar: Box<dyn ScalarOperator>,
        scalar_first: bool,
        span: Span,
    ) -> Self {
        Self {
            op,
            returns_bool,
            vector,
            scalar,
            scalar_first,
            names: NameDrop::default(),
            span,
        }
    }
}

impl VectorOperator for WithScalar {
    fn eval(&mut self, cx: &mut Context<'_>, at: i64) -> Result<Vector, PromqlError> {
        let mut vector = self.vector.eval(cx, at)?;
        let scalar = self.scalar.eval(cx, at)?;
        for value in &mut vector.values {
            if is_absent(*value) {
                continue;
            }
            let (left, right) = if self.scalar_first {
                (scalar, *value)
            } else {
                (*value, scalar)
            };
            *value = combine(self.op, self.returns_bool, left, right, *value).unwrap_or(ABSENT);
        }
        if self.returns_bool || !self.op.is_comparison() {
            self.names.apply(cx, &mut vector, self.span)?;
        }
        Ok(vector)
    }
}
