//! Errors for people: `Display` prints one level, the reader wants all of them.

use std::error::Error;

/// An error with its sources, outermost first, on one line.
#[must_use]
pub fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
