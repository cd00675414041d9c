//! Traversal of an expression.

use crate::promql::ast::{ExprKind, ExprNode, Select};

/// Called with a node and its ancestors, outermost first.
type Visit<'v, 'a> = dyn FnMut(&'a ExprNode, &[&'a ExprNode]) + 'v;

/// Calls `visit` for every node, with its ancestors, outermost first.
pub(super) fn walk<'a>(root: &'a ExprNode, visit: &mut Visit<'_, 'a>) {
    below(root, &mut Vec::new(), visit);
}

fn below<'a>(node: &'a ExprNode, ancestors: &mut Vec<&'a ExprNode>, visit: &mut Visit<'_, 'a>) {
    visit(node, ancestors);
    ancestors.push(node);
    for child in node.children() {
        below(child, ancestors, visit);
    }
    ancestors.pop();
}

/// The selector of a node, with its range in milliseconds if it has one.
pub(super) fn selected(node: &ExprNode) -> Option<(&Select, Option<i64>)> {
    match &node.kind {
        ExprKind::Select(select) => Some((select, None)),
        ExprKind::Range(select, range) => Some((select, Some(*range))),
        ExprKind::Number(_)
        | ExprKind::Text(_)
        | ExprKind::Subquery(_)
        | ExprKind::Call(..)
        | ExprKind::Aggregate(_)
        | ExprKind::Binary(_)
        | ExprKind::Negate(_)
        | ExprKind::Plus(_)
        | ExprKind::Paren(_) => None,
    }
}

/// The name of the function that a node calls.
pub(super) fn called(node: &ExprNode) -> Option<&'static str> {
    let ExprKind::Call(function, _) = &node.kind else {
        return None;
    };
    Some(function.signature().name)
}
