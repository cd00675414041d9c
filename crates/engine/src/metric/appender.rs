//! The interface between the parser of a scrape and the window that stores it.

use super::{Labels, Selector, Timestamp};

/// A handle to a stored series, small enough to keep with every line of an exposition.
///
/// The generation guards against reuse of an index after the series was evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeriesRef {
    /// Position in the block that returned the handle.
    pub index: u32,
    /// Changes whenever the position is reused for another series.
    pub generation: u32,
}

/// Receives the samples of one scrape of one target.
///
/// The window implements it; the parser calls it. A scrape is atomic: nothing appended is visible
/// before the owner commits, and a rollback removes all of it.
pub trait Appender {
    /// Finds the series with these labels (target labels included) or creates it.
    ///
    /// `None` when the limit on stored series refuses it; the caller counts the refusal.
    fn resolve(&mut self, labels: &Labels) -> Option<SeriesRef>;

    /// Appends a value; `at` is the sample's own timestamp, where it has one that is honored.
    ///
    /// `false` when the handle is no longer valid: resolve the labels again.
    fn append(&mut self, series: SeriesRef, at: Option<Timestamp>, value: f64) -> bool;
}

/// Which series the loaded rules read; checked once for each new series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SeriesFilter {
    selectors: Vec<Selector>,
    everything: bool,
}

impl SeriesFilter {
    /// A filter that lets every series pass.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            selectors: Vec::new(),
            everything: true,
        }
    }

    /// A filter that lets a series pass when one of the selectors matches it.
    #[must_use]
    pub fn new(selectors: Vec<Selector>) -> Self {
        Self {
            selectors,
            everything: false,
        }
    }

    /// Whether some rule may read a series with these labels.
    #[must_use]
    pub fn wants(&self, labels: &Labels) -> bool {
        self.everything || self.selectors.iter().any(|s| s.matches(labels))
    }

    /// Whether some rule may read a series of this name, whatever its other labels. Unlike
    /// [`SeriesFilter::wants`] it does not need parsed labels.
    #[must_use]
    pub(crate) fn may_want_name(&self, name: &str) -> bool {
        self.everything || self.selectors.iter().any(|s| s.may_match_name(name))
    }
}
