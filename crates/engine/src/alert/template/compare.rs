//! `eq ne lt le gt ge` with Go's strictness about kinds.

use std::cmp::Ordering;

use super::value::Value;

const INCOMPATIBLE: &str = "incompatible types for comparison";

/// `eq a b c…`: whether `a` equals any of the others.
pub(super) fn equal(arguments: &[Value]) -> Result<bool, String> {
    let [first, others @ ..] = arguments else {
        return Err("missing argument for comparison".to_owned());
    };
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if same(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[expect(clippy::float_cmp, reason = "Go's == on float64")]
fn same(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(a), Value::Int(b)) => Ok(a == b),
        (Value::Float(a), Value::Float(b)) | (Value::Duration(a), Value::Duration(b)) => Ok(a == b),
        (Value::Text(a), Value::Text(b)) => Ok(a == b),
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        _ => Err(INCOMPATIBLE.to_owned()),
    }
}

/// The order of two values; `None` when one is NaN.
pub(super) fn order(arguments: &[Value]) -> Result<Option<Ordering>, String> {
    let [a, b] = arguments else {
        return Err("a comparison needs two arguments".to_owned());
    };
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(b))),
        (Value::Float(a), Value::Float(b)) | (Value::Duration(a), Value::Duration(b)) => {
            Ok(a.partial_cmp(b))
        }
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        (Value::Float(_), Value::Int(_)) | (Value::Int(_), Value::Float(_)) => Err(format!(
            "{INCOMPATIBLE}: write the number with a decimal point"
        )),
        _ => Err(INCOMPATIBLE.to_owned()),
    }
}
