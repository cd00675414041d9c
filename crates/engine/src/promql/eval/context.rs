//! The context of an evaluation: its source, options, notes and limits.

use std::fmt;

use super::super::error::{Position, PromqlError, Span};
use super::super::options::Options;
use super::super::source::SeriesSource;
use super::Sampler;
use crate::metric::millis;

/// A warning or info about an evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The message, as in Prometheus.
    pub text: String,
    /// The place in the expression.
    pub position: Position,
}

impl fmt::Display for Note {
    /// The text and the place: `quantile value should be between 0 and 1, got 2 (1:10)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.position)
    }
}

/// How much of the ranges of an expression is covered by samples; the least covered range counts.
///
/// The coverage of a range is that of its best series: it shows whether the window has filled, not
/// whether every series is old enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coverage {
    /// Samples in the range.
    pub points: usize,
    /// The time from the first to the last sample as a share of the range; 1 if there is no range.
    pub share: f64,
}

impl Coverage {
    /// Full coverage, as without a range.
    pub const FULL: Self = Self {
        points: usize::MAX,
        share: 1.0,
    };

    /// Whether there are at least two points that cover a fifth of the range.
    #[must_use]
    pub fn is_sufficient(&self) -> bool {
        self.points >= 2 && self.share >= 0.2
    }

    /// Adds another series of the range: the greater values count.
    pub(super) fn improve(&mut self, points: usize, first: i64, last: i64, range: i64) {
        self.points = self.points.max(points);
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = last.saturating_sub(first) as f64 / range.max(1) as f64;
        self.share = self.share.max(share);
    }

    /// Adds another range of the expression: the smaller values count.
    fn worsen(&mut self, other: Self) {
        self.points = self.points.min(other.points);
        self.share = self.share.min(other.share);
    }
}

/// The severity of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Warning,
    Info,
}

/// The state of an evaluation that all operators share.
pub(crate) struct Context<'a> {
    pub(crate) source: &'a dyn SeriesSource,
    pub(crate) epoch: u64,
    pub(crate) options: &'a Options,
    /// Start and end of the whole query, for `@ start()` and `@ end()`.
    pub(crate) bounds: (i64, i64),
    pub(crate) notes: Vec<(Level, Span, String)>,
    pub(crate) coverage: Coverage,
    /// The number of samples that may still be read.
    pub(crate) budget: u64,
    /// Notes of the observations behind quantiles and quotients, where they are wanted.
    pub(crate) sampler: Option<Sampler<'a>>,
    /// Vectors for reuse.
    pub(crate) pool: &'a mut Vec<Vec<f64>>,
}

impl Context<'_> {
    /// The lookback in milliseconds.
    pub(super) fn lookback(&self) -> i64 {
        millis(self.options.lookback)
    }

    pub(super) fn delayed(&self) -> bool {
        self.options.delayed_name_removal
    }

    /// Counts samples that are read.
    ///
    /// # Errors
    /// If the evaluation reads too many samples, or the source ends it.
    pub(crate) fn charge(&mut self, samples: usize, span: Span) -> Result<(), PromqlError> {
        if self.source.is_interrupted() {
            return Err(PromqlError::interrupted());
        }
        let samples = samples as u64;
        if samples > self.budget {
            let most = self.options.max_samples;
            let message = format!(
                "the evaluation reads more than {most} samples: shorten the range or lengthen the step"
            );
            return Err(PromqlError::limit(span, message));
        }
        self.budget -= samples;
        Ok(())
    }

    /// Adds a note, unless there is an equal one.
    pub(crate) fn note(&mut self, level: Level, span: Span, text: impl FnOnce() -> String) {
        let text = text();
        let known = self
            .notes
            .iter()
            .any(|(l, s, t)| *l == level && *s == span && *t == text);
        // More than a hundred notes would not help.
        if !known && self.notes.len() < 100 {
            self.notes.push((level, span, text));
        }
    }

    pub(super) fn covered(&mut self, coverage: Coverage) {
        self.coverage.worsen(coverage);
    }

    /// A vector of this length, filled with this value.
    pub(crate) fn take(&mut self, length: usize, value: f64) -> Vec<f64> {
        let mut values = self.pool.pop().unwrap_or_default();
        values.clear();
        values.resize(length, value);
        values
    }

    /// Returns a vector for reuse.
    pub(crate) fn give(&mut self, values: Vec<f64>) {
        if self.pool.len() < 16 {
            self.pool.push(values);
        }
    }
}
