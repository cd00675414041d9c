//! Reads a body sample by sample.

use super::cursor::Cursor;
use super::openmetrics::{self, Found};
use super::{Family, Series, Suffix, SyntaxError, text};
use crate::exposition::Format;

/// Reads a body sample by sample. Bodies of 4 GiB and more are not supported; limits keep them out.
#[derive(Debug, Clone)]
pub struct Parser<'a> {
    cursor: Cursor<'a>,
    format: Format,
    family: Family<'a>,
    /// Where the line of the current sample starts.
    line: usize,
    scratch: Series,
}

impl<'a> Parser<'a> {
    /// A parser at the start of a body.
    #[must_use]
    pub fn new(body: &'a [u8], format: Format) -> Self {
        Self {
            cursor: Cursor {
                body,
                at: 0,
                ascii: true,
            },
            format,
            family: Family::default(),
            line: 0,
            scratch: Series::default(),
        }
    }

    /// Steps over metadata and comments to the next sample; `false` at the end of the body.
    ///
    /// # Errors
    /// The first syntax error.
    #[inline]
    pub(crate) fn seek_sample(&mut self) -> Result<bool, SyntaxError> {
        let found = match self.format {
            Format::Text => text::seek_sample(&mut self.cursor, &mut self.family),
            Format::OpenMetrics => openmetrics::seek_sample(&mut self.cursor, &mut self.family)
                .map(|found| found == Found::Sample),
        };
        self.line = self.cursor.at;
        found
    }

    /// Tokenizes the name and labels that start here and steps over them.
    ///
    /// # Errors
    /// The first syntax error.
    #[inline]
    pub(crate) fn series(&mut self, series: &mut Series) -> Result<(), SyntaxError> {
        let rules = match self.format {
            Format::Text => text::RULES,
            Format::OpenMetrics => openmetrics::RULES,
        };
        self.cursor.series(series, rules)
    }

    /// Reads value, timestamp and exemplar and steps to the next line.
    ///
    /// # Errors
    /// The first syntax error.
    #[inline]
    pub(crate) fn suffix(&mut self) -> Result<Suffix, SyntaxError> {
        match self.format {
            Format::Text => text::suffix(&mut self.cursor),
            Format::OpenMetrics => {
                let series = self.line..self.cursor.at;
                openmetrics::suffix(&mut self.cursor, series, &mut self.scratch)
            }
        }
    }

    /// Reads the next sample into `series` and returns the rest of it; `None` at the end of the
    /// body.
    ///
    /// # Errors
    /// The first syntax error.
    #[inline]
    pub fn next_sample(&mut self, series: &mut Series) -> Result<Option<Suffix>, SyntaxError> {
        if !self.seek_sample()? {
            return Ok(None);
        }
        self.series(series)?;
        self.suffix().map(Some)
    }

    /// The family of the last `# TYPE` line.
    #[must_use]
    pub fn family(&self) -> Family<'a> {
        self.family
    }

    /// The offset in the body.
    #[inline]
    pub(in crate::exposition) fn at(&self) -> usize {
        self.cursor.at
    }

    /// Moves to an offset.
    #[inline]
    pub(in crate::exposition) fn go_to(&mut self, at: usize) {
        self.cursor.at = at;
    }

    /// An error about the token that starts at offset `token`.
    pub(in crate::exposition) fn error(&self, token: usize, message: String) -> SyntaxError {
        SyntaxError::new(self.cursor.body, token, token, message)
    }
}
