//! How long after a start the window may mislead a rule: it does not hold yet what its expression
//! looks back at.

use std::time::Duration;

use super::settings::Settings;
use crate::promql::ast::{Binary, BinaryOp, ExprKind, ExprNode};
use crate::promql::{Expr, Function};
use crate::rules::{Recorded, Rule, RuleSet};

/// Times after a start, and after a change of what the rule reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Filling {
    /// Missing series do not end an alert before: a fifth of each range between the scrapes and the
    /// rule (what [`Coverage`](crate::promql::Coverage) asks for), and two intervals.
    pub(super) settling: Duration,
    /// No alert begins to fire before. Zero unless missing samples can make the condition hold.
    pub(super) holding: Duration,
}

/// Whether the windows that a rule reads are filled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filled {
    /// The windows of its own expression are filled.
    pub(super) own: bool,
    /// The windows of the rules that it reads are filled after a restart.
    pub(super) upstream: bool,
    /// The windows are so full that missing samples no longer make the condition hold.
    pub(super) may_begin: bool,
}

/// The times of every rule, in order.
pub(super) fn fillings(settings: &Settings, rules: &RuleSet) -> Vec<Filling> {
    let mut book = Book {
        records: Vec::new(),
        interval: settings.interval,
        // Expressions that a server evaluates have their whole window at once.
        ours: settings.is_remote.then(|| Recorded::of(rules)),
    };
    rules.rules().map(|rule| book.add(rule)).collect()
}

/// Functions over a range whose value is the smaller, the fewer samples there are.
const GROWING: [Function; 7] = [
    Function::Rate,
    Function::Increase,
    Function::Delta,
    Function::CountOverTime,
    Function::SumOverTime,
    Function::Changes,
    Function::Resets,
];

/// What a record passes on to the rules that read it.
struct Upstream<'a> {
    name: &'a str,
    settling: Duration,
    reach: Duration,
    grows: bool,
}

struct Book<'a> {
    /// The records so far.
    records: Vec<Upstream<'a>>,
    interval: Duration,
    ours: Option<Recorded>,
}

impl<'a> Book<'a> {
    fn add(&mut self, rule: &'a Rule) -> Filling {
        let own = rule.expressions().into_iter();
        let (mut settling, mut reach) = (Duration::ZERO, Duration::ZERO);
        for expr in own {
            let (settles, reaches) = self.times(expr);
            settling = settling.max(settles);
            reach = reach.max(reaches);
        }
        settling += self.interval * 2;
        let is_sensitive = match rule {
            Rule::Record(recording) => {
                let grows = self.grows(recording.expr().root());
                self.records.push(Upstream {
                    name: &recording.name,
                    settling,
                    reach,
                    grows,
                });
                false
            }
            Rule::Alert { expr, .. } => !reach.is_zero() && self.may_hold(expr.root()),
            // A watch gives no verdict while its window fills.
            Rule::Watch(_) => false,
        };
        let holding = if is_sensitive {
            reach + self.interval
        } else {
            Duration::ZERO
        };
        Filling { settling, holding }
    }

    /// How long an expression settles, and how far it reaches back, through the records it reads.
    fn times(&self, expr: &Expr) -> (Duration, Duration) {
        let (mut settling, mut reach) = (Duration::ZERO, Duration::ZERO);
        for selected in expr.selected(Duration::ZERO) {
            let ours = self.ours.as_ref();
            if ours.is_some_and(|ours| !ours.has(&selected.selector)) {
                continue;
            }
            let sources = self.records.iter();
            let sources = sources.filter(|record| selected.selector.may_match_name(record.name));
            let (mut upstream, mut further) = (Duration::ZERO, Duration::ZERO);
            for source in sources {
                upstream = upstream.max(source.settling);
                further = further.max(source.reach);
            }
            settling = settling.max(selected.reach / 5 + upstream);
            reach = reach.max(selected.reach + further);
        }
        (settling, reach)
    }

    /// Whether the condition can hold because samples are missing.
    fn may_hold(&self, node: &ExprNode) -> bool {
        let here = if let ExprKind::Call(function, args) = &node.kind {
            matches!(function, Function::Absent | Function::AbsentOverTime)
                && args.iter().any(|arg| self.looks_back(arg))
        } else if let ExprKind::Binary(binary) = &node.kind {
            self.may_hold_between(binary)
        } else {
            false
        };
        let mut children = node.children().into_iter();
        here || children.any(|child| self.may_hold(child))
    }

    fn may_hold_between(&self, binary: &Binary) -> bool {
        let (left, right) = (&binary.left, &binary.right);
        match binary.op {
            BinaryOp::Lt | BinaryOp::Le => self.grows(left),
            BinaryOp::Gt | BinaryOp::Ge | BinaryOp::Sub => self.grows(right),
            BinaryOp::Eq | BinaryOp::Ne => self.grows(left) || self.grows(right),
            BinaryOp::Unless => self.looks_back(right),
            BinaryOp::Add
            | BinaryOp::Mul
            | BinaryOp::Div
            | BinaryOp::Mod
            | BinaryOp::Pow
            | BinaryOp::Atan2
            | BinaryOp::And
            | BinaryOp::Or => false,
        }
    }

    /// Whether the value is too small while samples are missing.
    fn grows(&self, node: &ExprNode) -> bool {
        if let ExprKind::Call(function, _) = &node.kind
            && GROWING.contains(function)
        {
            return true;
        }
        if let ExprKind::Select(select) = &node.kind {
            let mut records = self.records.iter().filter(|record| record.grows);
            return records.any(|record| select.selector.may_match_name(record.name));
        }
        if let ExprKind::Binary(binary) = &node.kind
            && binary.op == BinaryOp::Div
        {
            // In a quotient of two such values the error cancels.
            return self.grows(&binary.left) != self.grows(&binary.right);
        }
        let mut children = node.children().into_iter();
        children.any(|child| self.grows(child))
    }

    /// Whether the value needs samples from before the evaluation.
    fn looks_back(&self, node: &ExprNode) -> bool {
        if matches!(node.kind, ExprKind::Range(..) | ExprKind::Subquery(_)) {
            return true;
        }
        if let ExprKind::Select(select) = &node.kind {
            let mut records = self.records.iter().filter(|record| !record.reach.is_zero());
            return select.offset > 0
                || records.any(|record| select.selector.may_match_name(record.name));
        }
        let mut children = node.children().into_iter();
        children.any(|child| self.looks_back(child))
    }
}
