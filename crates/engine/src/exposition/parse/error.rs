//! Syntax errors of expositions.

use std::borrow::Cow;
use std::fmt;

/// Longest excerpt of the body in an error, in characters.
const MAX_EXCERPT: usize = 40;

/// A syntax error and its position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// The byte within the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: Cow<'static, str>,
    /// At most 40 characters of the body from the start of the offending token, control characters
    /// escaped.
    pub excerpt: String,
    /// The likely cause, if there is one.
    pub hint: Option<&'static str>,
}

impl SyntaxError {
    /// The error at offset `at` of `body`; `token` is where the offending token starts.
    #[cold]
    pub(super) fn new(
        body: &[u8],
        token: usize,
        at: usize,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let token = token.min(body.len());
        let at = at.clamp(token, body.len());
        let before = &body[..at];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        let line_end =
            memchr::memchr(b'\n', &body[at..]).map_or(body.len(), |newline| at + newline);
        let token = token.max(line_start);
        Self {
            line: memchr::memchr_iter(b'\n', before).count() + 1,
            column: at - line_start + 1,
            message: message.into(),
            excerpt: excerpt(&body[token..line_end]),
            hint: hint(body, &body[line_start..line_end]),
        }
    }
}

fn excerpt(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(4 * MAX_EXCERPT)];
    String::from_utf8_lossy(bytes)
        .chars()
        .flat_map(char::escape_debug)
        .take(MAX_EXCERPT)
        .collect()
}

fn hint(body: &[u8], line: &[u8]) -> Option<&'static str> {
    if line.ends_with(b"\r") {
        return Some(r"lines end with \r\n, the format wants \n");
    }
    if body.starts_with(b"\xef\xbb\xbf") {
        return Some("the body starts with a byte order mark");
    }
    let start = body.trim_ascii_start();
    if start.starts_with(b"<") {
        return Some("this looks like HTML or XML, check the path");
    }
    if start.starts_with(b"{")
        && start.get(1).is_some_and(|byte| b"\n\r \"".contains(byte))
        && line.ends_with(b",")
    {
        return Some("this looks like JSON, check the path");
    }
    if line.contains(&0) {
        return Some("the line has a NUL byte, the body may be binary or cut");
    }
    None
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            column,
            message,
            excerpt,
            ..
        } = self;
        write!(
            f,
            "line {line}, column {column}: {message}, at \"{excerpt}\""
        )?;
        match self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}
