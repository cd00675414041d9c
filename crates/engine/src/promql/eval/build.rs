//! Builds the operators of a syntax tree.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a node of another type was refused by the parser"
)]

use super::super::ast::{Aggregate, AggregateOp, Binary, ExprKind, ExprNode, Literal, Type};
use super::super::error::{PromqlError, Span};
use super::super::functions::Function;
use super::absent::{Absent, Subject, surely};
use super::aggregate::Aggregation;
use super::count_values::CountValues;
use super::elementwise::Elementwise;
use super::join::Join;
use super::labels::{Edit, LabelEdit};
use super::quantiles::{OfHistogram, Reading};
use super::range_function::RangeFunction;
use super::ranges::Ranges;
use super::scalars::{
    BetweenScalars, Constant, Negate, NegateScalar, Only, Time, ToVector, WithScalar,
};
use super::select::{InstantSelect, Matched};
use super::sets::SetOperation;
use super::sort::{Key, Sort};
use super::subquery::SubqueryRange;
use super::topk::Extremes;
use super::{Param, ScalarOperator, VectorOperator};
use crate::metric::{Labels, anchored};

type BoxedScalar = Box<dyn ScalarOperator>;
type BoxedVector = Box<dyn VectorOperator>;

/// The operator at the root, by the type of the expression.
#[derive(Debug)]
pub(crate) enum Root {
    Scalar(BoxedScalar),
    Vector(BoxedVector),
    Matrix(Ranges),
    Text(String),
}

/// Builds the operators of a tree that the parser has checked.
///
/// # Errors
/// Literal parameters that are invalid, such as label names and regular expressions.
pub(crate) fn build(node: &ExprNode) -> Result<Root, PromqlError> {
    Ok(match node.value_type() {
        Type::Scalar => Root::Scalar(scalar(node)?),
        Type::Vector => Root::Vector(vector(node)?),
        Type::Matrix => Root::Matrix(ranges(node)?),
        Type::Text => Root::Text(text(node)?.value.clone()),
    })
}

/// The error for a tree that the parser has not checked.
fn unexpected(node: &ExprNode, wanted: Type) -> PromqlError {
    PromqlError::wrong_type(node.span, format!("expected a {wanted}"))
}

fn scalar(node: &ExprNode) -> Result<BoxedScalar, PromqlError> {
    let node = node.unwrapped();
    Ok(match &node.kind {
        ExprKind::Number(number) => Box::new(Constant(*number)),
        ExprKind::Negate(inner) => Box::new(NegateScalar(scalar(inner)?)),
        ExprKind::Plus(inner) => scalar(inner)?,
        ExprKind::Call(Function::Time, _) => Box::new(Time),
        ExprKind::Call(Function::Pi, _) => Box::new(Constant(std::f64::consts::PI)),
        ExprKind::Call(Function::Scalar, args) => Box::new(Only(vector(&args[0])?)),
        ExprKind::Binary(binary) => Box::new(BetweenScalars {
            op: binary.op,
            left: scalar(&binary.left)?,
            right: scalar(&binary.right)?,
        }),
        _ => return Err(unexpected(node, Type::Scalar)),
    })
}

fn text(node: &ExprNode) -> Result<&Literal, PromqlError> {
    match &node.unwrapped().kind {
        ExprKind::Text(literal) => Ok(literal),
        _ => Err(unexpected(node, Type::Text)),
    }
}

/// A string parameter that must be a label name.
fn label(node: &ExprNode, what: &str) -> Result<String, PromqlError> {
    let literal = text(node)?;
    match &literal.invalid {
        None if !literal.value.is_empty() => Ok(literal.value.clone()),
        None => Err(PromqlError::evaluation(
            node.span,
            format!("invalid {what} \"\""),
        )),
        Some(quoted) => Err(PromqlError::evaluation(
            node.span,
            format!("invalid {what} {quoted}"),
        )),
    }
}

fn vector(node: &ExprNode) -> Result<BoxedVector, PromqlError> {
    let node = node.unwrapped();
    Ok(match &node.kind {
        ExprKind::Select(select) => {
            Box::new(InstantSelect::new((**select).clone(), node.span, false))
        }
        ExprKind::Negate(inner) => Box::new(Negate::new(vector(inner)?, node.span)),
        ExprKind::Plus(inner) => vector(inner)?,
        ExprKind::Aggregate(aggregate) => aggregation(aggregate)?,
        ExprKind::Binary(binary) => between(binary, node.span)?,
        ExprKind::Call(function, args) => call(*function, args, node.span)?,
        _ => return Err(unexpected(node, Type::Vector)),
    })
}

fn ranges(node: &ExprNode) -> Result<Ranges, PromqlError> {
    let node = node.unwrapped();
    Ok(match &node.kind {
        ExprKind::Range(select, range) => {
            Ranges::Select(Matched::new((**select).clone(), node.span), *range)
        }
        ExprKind::Subquery(subquery) => {
            let inner = vector(&subquery.expr)?;
            Ranges::Subquery(SubqueryRange::new(subquery, inner, node.span))
        }
        _ => return Err(unexpected(node, Type::Matrix)),
    })
}

fn params(nodes: &[ExprNode]) -> Result<Vec<Param>, PromqlError> {
    nodes
        .iter()
        .map(|node| Ok((scalar(node)?, node.span)))
        .collect()
}

fn aggregation(aggregate: &Aggregate) -> Result<BoxedVector, PromqlError> {
    let inner = vector(&aggregate.expr)?;
    let grouping = aggregate.grouping.clone();
    if let (AggregateOp::CountValues, Some(param)) = (aggregate.op, &aggregate.param) {
        let label = label(param, "label name")?;
        return Ok(Box::new(CountValues::new(label, grouping, inner)));
    }
    let mut param = match &aggregate.param {
        Some(param) => Some((scalar(param)?, param.span)),
        None => None,
    };
    if matches!(aggregate.op, AggregateOp::Topk | AggregateOp::Bottomk)
        && let Some(param) = param.take()
    {
        let smallest = aggregate.op == AggregateOp::Bottomk;
        return Ok(Box::new(Extremes::new(smallest, grouping, param, inner)));
    }
    Ok(Box::new(Aggregation::new(
        aggregate.op,
        grouping,
        param,
        inner,
    )))
}

fn between(binary: &Binary, span: Span) -> Result<BoxedVector, PromqlError> {
    let types = (binary.left.value_type(), binary.right.value_type());
    let op = (binary.op, binary.returns_bool);
    match types {
        (Type::Scalar, _) => {
            let (left, right) = (scalar(&binary.left)?, vector(&binary.right)?);
            Ok(Box::new(WithScalar::new(op, right, left, true, span)))
        }
        (_, Type::Scalar) => {
            let (left, right) = (vector(&binary.left)?, scalar(&binary.right)?);
            Ok(Box::new(WithScalar::new(op, left, right, false, span)))
        }
        _ => {
            let (left, right) = (vector(&binary.left)?, vector(&binary.right)?);
            if binary.op.is_set() {
                let matching = binary.matching.clone();
                return Ok(Box::new(SetOperation::new(
                    binary.op, matching, left, right,
                )));
            }
            Ok(Box::new(Join::new(binary, left, right, span)))
        }
    }
}

fn call(function: Function, args: &[ExprNode], span: Span) -> Result<BoxedVector, PromqlError> {
    if let Some(place) = args.iter().position(|arg| arg.value_type() == Type::Matrix) {
        let ranges = ranges(&args[place])?;
        if function == Function::AbsentOverTime {
            let labels = absent_labels(&args[0]);
            return Ok(Box::new(Absent::new(Subject::Ranges(ranges), labels)));
        }
        let params = args
            .iter()
            .filter(|arg| arg.value_type() != Type::Matrix)
            .map(|node| Ok((scalar(node)?, node.span)))
            .collect::<Result<_, PromqlError>>()?;
        return Ok(Box::new(RangeFunction::new(function, ranges, params, span)));
    }
    match function {
        Function::Vector => Ok(Box::new(ToVector::new(scalar(&args[0])?))),
        Function::Absent => {
            let inner = Subject::Vector(vector(&args[0])?);
            Ok(Box::new(Absent::new(inner, absent_labels(&args[0]))))
        }
        Function::HistogramQuantile
        | Function::HistogramQuantiles
        | Function::HistogramFraction => of_histogram(function, args),
        Function::LabelReplace | Function::LabelJoin => {
            let edit = if function == Function::LabelJoin {
                join(args)?
            } else {
                replace(args)?
            };
            Ok(Box::new(LabelEdit::new(edit, vector(&args[0])?, span)))
        }
        Function::Sort | Function::SortDesc | Function::SortByLabel | Function::SortByLabelDesc => {
            sort(function, args)
        }
        Function::Timestamp => {
            if let ExprKind::Select(select) = &args[0].unwrapped().kind {
                let times = Box::new(InstantSelect::new((**select).clone(), args[0].span, true));
                // Adding 0 drops the metric's name.
                let none = Box::new(Constant(0.0));
                let add = (super::super::ast::BinaryOp::Add, false);
                return Ok(Box::new(WithScalar::new(add, times, none, false, span)));
            }
            Ok(Box::new(Elementwise::new(
                function,
                vector(&args[0])?,
                Vec::new(),
                span,
            )))
        }
        _ => {
            let inner = match args.first() {
                Some(arg) => vector(arg)?,
                None => Box::new(ToVector::new(Box::new(Time))),
            };
            let params = args.iter().skip(1).map(scalar).collect::<Result<_, _>>()?;
            Ok(Box::new(Elementwise::new(function, inner, params, span)))
        }
    }
}

fn absent_labels(node: &ExprNode) -> Labels {
    match &node.unwrapped().kind {
        ExprKind::Select(select) | ExprKind::Range(select, _) => surely(&select.selector),
        _ => Labels::empty(),
    }
}

fn of_histogram(function: Function, args: &[ExprNode]) -> Result<BoxedVector, PromqlError> {
    let (reading, scalars, buckets) = match (function, args) {
        (Function::HistogramQuantiles, [buckets, name, quantiles @ ..]) => (
            Reading::Quantiles(label(name, "label name")?),
            quantiles,
            buckets,
        ),
        (Function::HistogramFraction, [scalars @ .., buckets]) => {
            (Reading::Fraction, scalars, buckets)
        }
        (_, [scalars @ .., buckets]) => (Reading::Quantile, scalars, buckets),
        (_, []) => return Err(PromqlError::wrong_type(Span::default(), "no buckets")),
    };
    let inner = vector(buckets)?;
    Ok(Box::new(OfHistogram::new(
        reading,
        params(scalars)?,
        inner,
        buckets.span,
    )))
}

fn sort(function: Function, args: &[ExprNode]) -> Result<BoxedVector, PromqlError> {
    let names = args
        .iter()
        .skip(1)
        .map(|arg| label(arg, "label name"))
        .collect::<Result<Vec<_>, _>>()?;
    let by_value = matches!(function, Function::Sort | Function::SortDesc);
    Ok(Box::new(Sort {
        key: if by_value {
            Key::ExprValue
        } else {
            Key::Labels(names)
        },
        descending: matches!(function, Function::SortDesc | Function::SortByLabelDesc),
        inner: vector(&args[0])?,
    }))
}

fn replace(args: &[ExprNode]) -> Result<Edit, PromqlError> {
    let target = label(&args[1], "destination label name in label_replace()")?;
    let pattern = &text(&args[4])?.value;
    let regex = anchored(pattern).map_err(|_| {
        let message = format!("invalid regular expression in label_replace(): {pattern}");
        PromqlError::evaluation(args[4].span, message)
    })?;
    Ok(Edit::Replace {
        target,
        template: text(&args[2])?.value.clone(),
        source: text(&args[3])?.value.clone(),
        pattern: regex,
    })
}

fn join(args: &[ExprNode]) -> Result<Edit, PromqlError> {
    let target = label(&args[1], "destination label name in label_join()")?;
    Ok(Edit::Join {
        target,
        separator: text(&args[2])?.value.clone(),
        sources: args
            .iter()
            .skip(3)
            .map(|arg| label(arg, "source label name in label_join()"))
            .collect::<Result<_, _>>()?,
    })
}
