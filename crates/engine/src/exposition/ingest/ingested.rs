//! Counts of one scrape.

/// Counts of one scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ingested {
    /// Samples in the body (`scrape_samples_scraped`).
    pub samples: u64,
    /// Samples after relabeling (`scrape_samples_post_metric_relabeling`): all of them, selected or
    /// not.
    pub post_relabeling: u64,
    /// Series that the last successful scrape did not have (`scrape_series_added`), selected or
    /// not.
    pub added: u64,
    /// Samples that the appender accepted.
    pub stored: u64,
    /// Samples of series that no rule reads: checked for syntax, not stored.
    pub unselected: u64,
    /// Repeated samples of a stored series without a timestamp of their own: the first is kept,
    /// these are dropped.
    pub duplicates: u64,
    /// Samples of series that the limit on stored series refused.
    pub refused: u64,
    /// Samples with a timestamp more than ten minutes ahead: dropped.
    pub out_of_bounds: u64,
}
