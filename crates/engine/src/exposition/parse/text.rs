//! The Prometheus text format 0.0.4 and 1.0.0.

use super::cursor::Cursor;
use super::family::{Family, FamilyType};
use super::series::Rules;
use super::value::{parse_value, quick_value};
use super::{Suffix, SyntaxError};

/// Blanks everywhere, newlines in label values, commas optional: as in Prometheus' lexer.
pub(super) const RULES: Rules = Rules {
    blanks: true,
    newlines: true,
    commas_optional: true,
};

/// Steps over blank lines, comments and metadata to the next sample; `false` at the end.
#[inline]
pub(super) fn seek_sample<'a>(
    cursor: &mut Cursor<'a>,
    family: &mut Family<'a>,
) -> Result<bool, SyntaxError> {
    loop {
        match cursor.peek() {
            None => return Ok(false),
            Some(b'\n' | b' ' | b'\t') => cursor.at += 1,
            Some(b'#') => comment(cursor, family)?,
            Some(0) => {
                let here = cursor.at;
                return Err(cursor.error(here, "a NUL byte"));
            }
            Some(_) => return Ok(true),
        }
    }
}

/// Steps over a line that starts with `#`, up to its newline.
fn comment<'a>(cursor: &mut Cursor<'a>, family: &mut Family<'a>) -> Result<(), SyntaxError> {
    let line = cursor.at;
    cursor.at += 1;
    if !cursor.skip_blanks() {
        cursor.until_newline();
        return Ok(());
    }
    let help = cursor.eat_word(b"HELP");
    let metadata = (help || cursor.eat_word(b"TYPE")) && cursor.skip_blanks();
    if !metadata {
        cursor.until_newline();
        return Ok(());
    }
    let name = metadata_name(cursor)?;
    let token = cursor.at;
    // One byte separates the name from the text; Prometheus accepts any.
    let text = cursor.until_newline().get(1..).unwrap_or_default();
    if help {
        if std::str::from_utf8(text).is_err() {
            return Err(cursor.error(line, "the help text is not valid UTF-8"));
        }
        return Ok(());
    }
    let Some(kind) = FamilyType::from_text(text) else {
        cursor.at = token;
        let message =
            "expected one of counter, gauge, histogram, summary, untyped after exactly one blank";
        return Err(cursor.error(token, message));
    };
    *family = Family { name, kind };
    Ok(())
}

/// Reads the name in a metadata line; removes its quotes.
pub(super) fn metadata_name<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, SyntaxError> {
    let token = cursor.at;
    let raw = if cursor.peek() == Some(b'"') {
        let span = cursor.quoted(true)?;
        span.raw(cursor.body)
    } else {
        cursor.name(true)
    };
    if cursor.at == token {
        return Err(cursor.error(token, "expected a metric name"));
    }
    std::str::from_utf8(raw).map_err(|_| cursor.error(token, "the metric name is not valid UTF-8"))
}

/// Reads the value, the timestamp and the end of the line.
#[inline]
pub(super) fn suffix(cursor: &mut Cursor<'_>) -> Result<Suffix, SyntaxError> {
    cursor.skip_blanks();
    if let Some((value, next)) = quick_value(cursor.body, cursor.at) {
        cursor.at = next;
        return Ok(Suffix { value, at: None });
    }
    let token = cursor.at;
    let text = cursor.token(|byte| matches!(byte, b'{' | b' ' | b'\t' | b'\n'));
    if text.is_empty() {
        return Err(cursor.error(token, "expected a value"));
    }
    let value = parse_value(text).map_err(|why| {
        cursor.at = token;
        cursor.error(token, format!("the value is {why}"))
    })?;
    cursor.skip_blanks();
    let token = cursor.at;
    let mut at = None;
    if cursor.peek().is_some_and(|byte| byte != b'\n') {
        let digits = cursor.token(|byte| !byte.is_ascii_digit());
        at = std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse::<i64>().ok());
        if at.is_none() {
            cursor.at = token;
            let message =
                "expected a timestamp in milliseconds, digits only, or the end of the line";
            return Err(cursor.error(token, message));
        }
        cursor.skip_blanks();
    }
    end_of_line(cursor)?;
    Ok(Suffix { value, at })
}

fn end_of_line(cursor: &mut Cursor<'_>) -> Result<(), SyntaxError> {
    if cursor.eat(b'\n') || cursor.peek().is_none() {
        return Ok(());
    }
    let here = cursor.at;
    Err(cursor.error(here, "expected the end of the line"))
}
