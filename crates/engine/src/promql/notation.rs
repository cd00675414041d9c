//! The notation of series in Prometheus' test files: `name{label="value"}` and `1 2+1x3 _ stale`.

use super::ast::ExprKind;
use super::expr::Expr;
use crate::metric::Labels;
use crate::series::{ABSENT, STALE};

/// Most values of one series, so that a typing mistake does not exhaust the memory.
const MAX_VALUES: usize = 1_000_000;

/// Parses the name and labels at the start of a text, both optional, and returns the rest of it.
///
/// # Errors
/// A message that says what was expected where.
pub fn parse_series(text: &str) -> Result<(Labels, &str), String> {
    let text = text.trim_start();
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end);
    let mut pairs: Vec<(String, String)> = Vec::new();
    if !name.is_empty() {
        pairs.push((Labels::NAME.to_owned(), checked(name)?.to_owned()));
    }
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside.trim_start();
        while !rest.starts_with('}') {
            let (pair, after) = pair(rest)?;
            pairs.push(pair);
            let after = after.trim_start();
            rest = match after.strip_prefix(',') {
                Some(next) => next.trim_start(),
                None if after.starts_with('}') => after,
                None => return Err(format!("expected a comma or }} before {after:?}")),
            };
        }
        rest = rest.strip_prefix('}').unwrap_or(rest);
    }
    Ok((Labels::new(pairs), rest.trim_start()))
}

/// Parses a name and labels, both optional: `name{label="value"}`, `{label="value"}` or an empty
/// text.
///
/// # Errors
/// A message that says what was expected where.
pub fn parse_metric(text: &str) -> Result<Labels, String> {
    match parse_series(text)? {
        (labels, "") => Ok(labels),
        (_, rest) => Err(format!("expected nothing after the labels, found {rest:?}")),
    }
}

/// A parsed item and the rest of the text.
type Read<'a, T> = Result<(T, &'a str), String>;

/// `label="value"`, or a quoted metric name.
fn pair(text: &str) -> Read<'_, (String, String)> {
    let (label, after) = word(text)?;
    if let Some(value) = after.trim_start().strip_prefix('=') {
        let value = value.trim_start();
        if !value.starts_with(is_quote) {
            return Err(format!("expected a value in quotes at {value:?}"));
        }
        let (value, after) = word(value)?;
        return Ok(((label, value), after));
    }
    if text.starts_with(is_quote) {
        return Ok(((Labels::NAME.to_owned(), label), after));
    }
    Err(format!("expected = after the label {label:?}"))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`')
}

fn checked(name: &str) -> Result<&str, String> {
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("a name must not begin with a digit: {name:?}"));
    }
    Ok(name)
}

/// Parses a name or a quoted string.
fn word(text: &str) -> Read<'_, String> {
    let Some(quote) = text.chars().next().filter(|c| is_quote(*c)) else {
        let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        return match word {
            "" if rest.is_empty() => Err("the labels are not closed; write }".to_owned()),
            "" => Err(format!("expected the name of a label at {rest:?}")),
            _ => Ok((checked(word)?.to_owned(), rest)),
        };
    };
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            let (quoted, rest) = text.split_at(at + 1);
            return Ok((unquote(quoted)?, rest));
        }
        escaped = c == '\\' && !escaped && quote != '`';
    }
    Err(format!("the quote is not closed: {text:?}"))
}

/// The value of a PromQL string literal.
///
/// # Errors
/// If the text is not a string literal.
pub fn unquote(quoted: &str) -> Result<String, String> {
    let expr = Expr::parse(quoted).map_err(|error| error.to_string())?;
    if let ExprKind::Text(literal) = &expr.root().kind {
        return Ok(literal.value.clone());
    }
    Err(format!("not a string in quotes: {quoted}"))
}

/// Parses the values of a series, one per step.
///
/// `1 2` are two values. `a+bxn` and `a-bxn` are a and n more values, each b more or less than the
/// one before. `axn` is a and n more equal values. `_` is no sample ([`ABSENT`]), `_xn` is n of
/// them, and `stale` is a stale marker ([`STALE`]).
///
/// # Errors
/// Text that is none of these, native histograms, or more than a million values.
pub fn parse_values(text: &str) -> Result<Vec<f64>, String> {
    parse_first_values(text, usize::MAX)
}

/// The first values of a series, at most this many. The rest must be values too.
///
/// # Errors
/// Text that is none of the forms of [`parse_values`], native histograms, or more than a million
/// values among the first.
pub fn parse_first_values(text: &str, most: usize) -> Result<Vec<f64>, String> {
    if text.contains("{{") {
        return Err(
            "native histograms are not evaluated here; write the buckets as series with le"
                .to_owned(),
        );
    }
    let mut values = Vec::new();
    for word in text.split_whitespace() {
        let (base, times) = repeated(word).ok_or_else(|| not_a_value(word))?;
        let left = most - values.len();
        let count = times.unwrap_or(0).saturating_add(1).min(left);
        if count > MAX_VALUES - values.len() {
            return Err(format!(
                "{word:?} makes more than {MAX_VALUES} values; shorten the series"
            ));
        }
        match (base, times) {
            ("_", _) => {
                let gaps = times.unwrap_or(1).min(left);
                values.extend(std::iter::repeat_n(ABSENT, gaps));
            }
            ("stale", None) => values.extend(std::iter::repeat_n(STALE, count)),
            _ => {
                let (mut value, step) = progression(base).ok_or_else(|| not_a_value(word))?;
                if times.is_some() && base.ends_with(|c: char| c.is_ascii_alphabetic()) {
                    return Err(format!("{word:?}: write {base} once for each step"));
                }
                for _ in 0..count {
                    values.push(value);
                    value += step;
                }
            }
        }
    }
    Ok(values)
}

fn not_a_value(word: &str) -> String {
    format!("not a value: {word:?}; write a number, a+bxn, a-bxn, axn, _, _xn or stale")
}

/// The text before the `x`, and the number after it, if there is an `x`; `None` if that is not a
/// number.
fn repeated(word: &str) -> Option<(&str, Option<usize>)> {
    let Some((base, times)) = word.rsplit_once('x') else {
        return Some((word, None));
    };
    let digits = times.bytes().all(|byte| byte.is_ascii_digit());
    let times = times.parse().ok().filter(|_| digits)?;
    Some((base, Some(times)))
}

/// The first value and the step of `a`, `a+b` or `a-b`.
fn progression(text: &str) -> Option<(f64, f64)> {
    if let Some(only) = number(text) {
        return Some((only, 0.0));
    }
    let bytes = text.as_bytes();
    let is_sign =
        |at: &usize| matches!(bytes[*at], b'+' | b'-') && !matches!(bytes[*at - 1], b'e' | b'E');
    let at = (1..bytes.len()).find(is_sign)?;
    let (first, step) = text.split_at_checked(at)?;
    Some((number(first)?, number(step)?))
}

/// Parses a number of PromQL, which does not include `infinity`.
fn number(text: &str) -> Option<f64> {
    let letters = text.trim_start_matches(['+', '-']);
    let word = letters.starts_with(|c: char| c.is_ascii_alphabetic());
    if word && !letters.eq_ignore_ascii_case("inf") && !letters.eq_ignore_ascii_case("nan") {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{parse_first_values, parse_metric, parse_series, parse_values, unquote};
    use crate::series::{is_absent, is_stale};

    #[test]
    fn values_are_read_as_promtool_reads_them() {
        let read = |text: &str| parse_values(text).unwrap();
        assert_eq!(read("1 2 -3.5 1e2 .5"), [1.0, 2.0, -3.5, 100.0, 0.5]);
        assert_eq!(read("0x2"), [0.0, 0.0, 0.0]);
        assert_eq!(read("1+2x3"), [1.0, 3.0, 5.0, 7.0]);
        assert_eq!(read("-1-1x2 +3+.5x1"), [-1.0, -2.0, -3.0, 3.0, 3.5]);
        assert_eq!(read("1e1+1e-1x1"), [10.0, 10.1]);
        assert_eq!(read("Inf -Inf"), [f64::INFINITY, f64::NEG_INFINITY]);
        assert!(read("NaN")[0].is_nan() && !is_stale(read("NaN")[0]));
        let gaps = read("1 _ _x2 _x0 2 stale");
        assert_eq!(gaps.len(), 6);
        assert!(gaps[1..4].iter().all(|value| is_absent(*value)) && is_stale(gaps[5]));
    }

    #[test]
    fn a_million_values_are_read_and_no_more() {
        assert_eq!(parse_values("0x999999").unwrap().len(), 1_000_000);
        assert_eq!(parse_values("1 2 0x999997").unwrap().len(), 1_000_000);
        let error = parse_values("0x1000000").unwrap_err();
        assert!(error.contains("more than 1000000 values"), "{error}");
    }

    #[test]
    fn of_a_long_series_as_many_values_are_read_as_are_needed() {
        let read = |text: &str, most| parse_first_values(text, most);
        assert_eq!(read("1+1x99999999", 3).unwrap(), [1.0, 2.0, 3.0]);
        assert_eq!(read("1 2 3 stale 5", 2).unwrap(), [1.0, 2.0]);
        assert_eq!(read("1 _x99999999 2", 4).unwrap().len(), 4);
        assert_eq!(read("1 2", 9).unwrap(), [1.0, 2.0]);
        assert!(read("0x99999999", 2_000_000).is_err());
        assert!(read("1 2 three", 1).is_err());
    }

    #[test]
    fn escapes_in_strings_are_those_of_go() {
        for (quoted, expected) in [
            (r#""\1017""#, "A7"),
            (r#""\x41\u00e9\U0001f6007""#, "Aé\u{1f600}7"),
            (r#""\a\b\f\n\r\t\v\\""#, "\u{7}\u{8}\u{c}\n\r\t\u{b}\\"),
        ] {
            assert_eq!(unquote(quoted).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn text_that_is_not_a_value_is_rejected_with_a_remedy() {
        for bad in [
            "a",
            "1+x2",
            "1x",
            "1x-1",
            "x3",
            "NaNx2",
            "stalex2",
            "infinity",
            "1,2",
            "--1",
            "1x9999999999",
            "é+1x2",
        ] {
            assert!(parse_values(bad).is_err(), "{bad} was accepted");
        }
        assert_eq!(
            parse_values("1 2+").unwrap_err(),
            "not a value: \"2+\"; write a number, a+bxn, a-bxn, axn, _, _xn or stale"
        );
        let histogram = parse_values("{{schema:0 sum:1}}").unwrap_err();
        assert!(histogram.starts_with("native histograms"), "{histogram}");
    }

    #[test]
    fn a_series_is_a_name_and_labels_in_any_quotes() {
        let shown = |text: &str| parse_metric(text).unwrap().to_string();
        assert_eq!(shown("up"), "up");
        assert_eq!(shown(""), "{}");
        assert_eq!(shown("{}"), "{}");
        assert_eq!(
            shown("a:b_c{ x = 'y' , z=`w\\`, }"),
            "a:b_c{x=\"y\", z=\"w\\\\\"}"
        );
        assert_eq!(
            shown("{\"my.metric\", a=\"b\\\"\"}"),
            "{\"my.metric\", a=\"b\\\"\"}"
        );
        assert_eq!(parse_series("up{a=\"b\"} 1 2").unwrap().1, "1 2");
        for bad in [
            "up{",
            "up{a}",
            "up{a=b}",
            "up{a=\"b\" c=\"d\"}",
            "up{a=\"b}",
            "1up",
            "up up",
            "up}",
        ] {
            assert!(parse_metric(bad).is_err(), "{bad} was accepted");
        }
    }
}
