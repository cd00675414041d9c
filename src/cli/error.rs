//! The error of a command.

use std::fmt;
use std::io;
use std::path::Path;

use crate::config::Problems;
use crate::history;
use crate::runtime::with_sources;
use crate::service::MonitorError;

/// Why a command failed, in sentences for the person at the terminal.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    /// An error with this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// All problems of a configuration, below a line with their number.
    pub(super) fn in_configuration(problems: &Problems) -> Self {
        let count = problems.as_slice().len();
        let noun = if count == 1 { "mistake" } else { "mistakes" };
        Self(format!("{count} {noun} in the configuration\n{problems}"))
    }

    /// A file or folder cannot be read.
    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self(format!("{}: cannot be read: {error}", path.display()))
    }

    /// A file cannot be written.
    pub(super) fn unwritable(path: &Path, error: &io::Error) -> Self {
        Self(format!("{}: cannot be written: {error}", path.display()))
    }

    /// Standard output cannot be written.
    pub(super) fn unprintable(error: &io::Error) -> Self {
        Self(format!("cannot print: {error}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<Problems> for Error {
    /// All problems, one a line.
    fn from(problems: Problems) -> Self {
        Self(problems.to_string())
    }
}

impl From<history::Error> for Error {
    fn from(error: history::Error) -> Self {
        Self(with_sources(&error))
    }
}

impl From<MonitorError> for Error {
    fn from(error: MonitorError) -> Self {
        Self(with_sources(&error))
    }
}
