//! Regular expressions with the syntax and the meaning that Prometheus gives them: RE2's, as Go's
//! `regexp` reads it. The `regex` crate does the matching.

mod class;
mod cursor;
mod parser;

use regex::Regex;

/// Why a text is no regular expression, in the words of Go's `regexp`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

impl PatternError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Compiles a pattern as Prometheus does for labels: it must match the whole text, and `.` matches
/// a newline.
///
/// # Errors
/// Why the pattern is no regular expression.
pub fn anchored(pattern: &str) -> Result<Regex, PatternError> {
    compile(&format!(r"\A(?:{})\z", parser::translated(pattern, true)?))
}

/// Compiles a pattern as Go does by default, for templates: it may match a part of the text, and
/// `.` matches no newline.
///
/// # Errors
/// Why the pattern is no regular expression.
pub(crate) fn unanchored(pattern: &str) -> Result<Regex, PatternError> {
    compile(&parser::translated(pattern, false)?)
}

fn compile(translated: &str) -> Result<Regex, PatternError> {
    Regex::new(translated).map_err(|error| {
        if matches!(error, regex::Error::CompiledTooBig(_)) {
            return PatternError::new("expression too large");
        }
        // Several lines with the translated pattern, which the user has not written.
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        PatternError::new(last.strip_prefix("error: ").unwrap_or(last))
    })
}

#[cfg(test)]
mod tests;
