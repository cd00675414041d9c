//! OpenMetrics text 1.0, as strictly as Prometheus reads it.

use std::ops::Range;

use super::cursor::Cursor;
use super::family::{Family, FamilyType};
use super::series::{Rules, Series};
use super::text::metadata_name;
use super::value::{parse_value, quick_value};
use super::{Suffix, SyntaxError};

/// Single blanks only, no newline in a label value, commas required.
pub(super) const RULES: Rules = Rules {
    blanks: false,
    newlines: false,
    commas_optional: false,
};

/// The result of [`seek_sample`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Sample,
    Eof,
}

/// Steps over metadata to the next sample, or over `# EOF`.
#[inline]
pub(super) fn seek_sample<'a>(
    cursor: &mut Cursor<'a>,
    family: &mut Family<'a>,
) -> Result<Found, SyntaxError> {
    loop {
        let here = cursor.at;
        match cursor.peek() {
            None => {
                return Err(cursor.error(here, "the body does not end with # EOF; it may be cut"));
            }
            Some(b'#') => {
                if metadata(cursor, family)? == Found::Eof {
                    return Ok(Found::Eof);
                }
            }
            Some(b'\n') => {
                return Err(cursor.error(here, "an empty line, which OpenMetrics forbids"));
            }
            Some(0) => return Err(cursor.error(here, "a NUL byte")),
            Some(_) => return Ok(Found::Sample),
        }
    }
}

/// Steps over a line that starts with `#`, and its newline.
fn metadata<'a>(cursor: &mut Cursor<'a>, family: &mut Family<'a>) -> Result<Found, SyntaxError> {
    let line = cursor.at;
    if cursor.eat_word(b"# EOF") {
        cursor.eat(b'\n');
        return match cursor.peek() {
            None => Ok(Found::Eof),
            Some(_) => Err(cursor.error(line, "data after # EOF")),
        };
    }
    let keyword = ["# HELP ", "# TYPE ", "# UNIT "]
        .into_iter()
        .find(|keyword| cursor.eat_word(keyword.as_bytes()));
    let Some(keyword) = keyword else {
        return Err(cursor.error(
            line,
            "expected # HELP, # TYPE, # UNIT or # EOF with single blanks",
        ));
    };
    let name = metadata_name(cursor)?;
    let token = cursor.at;
    if !cursor.eat(b' ') {
        return Err(cursor.error(token, "expected a blank and text after the metric name"));
    }
    let text = cursor.until_newline();
    let complete = cursor.eat(b'\n');
    let fail = |cursor: &mut Cursor<'a>, message: &'static str| {
        cursor.at = token;
        Err(cursor.error(token, message))
    };
    if !complete {
        return fail(cursor, "the body does not end with # EOF; it may be cut");
    }
    match keyword {
        "# TYPE " => match FamilyType::from_openmetrics(text) {
            Some(kind) => *family = Family { name, kind },
            None => return fail(cursor, "not a metric type of OpenMetrics"),
        },
        "# HELP " if std::str::from_utf8(text).is_err() => {
            return fail(cursor, "the help text is not valid UTF-8");
        }
        "# UNIT " if !is_suffix(name.as_bytes(), text) => {
            return fail(cursor, "the unit is not a suffix of the metric's name");
        }
        _ => {}
    }
    Ok(Found::Sample)
}

/// Whether `unit` ends `name` after an underscore; an empty unit always does.
fn is_suffix(name: &[u8], unit: &[u8]) -> bool {
    unit.is_empty()
        || name
            .strip_suffix(unit)
            .is_some_and(|stem| stem.ends_with(b"_"))
}

/// Reads the value, the timestamp, the exemplar and the end of the line.
#[inline]
pub(super) fn suffix(
    cursor: &mut Cursor<'_>,
    series: Range<usize>,
    scratch: &mut Series,
) -> Result<Suffix, SyntaxError> {
    if cursor.peek() == Some(b' ')
        && let Some((value, next)) = quick_value(cursor.body, cursor.at + 1)
    {
        cursor.at = next;
        return Ok(Suffix { value, at: None });
    }
    let value = number(cursor, "value")?;
    let mut at = None;
    if cursor.rest().starts_with(b" ") && !cursor.rest().starts_with(b" # {") {
        let token = cursor.at + 1;
        at = Some(seconds(cursor, token)?);
    }
    if cursor.rest().starts_with(b" # {") {
        if !may_have_exemplar(&cursor.body[series]) {
            let here = cursor.at;
            return Err(cursor.error(
                here,
                "an exemplar on a sample that is neither a _total nor a _bucket",
            ));
        }
        cursor.eat_word(b" # {");
        exemplar(cursor, scratch)?;
    }
    let here = cursor.at;
    match cursor.peek() {
        Some(b'\n') => cursor.at += 1,
        None => return Err(cursor.error(here, "the body does not end with # EOF; it may be cut")),
        Some(_) => return Err(cursor.error(here, "expected the end of the line")),
    }
    Ok(Suffix { value, at })
}

/// Whether the sample's name allows an exemplar. The name is first, or quoted within the braces.
fn may_have_exemplar(series: &[u8]) -> bool {
    let end = memchr::memchr(b'{', series).unwrap_or(series.len());
    let allowed: [&[u8]; 2] = [b"_total", b"_bucket"];
    let name = &series[..end];
    if name.is_empty() {
        return allowed.iter().any(|suffix| {
            let quoted = [suffix, &b"\""[..]].concat();
            memchr::memmem::find(series, &quoted).is_some()
        });
    }
    allowed.iter().any(|suffix| name.ends_with(suffix))
}

/// Reads one blank and a number.
fn number(cursor: &mut Cursor<'_>, what: &'static str) -> Result<f64, SyntaxError> {
    let token = cursor.at + 1;
    let found = cursor.eat(b' ');
    let text = cursor.token(|byte| matches!(byte, b' ' | b'\n'));
    if !found || text.is_empty() {
        return Err(cursor.error(token - 1, format!("expected one blank and a {what}")));
    }
    parse_value(text).map_err(|why| {
        cursor.at = token;
        cursor.error(token, format!("the {what} is {why}"))
    })
}

/// Reads a timestamp in seconds; returns milliseconds.
fn seconds(cursor: &mut Cursor<'_>, token: usize) -> Result<i64, SyntaxError> {
    let seconds = number(cursor, "timestamp")?;
    if !seconds.is_finite() {
        cursor.at = token;
        return Err(cursor.error(token, "the timestamp is not finite"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturating and truncating is meant"
    )]
    Ok((seconds * 1000.0) as i64)
}

/// Checks and skips an exemplar after its opening brace.
fn exemplar(cursor: &mut Cursor<'_>, scratch: &mut Series) -> Result<(), SyntaxError> {
    let start = cursor.at;
    scratch.labels.clear();
    let mut named = true;
    cursor.labels(scratch, &mut named, RULES)?;
    if std::str::from_utf8(&cursor.body[start..cursor.at]).is_err() {
        return Err(cursor.error(start, "an exemplar's label is not valid UTF-8"));
    }
    number(cursor, "exemplar value")?;
    if cursor.peek() == Some(b' ') {
        let token = cursor.at + 1;
        seconds(cursor, token)?;
    }
    Ok(())
}
