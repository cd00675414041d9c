//! Binary operators on two numbers.

use super::super::ast::BinaryOp;

/// The result of an arithmetic operator.
pub(super) fn compute(op: BinaryOp, left: f64, right: f64) -> f64 {
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        // The sign is the dividend's, as in Go's math.Mod.
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        BinaryOp::Atan2 => left.atan2(right),
        BinaryOp::Eq
        | BinaryOp::Ne
        | BinaryOp::Gt
        | BinaryOp::Lt
        | BinaryOp::Ge
        | BinaryOp::Le
        | BinaryOp::And
        | BinaryOp::Or
        | BinaryOp::Unless => f64::NAN,
    }
}

/// The result of a comparison; NaN is unequal to everything.
#[expect(clippy::float_cmp, reason = "the comparison the user wrote")]
pub(super) fn holds(op: BinaryOp, left: f64, right: f64) -> bool {
    match op {
        BinaryOp::Eq => left == right,
        BinaryOp::Ne => left != right,
        BinaryOp::Gt => left > right,
        BinaryOp::Lt => left < right,
        BinaryOp::Ge => left >= right,
        BinaryOp::Le => left <= right,
        BinaryOp::Add
        | BinaryOp::Sub
        | BinaryOp::Mul
        | BinaryOp::Div
        | BinaryOp::Mod
        | BinaryOp::Pow
        | BinaryOp::Atan2
        | BinaryOp::And
        | BinaryOp::Or
        | BinaryOp::Unless => false,
    }
}

/// The result of an operator, other than a set operator, on two elements; `None` if a comparison
/// filters the element out.
///
/// `kept` is the result of a comparison that holds.
pub(super) fn combine(
    op: BinaryOp,
    returns_bool: bool,
    left: f64,
    right: f64,
    kept: f64,
) -> Option<f64> {
    if !op.is_comparison() {
        return Some(compute(op, left, right));
    }
    match (holds(op, left, right), returns_bool) {
        (holds, true) => Some(f64::from(u8::from(holds))),
        (true, false) => Some(kept),
        (false, false) => None,
    }
}
