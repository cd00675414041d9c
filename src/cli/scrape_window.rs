//! Ingests scrapes of one target into a window.

use std::sync::Arc;
use std::time::Duration;

use crate::metric::{Labels, Selector, SeriesFilter, Timestamp};
use crate::scrape::{Exposition, Ingester, ScrapeLimits};
use crate::series::{self, ScrapeStats, TargetId, Window};

/// A window over one target without target labels.
pub(super) struct ScrapeWindow {
    pub(super) window: Window,
    target: TargetId,
    ingester: Ingester,
}

impl ScrapeWindow {
    /// An empty window that keeps the series these selectors match.
    pub(super) fn new(limits: series::WindowLimits, selectors: Vec<Selector>) -> Self {
        let mut window = Window::new(limits);
        let target = window.add_target(Labels::empty());
        let filter = Arc::new(SeriesFilter::new(selectors));
        // The bodies are the user's own files, not those of a target.
        let limits = ScrapeLimits {
            body_size: ScrapeLimits::DEFAULT.body_size,
            ..ScrapeLimits::NONE
        };
        Self {
            window,
            target,
            ingester: Ingester::new(limits, Labels::empty(), false, false, filter),
        }
    }

    /// Appends the samples of a scrape.
    ///
    /// # Errors
    /// Why the exposition cannot be parsed.
    pub(super) fn ingest(&mut self, exposition: &Exposition, at: Timestamp) -> Result<(), String> {
        let Some(block) = self.window.target_mut(self.target) else {
            return Ok(());
        };
        block.begin(at);
        let ingested = self
            .ingester
            .ingest(exposition, block)
            .map_err(|error| error.to_string())?;
        block.commit(&ScrapeStats {
            duration: Duration::ZERO,
            samples: ingested.samples,
            samples_post_relabeling: ingested.post_relabeling,
            series_added: ingested.added,
        });
        Ok(())
    }
}

/// Takes scrapes.
pub(super) trait Takes {
    /// Counts what a scrape has.
    fn take(&mut self, exposition: &Exposition, at: Timestamp) -> Result<(), String>;
}
