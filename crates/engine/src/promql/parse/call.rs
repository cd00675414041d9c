//! Parses function calls and aggregations.

use super::super::aggregates::AGGREGATES;
use super::super::ast::{Aggregate, ExprKind, ExprNode, Grouping, Type};
use super::super::error::{PromqlError, Span};
use super::super::functions::{Function, nearest, refusal};
use super::Parser;

impl Parser<'_> {
    pub(super) fn call(&mut self, name: &str) -> Result<ExprNode, PromqlError> {
        let start = self.advance();
        let Some(function) = Function::named(name) else {
            return Err(unknown(name, start));
        };
        let args = self.arguments()?;
        let span = start.to(self.previous_span());
        let signature = function.signature();
        if args.len() < signature.min || args.len() > signature.max {
            let wanted = match (signature.min, signature.max) {
                (min, max) if min == max => format!("{min}"),
                (min, usize::MAX) => format!("at least {min}"),
                (min, max) => format!("{min} to {max}"),
            };
            let message = format!("{name} takes {wanted} arguments, found {}", args.len());
            return Err(PromqlError::wrong_type(span, message));
        }
        for (index, arg) in args.iter().enumerate() {
            if let Some(wanted) = signature.arg(index) {
                expect_type(arg, wanted, &format!("argument {} of {name}", index + 1))?;
            }
        }
        self.node(ExprKind::Call(function, args), span)
    }

    fn arguments(&mut self) -> Result<Vec<ExprNode>, PromqlError> {
        self.expect("(")?;
        let mut args = Vec::new();
        if self.take_symbol(")") {
            return Ok(args);
        }
        loop {
            args.push(self.expression(0)?);
            if self.take_symbol(",") {
                continue;
            }
            self.expect(")")?;
            return Ok(args);
        }
    }

    pub(super) fn aggregate(&mut self, name: &str) -> Result<ExprNode, PromqlError> {
        let start = self.advance();
        if let Some(why) = refusal(name) {
            return Err(PromqlError::refused(start, &format!("{name} ({why}) is")));
        }
        let Some((_, op)) = AGGREGATES.iter().find(|(known, _)| *known == name) else {
            return Err(unknown(name, start));
        };
        let mut grouping = self.grouping()?;
        let mut args = self.arguments()?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        let span = start.to(self.previous_span());
        let wanted = 1 + usize::from(op.param().is_some());
        if args.len() != wanted {
            let message = format!("{name} takes {wanted} arguments, found {}", args.len());
            return Err(PromqlError::wrong_type(span, message));
        }
        let Some(expr) = args.pop() else {
            return Err(self.unexpected("an argument"));
        };
        let param = args.pop();
        expect_type(&expr, Type::Vector, &format!("the operand of {name}"))?;
        if let (Some(param), Some(wanted)) = (&param, op.param()) {
            expect_type(param, wanted, &format!("the parameter of {name}"))?;
        }
        let grouping = grouping.unwrap_or(Grouping {
            without: false,
            labels: Vec::new(),
        });
        let aggregate = Aggregate {
            op: *op,
            grouping,
            param,
            expr,
        };
        self.node(ExprKind::Aggregate(Box::new(aggregate)), span)
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, PromqlError> {
        let without = self.is_keyword("without");
        if !without && !self.is_keyword("by") {
            return Ok(None);
        }
        self.advance();
        let mut labels = self.label_names()?;
        labels.sort_unstable();
        labels.dedup();
        Ok(Some(Grouping { without, labels }))
    }
}

fn unknown(name: &str, span: Span) -> PromqlError {
    if let Some(why) = refusal(name) {
        return PromqlError::refused(span, &format!("{name}() ({why}) is"));
    }
    let hint = nearest(name).map_or(String::new(), |near| format!("; did you mean {near}?"));
    PromqlError::wrong_type(span, format!("unknown function {name:?}{hint}"))
}

pub(super) fn expect_type(node: &ExprNode, wanted: Type, what: &str) -> Result<(), PromqlError> {
    let found = node.value_type();
    if found == wanted {
        return Ok(());
    }
    let remedy = match (wanted, found) {
        (Type::Matrix, Type::Vector) => ": add a range such as [5m]",
        (Type::Vector, Type::Matrix) => ": wrap it in a function such as rate()",
        (Type::Vector, Type::Scalar) => ": wrap it in vector()",
        (Type::Scalar, Type::Vector) => ": wrap it in scalar()",
        _ => "",
    };
    let message = format!(
        "{what} must be a{} {wanted}, found a{} {found}{remedy}",
        n(wanted),
        n(found)
    );
    Err(PromqlError::wrong_type(node.span, message))
}

/// Completes the article "a" before the name of a type.
fn n(of: Type) -> &'static str {
    if of == Type::Vector { "n" } else { "" }
}
