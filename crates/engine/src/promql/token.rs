//! The tokenizer.

use super::error::{PromqlError, Span};

/// The kind of a token; its text is that of its span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or a keyword; colons are allowed.
    Ident,
    /// A number or a duration.
    Number,
    /// A quoted string, quotes included.
    Text,
    /// An operator or a bracket, of one or two characters.
    Symbol(&'static str),
    /// The end of the text.
    End,
}

/// Tokens and their spans.
pub(super) type Tokens = Vec<(Token, Span)>;

/// Every operator and bracket, longest first.
const SYMBOLS: [&str; 27] = [
    "==", "!=", ">=", "<=", "=~", "!~", "</", ">/", "+", "-", "*", "/", "%", "^", "=", "<", ">",
    "(", ")", "{", "}", "[", "]", ",", ":", "@", "!",
];

fn is_ident_start(b: u8) -> bool {
    b.is_ascii_alphabetic() || b == b'_'
}

/// Splits a text into tokens; the last one is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Tokens, PromqlError> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    // Within brackets a colon separates range and step; elsewhere it may be part of a name.
    let mut in_brackets = false;
    while let Some(&b) = bytes.get(at) {
        let start = at;
        let token = if b.is_ascii_whitespace() {
            at += 1;
            continue;
        } else if b == b'#' {
            at += bytes[at..].iter().take_while(|b| **b != b'\n').count();
            continue;
        } else if is_ident_start(b) || (b == b':' && !in_brackets) {
            let is_ident =
                |b: &u8| is_ident_start(*b) || b.is_ascii_digit() || (*b == b':' && !in_brackets);
            at += bytes[at..].iter().take_while(|b| is_ident(b)).count();
            Token::Ident
        } else if b.is_ascii_digit()
            || (b == b'.' && bytes.get(at + 1).is_some_and(u8::is_ascii_digit))
        {
            at += number_length(&bytes[at..]);
            Token::Number
        } else if matches!(b, b'"' | b'\'' | b'`') {
            at += text_length(&bytes[at..], at)?;
            Token::Text
        } else {
            let symbol = symbol(&bytes[at..]).ok_or_else(|| unexpected(text, at))?;
            at += symbol.len();
            match symbol {
                "[" => in_brackets = true,
                "]" => in_brackets = false,
                _ => {}
            }
            Token::Symbol(symbol)
        };
        found.push((token, Span { start, end: at }));
    }
    let end = text.len();
    found.push((Token::End, Span { start: end, end }));
    Ok(found)
}

fn symbol(rest: &[u8]) -> Option<&'static str> {
    SYMBOLS.into_iter().find(|s| rest.starts_with(s.as_bytes()))
}

fn unexpected(text: &str, at: usize) -> PromqlError {
    let found = text
        .get(at..)
        .and_then(|rest| rest.chars().next())
        .unwrap_or(char::REPLACEMENT_CHARACTER);
    let span = Span {
        start: at,
        end: at + found.len_utf8(),
    };
    PromqlError::syntax(span, format!("unexpected character {found:?}"))
}

/// The length of a number or duration: digits, letters and dots, and a sign after the `e` of an
/// exponent.
fn number_length(rest: &[u8]) -> usize {
    let hex = rest.len() > 1 && rest[0] == b'0' && rest[1].eq_ignore_ascii_case(&b'x');
    let mut at = 0;
    while let Some(&b) = rest.get(at) {
        let signed = matches!(b, b'+' | b'-')
            && !hex
            && at > 0
            && rest[at - 1].eq_ignore_ascii_case(&b'e')
            && rest.get(at + 1).is_some_and(u8::is_ascii_digit);
        if !(b.is_ascii_alphanumeric() || b == b'.' || b == b'_' || signed) {
            break;
        }
        at += 1;
    }
    at
}

/// The length of a quoted string that starts here.
fn text_length(rest: &[u8], start: usize) -> Result<usize, PromqlError> {
    let quote = rest[0];
    let mut at = 1;
    while let Some(&b) = rest.get(at) {
        at += 1;
        match b {
            b'\\' if quote != b'`' => at += 1,
            b'\n' if quote != b'`' => break,
            b if b == quote => return Ok(at),
            _ => {}
        }
    }
    let span = Span {
        start,
        end: start + at.min(rest.len()),
    };
    Err(PromqlError::syntax(
        span,
        "unterminated string: close the quote",
    ))
}
