//! Label matchers, as Alertmanager writes them.

use serde_json::json;

use super::key::{Kind, Limits, Scalar};
use super::read::Node;
use super::shape::Shape;
use crate::metric::{MatchOp, Matcher};

static MATCHER: Scalar = Scalar {
    name: "matcher",
    doc: "A label matcher in Alertmanager's form: a name, one of `=`, `!=`, `=~` and `!~`, and a value, such as `severity=\"page\"`.",
    schema: || json!({"type": "string"}),
    show: |number| number.to_string(),
};

impl Shape for Matcher {
    type Value = Self;

    fn kind() -> Kind {
        Kind::Scalar(&MATCHER)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Self> {
        matcher(node, &node.text()?)
    }
}

/// A matcher with `${VAR}`.
#[derive(Debug)]
pub struct EnvMatcher;

impl Shape for EnvMatcher {
    type Value = Matcher;

    fn kind() -> Kind {
        Kind::Scalar(&MATCHER)
    }

    fn read(node: &Node<'_>, _limits: &Limits) -> Option<Matcher> {
        // Variables are replaced first: they may hold a regular expression.
        matcher(node, &node.expand(&node.text()?))
    }
}

fn matcher(node: &Node<'_>, text: &str) -> Option<Matcher> {
    let parsed = parse_matcher(text);
    if let Err(message) = &parsed {
        if node.is_repeatable() {
            node.problem(message.as_str());
        } else {
            let got = node.got();
            node.problem(format!(
                "must be a matcher such as severity=\"page\", got {got}"
            ));
        }
    }
    parsed.ok()
}

/// A matcher such as `severity="page"`.
fn parse_matcher(text: &str) -> Result<Matcher, String> {
    let shape = || format!("must be a matcher such as severity=\"page\", got {text:?}");
    let name_end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .ok_or_else(shape)?;
    let (name, rest) = text.split_at(name_end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(shape());
    }
    let ops = [
        ("=~", MatchOp::Regex),
        ("!~", MatchOp::NotRegex),
        ("!=", MatchOp::NotEqual),
        ("=", MatchOp::Equal),
    ];
    let rest = rest.trim_start();
    let (op, value) = ops
        .into_iter()
        .find_map(|(word, op)| Some((op, rest.strip_prefix(word)?)))
        .ok_or_else(shape)?;
    let value = value.trim();
    let value = if value.starts_with('"') {
        serde_json::from_str(value).map_err(|_| shape())?
    } else {
        value.to_owned()
    };
    Matcher::try_new(name, op, &value)
        .map_err(|why| format!("{value:?} is not a regular expression: {why}"))
}

#[cfg(test)]
mod tests {
    use super::parse_matcher;

    #[test]
    fn matchers_are_alertmanagers() {
        for (text, yes, no) in [
            ("a=b", "b", "c"),
            ("a != \"x y\"", "z", "x y"),
            ("a=~\"b|c\"", "c", "bc"),
            ("a!~b.*", "c", "bc"),
        ] {
            let matcher = parse_matcher(text).unwrap();
            assert!(matcher.matches(yes) && !matcher.matches(no), "{text}");
        }
        for wrong in ["", "a", "=b", "1a=b", "a=~(", "a=\"b"] {
            assert!(parse_matcher(wrong).is_err(), "{wrong}");
        }
    }
}
