//! Formats an error with all its causes; `Display` prints only the outermost.

use std::error::Error;

/// The error and its causes on one line, outermost first.
#[must_use]
pub(crate) fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
