//! Parses numbers, durations and strings.

use super::super::ast::Literal;
use super::super::error::{PromqlError, Span};
use super::Parser;
use crate::metric::parse_duration;

/// The value of a number, or of a duration in seconds.
pub(super) fn number(text: &str, span: Span) -> Result<f64, PromqlError> {
    let lower = text.to_ascii_lowercase();
    let wrong = || PromqlError::syntax(span, format!("not a number or duration: {text:?}"));
    if let Some(hex) = lower.strip_prefix("0x") {
        let value = u64::from_str_radix(hex, 16).map_err(|_| wrong())?;
        #[expect(clippy::cast_precision_loss, reason = "as Go converts it")]
        return Ok(value as f64);
    }
    if lower.bytes().all(|b| b.is_ascii_digit()) && lower.len() > 1 && lower.starts_with('0') {
        // Go parses a number with a leading zero as octal, if it is one.
        if let Ok(value) = u64::from_str_radix(&lower, 8) {
            #[expect(clippy::cast_precision_loss, reason = "as Go converts it")]
            return Ok(value as f64);
        }
    }
    let is_number = lower
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-'));
    if is_number {
        let value: f64 = lower.parse().map_err(|_| wrong())?;
        if value.is_infinite() {
            return Err(PromqlError::syntax(
                span,
                format!("number {text} is out of range"),
            ));
        }
        return Ok(value);
    }
    parse_duration(text)
        .map(|d| d.as_secs_f64())
        .map_err(|_| wrong())
}

/// The bytes of a string literal; `None` for an invalid escape.
fn unquote(quoted: &str) -> Option<Vec<u8>> {
    let quote = *quoted.as_bytes().first()?;
    let inner = quoted.as_bytes().get(1..quoted.len().checked_sub(1)?)?;
    if quote == b'`' {
        // Go drops carriage returns from raw strings.
        return Some(inner.iter().copied().filter(|b| *b != b'\r').collect());
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let [b, tail @ ..] = rest {
        rest = tail;
        if *b != b'\\' {
            out.push(*b);
            continue;
        }
        let [escape, tail @ ..] = rest else {
            return None;
        };
        rest = tail;
        let simple = match escape {
            b'a' => 0x07,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'\\' => b'\\',
            b'\'' | b'"' if *escape == quote => quote,
            other => {
                rest = unquote_number(*other, rest, &mut out)?;
                continue;
            }
        };
        out.push(simple);
    }
    Some(out)
}

/// `\x41`, `\101`, `A`, `\U00000041`: what follows the escape is returned.
fn unquote_number<'a>(escape: u8, rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let read =
        |digits: &[u8], radix| u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok();
    let (length, radix) = match escape {
        b'x' => (2, 16),
        b'u' => (4, 16),
        b'U' => (8, 16),
        b'0'..=b'7' => {
            let digits = [escape, *rest.first()?, *rest.get(1)?];
            out.push(u8::try_from(read(&digits, 8)?).ok()?);
            return rest.get(2..);
        }
        _ => return None,
    };
    let value = read(rest.get(..length)?, radix)?;
    if escape == b'x' {
        out.push(u8::try_from(value).ok()?);
    } else {
        let mut buffer = [0; 4];
        out.extend_from_slice(char::from_u32(value)?.encode_utf8(&mut buffer).as_bytes());
    }
    rest.get(length..)
}

/// Formats bytes that are not UTF-8 as Go's `%q` does.
fn go_quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        out.extend(chunk.valid().chars().flat_map(char::escape_default));
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.push('"');
    out
}

impl Parser<'_> {
    /// Parses the string here.
    pub(super) fn literal(&mut self) -> Result<(Literal, Span), PromqlError> {
        let span = self.advance();
        let wrong =
            || PromqlError::syntax(span, "unknown escape in string: write a backslash as \\\\");
        let bytes = unquote(self.source(span)).ok_or_else(wrong)?;
        let literal = match String::from_utf8(bytes) {
            Ok(value) => Literal {
                value,
                invalid: None,
            },
            Err(error) => Literal {
                value: String::from_utf8_lossy(error.as_bytes()).into_owned(),
                invalid: Some(go_quoted(error.as_bytes())),
            },
        };
        Ok((literal, span))
    }

    /// Parses the string here, which must be UTF-8.
    pub(super) fn utf8(&mut self) -> Result<(String, Span), PromqlError> {
        let (literal, span) = self.literal()?;
        match literal.invalid {
            None => Ok((literal.value, span)),
            Some(shown) => Err(PromqlError::syntax(span, format!("not UTF-8: {shown}"))),
        }
    }
}
