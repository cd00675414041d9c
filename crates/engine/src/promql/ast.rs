//! The syntax tree of an expression. Every node has the span of its text.

pub use super::aggregates::AggregateOp;
use super::error::Span;
use super::functions::Function;
pub use super::types::Type;
use crate::metric::Selector;

/// A node of the tree.
#[derive(Debug, Clone)]
pub struct ExprNode {
    /// The kind of node.
    pub kind: ExprKind,
    /// Its place in the text.
    pub span: Span,
    /// The height of the tree from here, 1 for a leaf.
    pub(super) height: usize,
}

/// The kind of a node, with its operands.
#[derive(Debug, Clone)]
pub enum ExprKind {
    /// A number.
    Number(f64),
    /// A string.
    Text(Literal),
    /// An instant vector selector.
    Select(Box<Select>),
    /// A range vector selector, with the range in milliseconds.
    Range(Box<Select>, i64),
    /// An expression evaluated at several times.
    Subquery(Box<Subquery>),
    /// A function call.
    Call(Function, Vec<ExprNode>),
    /// An aggregation.
    Aggregate(Box<Aggregate>),
    /// A binary operation.
    Binary(Box<Binary>),
    /// A `-` before an expression.
    Negate(Box<ExprNode>),
    /// A `+` before an expression; it changes nothing.
    Plus(Box<ExprNode>),
    /// Parentheses.
    Paren(Box<ExprNode>),
}

/// A string literal, which may have escapes for bytes that are not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// The string; invalid bytes are replaced.
    pub value: String,
    /// The string as Go's `%q` formats it, if it is not UTF-8.
    pub invalid: Option<String>,
}

/// A selector with its modifiers; times in milliseconds.
#[derive(Debug, Clone)]
pub struct Select {
    /// The matchers.
    pub selector: Selector,
    /// How far before the evaluation time it selects samples.
    pub offset: i64,
    /// The fixed time of an `@` modifier.
    pub at: Option<At>,
}

/// The time of an `@` modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// A time in milliseconds.
    Time(i64),
    /// The start of the range query, or the evaluation time.
    Start,
    /// The end of the range query, or the evaluation time.
    End,
}

/// A subquery; times in milliseconds.
#[derive(Debug, Clone)]
pub struct Subquery {
    /// The expression that is evaluated at every step.
    pub expr: ExprNode,
    /// The length of the range.
    pub range: i64,
    /// The step; `None` is the default step.
    pub step: Option<i64>,
    /// How far before the evaluation time the range ends.
    pub offset: i64,
    /// The fixed time of an `@` modifier, at which the range ends.
    pub at: Option<At>,
}

/// The labels by which an aggregation groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    /// `without` these instead of `by` these.
    pub without: bool,
    /// The labels, sorted.
    pub labels: Vec<String>,
}

/// An aggregation.
#[derive(Debug, Clone)]
pub struct Aggregate {
    /// The operator.
    pub op: AggregateOp,
    /// `by` or `without`; `by ()` if the expression has neither.
    pub grouping: Grouping,
    /// The first argument of `topk`, `bottomk`, `quantile` and `count_values`.
    pub param: Option<ExprNode>,
    /// The vector that is aggregated.
    pub expr: ExprNode,
}

/// A binary operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are PromQL's")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    And,
    Or,
    Unless,
}

/// The operators as written, with their precedence.
pub(super) const OPERATORS: [(&str, BinaryOp, u8); 16] = [
    ("or", BinaryOp::Or, 1),
    ("and", BinaryOp::And, 2),
    ("unless", BinaryOp::Unless, 2),
    ("==", BinaryOp::Eq, 3),
    ("!=", BinaryOp::Ne, 3),
    (">=", BinaryOp::Ge, 3),
    ("<=", BinaryOp::Le, 3),
    (">", BinaryOp::Gt, 3),
    ("<", BinaryOp::Lt, 3),
    ("+", BinaryOp::Add, 4),
    ("-", BinaryOp::Sub, 4),
    ("*", BinaryOp::Mul, 5),
    ("/", BinaryOp::Div, 5),
    ("%", BinaryOp::Mod, 5),
    ("atan2", BinaryOp::Atan2, 5),
    ("^", BinaryOp::Pow, 6),
];

impl BinaryOp {
    /// The operator as written in PromQL.
    pub(crate) fn symbol(self) -> &'static str {
        OPERATORS
            .iter()
            .find(|(_, op, _)| *op == self)
            .map_or("", |(symbol, ..)| symbol)
    }

    /// Whether it is a comparison.
    #[must_use]
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Eq | Self::Ne | Self::Gt | Self::Lt | Self::Ge | Self::Le
        )
    }

    /// Whether it is a set operator.
    #[must_use]
    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

/// The side of a binary operation that may have several elements per match group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Many {
    /// `group_left`
    Left,
    /// `group_right`
    Right,
}

/// How the elements of two vectors are matched.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matching {
    /// `on` these labels instead of `ignoring` these.
    pub on: bool,
    /// The labels, sorted.
    pub labels: Vec<String>,
    /// `group_left` or `group_right`.
    pub many: Option<Many>,
    /// The labels copied from the "one" side, as written.
    pub include: Vec<String>,
    /// The value of missing elements on the left.
    pub fill_left: Option<f64>,
    /// The value of missing elements on the right.
    pub fill_right: Option<f64>,
}

/// A binary operation.
#[derive(Debug, Clone)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Whether a comparison has the modifier `bool` and returns 0 or 1.
    pub returns_bool: bool,
    /// How vectors are matched.
    pub matching: Matching,
    /// The left operand.
    pub left: ExprNode,
    /// The right operand.
    pub right: ExprNode,
}

impl ExprNode {
    /// The type of its value.
    #[must_use]
    pub fn value_type(&self) -> Type {
        match &self.kind {
            ExprKind::Number(_) => Type::Scalar,
            ExprKind::Text(_) => Type::Text,
            ExprKind::Select(_) | ExprKind::Aggregate(_) => Type::Vector,
            ExprKind::Range(..) | ExprKind::Subquery(_) => Type::Matrix,
            ExprKind::Call(function, _) => function.signature().returns,
            ExprKind::Binary(binary) => {
                let scalars = [&binary.left, &binary.right].map(|n| n.value_type() == Type::Scalar);
                if scalars == [true, true] {
                    Type::Scalar
                } else {
                    Type::Vector
                }
            }
            ExprKind::Negate(inner) | ExprKind::Plus(inner) | ExprKind::Paren(inner) => {
                inner.value_type()
            }
        }
    }

    /// The node inside any parentheses.
    #[must_use]
    pub fn unwrapped(&self) -> &Self {
        let mut node = self;
        while let ExprKind::Paren(inner) = &node.kind {
            node = inner;
        }
        node
    }

    /// The nodes directly below.
    #[must_use]
    pub fn children(&self) -> Vec<&Self> {
        match &self.kind {
            ExprKind::Number(_) | ExprKind::Text(_) | ExprKind::Select(_) | ExprKind::Range(..) => {
                Vec::new()
            }
            ExprKind::Subquery(subquery) => vec![&subquery.expr],
            ExprKind::Call(_, args) => args.iter().collect(),
            ExprKind::Aggregate(aggregate) => {
                aggregate.param.iter().chain([&aggregate.expr]).collect()
            }
            ExprKind::Binary(binary) => vec![&binary.left, &binary.right],
            ExprKind::Negate(inner) | ExprKind::Plus(inner) | ExprKind::Paren(inner) => vec![inner],
        }
    }
}
