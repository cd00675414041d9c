//! Readers of fields that occur in several places of a test file.

use std::time::Duration;

use crate::describe::{Fields, Node, Value};
use crate::metric::Labels;
use crate::promql::notation::parse_metric;

/// A duration; 0 counts as absent, as in promtool.
pub(super) fn duration(fields: &mut Fields<'_>, key: &'static str) -> Option<Duration> {
    fields.duration(key).filter(|duration| !duration.is_zero())
}

/// The items of a list that can be read. The reader reports the problems of the others.
pub(super) fn list_of<T>(
    fields: &mut Fields<'_>,
    key: &'static str,
    read: impl Fn(&Node<'_>) -> Option<T>,
) -> Vec<T> {
    fields.list(key).iter().filter_map(read).collect()
}

/// A series in PromQL syntax.
pub(super) fn metric(node: &Node<'_>) -> Option<Labels> {
    parse_metric(&node.text()?)
        .map_err(|error| node.problem(error))
        .ok()
}

/// A map of names to texts.
pub(super) fn text_map(fields: &mut Fields<'_>, key: &'static str) -> Vec<(String, String)> {
    let node = fields.get(key);
    node.and_then(|node| node.text_map()).unwrap_or_default()
}

/// Labels; those with an empty value are left out.
pub(super) fn labels(fields: &mut Fields<'_>, key: &'static str) -> Labels {
    Labels::new(text_map(fields, key))
}

/// A number. `NaN` and `+Inf` may also be written as in Prometheus.
pub(super) fn number(node: &Node<'_>) -> Option<f64> {
    let parsed = match node.value() {
        Value::Number(value, _) => Some(*value),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(..) | Value::List(_) | Value::Map(_) => None,
    };
    if parsed.is_none() {
        node.problem(format!("must be a number, got {}", node.value().describe()));
    }
    parsed
}
