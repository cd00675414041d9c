//! Adds matchers to the selectors of an expression, for evaluation by another server.

use super::ast::{ExprKind, ExprNode};
use super::expr::Expr;
use crate::metric::{Matcher, Selector};

impl Expr {
    /// The text of the expression with these matchers added to every selector that `wanted`
    /// accepts.
    #[must_use]
    pub fn narrowed(&self, matchers: &[Matcher], wanted: &dyn Fn(&Selector) -> bool) -> String {
        let mut text = self.text().to_owned();
        if matchers.is_empty() {
            return text;
        }
        let added = matchers
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<String>>()
            .join(",");
        let mut starts = Vec::new();
        collect(self.root(), wanted, &mut starts);
        starts.sort_unstable();
        // From the end, so that earlier places stay valid.
        for start in starts.into_iter().rev() {
            let (at, braces) = place(&text, start);
            let inserted = match braces {
                Braces::Missing => format!("{{{added}}}"),
                Braces::Empty => added.clone(),
                Braces::Filled => format!(",{added}"),
            };
            text.insert_str(at, &inserted);
        }
        text
    }
}

fn collect(node: &ExprNode, wanted: &dyn Fn(&Selector) -> bool, starts: &mut Vec<usize>) {
    if let ExprKind::Select(select) | ExprKind::Range(select, _) = &node.kind
        && wanted(&select.selector)
    {
        starts.push(node.span.start);
    }
    for child in node.children() {
        collect(child, wanted, starts);
    }
}

enum Braces {
    Missing,
    Empty,
    Filled,
}

/// Where to insert matchers into the selector that starts here.
fn place(text: &str, start: usize) -> (usize, Braces) {
    let bytes = text.as_bytes();
    let at = |index: usize| bytes.get(index).copied();
    let mut name_end = start;
    while at(name_end).is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':') {
        name_end += 1;
    }
    let mut index = skip_blanks(bytes, name_end);
    if at(index) != Some(b'{') {
        return (name_end, Braces::Missing);
    }
    index += 1;
    let mut braces = Braces::Empty;
    let mut end = index;
    loop {
        index = skip_blanks(bytes, index);
        match at(index) {
            None | Some(b'}') => return (end, braces),
            Some(quote @ (b'"' | b'\'' | b'`')) => {
                index = after_string(bytes, index + 1, quote);
                braces = Braces::Filled;
            }
            Some(b',') => {
                index += 1;
                // There may be a comma after the last matcher.
                braces = Braces::Empty;
            }
            Some(_) => {
                index += 1;
                braces = Braces::Filled;
            }
        }
        end = index;
    }
}

fn skip_blanks(bytes: &[u8], mut index: usize) -> usize {
    while let Some(byte) = bytes.get(index) {
        match byte {
            b'#' => {
                while bytes.get(index).is_some_and(|byte| *byte != b'\n') {
                    index += 1;
                }
            }
            byte if byte.is_ascii_whitespace() => index += 1,
            _ => break,
        }
    }
    index
}

fn after_string(bytes: &[u8], mut index: usize, quote: u8) -> usize {
    while let Some(byte) = bytes.get(index) {
        index += 1;
        match byte {
            b'\\' if quote != b'`' => index += 1,
            byte if *byte == quote => break,
            _ => {}
        }
    }
    index
}

#[cfg(test)]
mod tests {
    use crate::metric::{MatchOp, Matcher, Selector};
    use crate::promql::Expr;

    fn narrowed(text: &str) -> String {
        let matchers = [
            Matcher::equal("job", "a\"b"),
            Matcher::try_new("pod", MatchOp::Regex, "x|y").unwrap(),
        ];
        let wanted = |selector: &Selector| selector.metric_name() != Some("recorded");
        let narrowed = Expr::parse(text).unwrap().narrowed(&matchers, &wanted);
        // The result must be a valid expression whose selectors have the matchers.
        let again = Expr::parse(&narrowed).unwrap();
        for selector in again.selectors().iter().filter(|s| wanted(s)) {
            assert_eq!(
                selector
                    .matchers()
                    .iter()
                    .filter(|m| matchers.contains(m))
                    .count(),
                2
            );
        }
        narrowed.replace(r#"job="a\"b",pod=~"x|y""#, "M")
    }

    #[test]
    fn every_selector_gets_the_matchers() {
        for (text, expected) in [
            ("x", "x{M}"),
            ("x {}", "x {M}"),
            (
                "rate(x[1m] offset 5m) / y{a='}',}",
                "rate(x{M}[1m] offset 5m) / y{a='}',M}",
            ),
            ("{__name__=\"z\" }", "{__name__=\"z\",M }"),
            (
                "sum by (x) (a:b{c=\"d\\\"}\"}) + recorded",
                "sum by (x) (a:b{c=\"d\\\"}\",M}) + recorded",
            ),
            (
                "max_over_time(rate(x[1m])[5m:1m])",
                "max_over_time(rate(x{M}[1m])[5m:1m])",
            ),
            (
                "x{ # a } comment\n a=\"b\" }",
                "x{ # a } comment\n a=\"b\",M }",
            ),
            ("1 + time()", "1 + time()"),
        ] {
            assert_eq!(narrowed(text), expected);
        }
    }
}
