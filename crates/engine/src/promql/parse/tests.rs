use super::super::ast::{ExprKind, ExprNode, Type};
use super::super::error::{ErrorKind, PromqlError};
use super::{MAX_DEPTH, MAX_LENGTH, parse};

fn error(text: &str) -> PromqlError {
    let text: std::sync::Arc<str> = text.into();
    match parse(&text) {
        Ok(_) => panic!("{text} was accepted"),
        Err(error) => error.in_expr(&text),
    }
}

/// The tree as text with every operation in brackets.
fn shape(node: &ExprNode) -> String {
    match &node.kind {
        ExprKind::Number(number) => number.to_string(),
        ExprKind::Select(select) => select.selector.to_string(),
        ExprKind::Binary(b) => {
            format!("({} {} {})", shape(&b.left), b.op.symbol(), shape(&b.right))
        }
        ExprKind::Negate(inner) => format!("-{}", shape(inner)),
        ExprKind::Plus(inner) | ExprKind::Paren(inner) => shape(inner),
        ExprKind::Text(_)
        | ExprKind::Range(..)
        | ExprKind::Subquery(_)
        | ExprKind::Call(..)
        | ExprKind::Aggregate(_) => "…".to_owned(),
    }
}

#[test]
fn operators_have_the_precedence_of_prometheus() {
    for (text, wanted) in [
        ("a + b * c", "(a + (b * c))"),
        ("a - b - c", "((a - b) - c)"),
        ("a ^ b ^ c", "(a ^ (b ^ c))"),
        ("-a ^ b", "-(a ^ b)"),
        ("-a * b", "(-a * b)"),
        ("2 ^ -3 * 4", "((2 ^ -3) * 4)"),
        ("a or b and c", "(a or (b and c))"),
        ("a and b unless c", "((a and b) unless c)"),
        ("a > b + c", "(a > (b + c))"),
        ("a % b atan2 c", "((a % b) atan2 c)"),
    ] {
        assert_eq!(shape(&parse(text).unwrap()), wanted, "{text}");
    }
}

#[test]
fn what_prometheus_3_accepts_is_accepted() {
    for text in [
        r#"{"my.metric"}"#,
        r#"{"my.metric", "a.b"="x", c=~"y.*",}"#,
        "sum by (a, b,) (x)",
        "sum(x) without ()",
        "SUM BY (a) (x)",
        "x offset 5m @ 100",
        "x @ start() offset -5m",
        "x[5m] offset 1m",
        "rate(x[300])",
        "rate(x[1.5])",
        "max_over_time(rate(x[5m])[1h:])",
        "max_over_time(rate(x[5m])[1h:1m] @ 100 offset 1m)",
        "a / on (x) group_left (y) b",
        "a / ignoring (x) group_right b",
        "a + fill(0) b",
        "a + on(x) group_left fill_left(-1) fill_right(NaN) b",
        "a > bool 1",
        "1 == bool 2",
        "holt_winters(x[5m], 0.5, 0.5)",
        "sum",
        "on + by",
        "rate(x:y:z[5m])",
        "5m",
        "0x1F + 1e3 + .5 + 5.",
        "'single'",
        r#"label_replace(x, "a", "$1", "b", "(.*)")"#,
        "# a comment\nx # another",
        "-Inf",
        "count_values(\"v\", x)",
        "topk(5, x) by (a)",
        "time() - timestamp(x)",
    ] {
        let parsed = parse(text);
        assert!(parsed.is_ok(), "{text}: {:?}", parsed.err());
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn errors_say_what_is_wrong_and_where_and_how_to_fix_it() {
    for (text, wanted) in [
        ("", r#"expected an expression, found the end (1:1 in "")"#),
        (
            "sum(",
            r#"expected an expression, found the end (1:5 in "sum(")"#,
        ),
        (
            "x +\n\n)",
            "expected an expression, found \")\" (3:1 in \"x +\\n\\n)\")",
        ),
        (
            "rate(x)",
            r#"argument 1 of rate must be a range vector, found an instant vector: add a range such as [5m] (1:6 in "rate(x)")"#,
        ),
        (
            "sum(x[5m])",
            r#"the operand of sum must be an instant vector, found a range vector: wrap it in a function such as rate() (1:5 in "sum(x[5m])")"#,
        ),
        (
            "rat(x[5m])",
            r#"unknown function "rat"; did you mean rate? (1:1 in "rat(x[5m])")"#,
        ),
        (
            "1 > 2",
            r#"a comparison between scalars must use bool: write > bool (1:3 in "1 > 2")"#,
        ),
        (
            "x[5m] + 1",
            r#"operands of + must be scalars or instant vectors, found a range vector (1:1 in "x[5m] + 1")"#,
        ),
        (
            r#"{a=""}"#,
            r#"a selector needs at least one matcher that does not match the empty string (1:1 in "{a=\"\"}")"#,
        ),
        (
            "x[0s]",
            r#"a duration must be greater than 0 (1:3 in "x[0s]")"#,
        ),
        (
            "x[5mm]",
            r#"not a number or duration: "5mm" (1:3 in "x[5mm]")"#,
        ),
        (
            "a and 1",
            r#"and needs an instant vector on both sides (1:3 in "a and 1")"#,
        ),
        (
            "a + on(x) 1",
            r#"on and ignoring are only allowed between instant vectors (1:5 in "a + on(x) 1")"#,
        ),
        (
            "a + bool b",
            r#"bool is only allowed on a comparison (1:5 in "a + bool b")"#,
        ),
        (
            "sum(x) offset 5m",
            r#"offset must follow a selector or a subquery directly (1:8 in "sum(x) offset 5m")"#,
        ),
        (
            "x offset 5m[5m]",
            r#"a range must come before offset and @: write x[5m] offset 1m (1:1 in "x offset 5m[5m]")"#,
        ),
        (
            "\"abc",
            r#"unterminated string: close the quote (1:1 in "\"abc")"#,
        ),
        (
            "x{a=~\"(\"}",
            r#"not a regular expression: "(": missing closing ) (1:6 in "x{a=~\"(\"}")"#,
        ),
        ("x ; y", r#"unexpected character ';' (1:3 in "x ; y")"#),
        (
            "round(x, 1, 2)",
            r#"round takes 1 to 2 arguments, found 3 (1:1 in "round(x, 1, 2)")"#,
        ),
        (
            "a * on(x) group_left(x) b",
            r#"label "x" must not be in on() and in the group (1:11 in "a * on(x) group_left(x) b")"#,
        ),
    ] {
        assert_eq!(error(text).to_string(), wanted);
    }
}

#[test]
fn unsupported_features_are_rejected_by_name() {
    for (text, wanted) in [
        (
            "info(x)",
            "info() (joins with info metrics) is not supported",
        ),
        (
            "limitk(5, x)",
            "limitk (sampling of series) is not supported",
        ),
        (
            "limit_ratio by (a) (0.5, x)",
            "limit_ratio (sampling of series) is not supported",
        ),
        (
            "rate(x[5m] anchored)",
            "the modifier anchored is not supported",
        ),
        ("x smoothed", "the modifier smoothed is not supported"),
        ("rate(x[5m + 1m])", "duration expressions are not supported"),
        ("rate(x[(5m)])", "duration expressions are not supported"),
        ("x offset (5m)", "duration expressions are not supported"),
        ("rate(x[step()])", "duration expressions are not supported"),
        ("x </ 5", "trimming native histograms is not supported"),
    ] {
        let error = error(text);
        assert_eq!(error.kind(), ErrorKind::Refused, "{text}: {error}");
        assert_eq!(error.message(), wanted);
    }
}

#[test]
fn a_selector_has_one_name() {
    for text in [
        r#"x{__name__="y"}"#,
        r#"x{"y"}"#,
        r#"{"x", "y"}"#,
        r#"{"x", __name__="y"}"#,
        r#"{__name__="x", "y"}"#,
    ] {
        assert!(
            error(text).message().starts_with("a second metric name"),
            "{text}"
        );
    }
    assert!(parse(r#"{__name__=~"x.*", __name__!="xy"}"#).is_ok());
}

#[test]
fn keywords_are_metric_names_where_no_keyword_is_allowed() {
    assert_eq!(shape(&parse("sum + offset").unwrap()), "(sum + offset)");
    assert_eq!(parse("rate(on[5m])").unwrap().value_type(), Type::Vector);
}

#[test]
fn nesting_and_length_have_limits() {
    let brackets = |n| "(".repeat(n) + "1" + &")".repeat(n);
    assert!(parse(&brackets(MAX_DEPTH - 1)).is_ok());
    let signs = "-".repeat(10_000) + "x";
    let chain = vec!["x"; 10_000].join("+");
    let calls = "abs(".repeat(10_000) + "x";
    for text in [
        brackets(MAX_DEPTH),
        brackets(20_000),
        signs,
        chain,
        calls,
        "1+".repeat(30_000),
    ] {
        assert_eq!(error(&text).kind(), ErrorKind::Limit);
    }
    assert_eq!(error(&"x".repeat(MAX_LENGTH + 1)).kind(), ErrorKind::Limit);
}
