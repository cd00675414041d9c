//! Traversal of an expression.

use crate::promql::ast::{Kind, Node, Select};

/// Called with a node and its ancestors, outermost first.
type Visit<'v, 'a> = dyn FnMut(&'a Node, &[&'a Node]) + 'v;

/// Calls `visit` for every node, with its ancestors, outermost first.
pub(super) fn walk<'a>(root: &'a Node, visit: &mut Visit<'_, 'a>) {
    below(root, &mut Vec::new(), visit);
}

fn below<'a>(node: &'a Node, ancestors: &mut Vec<&'a Node>, visit: &mut Visit<'_, 'a>) {
    visit(node, ancestors);
    ancestors.push(node);
    for child in node.children() {
        below(child, ancestors, visit);
    }
    ancestors.pop();
}

/// The selector of a node, with its range in milliseconds if it has one.
pub(super) fn selected(node: &Node) -> Option<(&Select, Option<i64>)> {
    match &node.kind {
        Kind::Select(select) => Some((select, None)),
        Kind::Range(select, range) => Some((select, Some(*range))),
        Kind::Number(_)
        | Kind::Text(_)
        | Kind::Subquery(_)
        | Kind::Call(..)
        | Kind::Aggregate(_)
        | Kind::Binary(_)
        | Kind::Negate(_)
        | Kind::Plus(_)
        | Kind::Paren(_) => None,
    }
}

/// The name of the function that a node calls.
pub(super) fn called(node: &Node) -> Option<&'static str> {
    let Kind::Call(function, _) = &node.kind else {
        return None;
    };
    Some(function.signature().name)
}
