//! Scrapes of one target into a window, as a monitor takes them in.

use std::sync::Arc;
use std::time::Duration;

use crate::metric::{Labels, Selector, SeriesFilter, Timestamp};
use crate::scrape::{Exposition, Ingester, Limits};
use crate::series::{self, ScrapeStats, TargetId, Window};

/// A window of one target without labels of its own, and what reads expositions into it.
pub(super) struct Feed {
    pub(super) window: Window,
    target: TargetId,
    ingester: Ingester,
}

impl Feed {
    /// An empty window that keeps what these selectors match.
    pub(super) fn new(limits: series::WindowLimits, selectors: Vec<Selector>) -> Self {
        let mut window = Window::new(limits);
        let target = window.add_target(Labels::empty());
        let filter = Arc::new(SeriesFilter::new(selectors));
        Self {
            window,
            target,
            ingester: Ingester::new(Limits::default(), Labels::empty(), false, false, filter),
        }
    }

    /// Takes in a scrape, or says what is wrong with it.
    pub(super) fn take(&mut self, exposition: &Exposition, at: Timestamp) -> Result<(), String> {
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
