//! One target: its ingester, its block in the window, and how its last scrape went.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::failure::ScrapeFailure;
use super::rest::Rest;
use super::settings::{Ingest, Target};
use crate::describe::bare_url;
use crate::exposition::{Exposition, Ingested, Ingester, Reason};
use crate::metric::{Labels, SeriesFilter, Timestamp};
use crate::series::{ScrapeStats, TargetId, Window};

/// The result of scraping one target.
#[derive(Debug)]
pub struct Scraped {
    /// The exposition, or the error.
    pub result: Result<Exposition, ScrapeFailure>,
    /// Its duration.
    pub duration: Duration,
}

/// A target as the monitor sees it.
#[derive(Debug)]
pub struct TargetState {
    pub(super) url: String,
    pub(super) labels: Labels,
    pub(super) id: TargetId,
    pub(super) last: Option<LastScrape>,
    failures: Vec<(&'static str, u64)>,
    refused: u64,
    /// Whether the limit on stored series refused some at the last scrape.
    is_refusing: bool,
    /// When discovery first found it; `None` if it was present from the start.
    pub(super) appeared: Option<Timestamp>,
    ingester: Ingester,
    /// The rest after its last body, if that took long to read.
    pub(super) rest: Option<Rest>,
}

/// The result of the last scrape.
#[derive(Debug, Clone)]
pub struct LastScrape {
    /// Its time.
    pub at: Timestamp,
    /// Its duration.
    pub duration: Duration,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// The counts of its contents.
    pub counts: Ingested,
    /// Its error.
    pub error: Option<String>,
}

impl TargetState {
    pub(super) fn new(
        target: &Target,
        ingest: &Ingest,
        filter: Arc<SeriesFilter>,
        window: &mut Window,
    ) -> Self {
        let labels = target.labels.clone();
        let ingester = Ingester::new(
            ingest.limits.clone(),
            labels.clone(),
            ingest.honor_labels,
            ingest.honor_timestamps,
            filter,
        );
        Self {
            url: target.url.clone(),
            id: window.add_target(labels.clone()),
            labels,
            last: None,
            failures: Reason::ALL
                .iter()
                .map(|reason| (reason.as_str(), 0))
                .collect(),
            refused: 0,
            is_refusing: false,
            appeared: None,
            ingester,
            rest: None,
        }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it is called in the log: its URL without secrets.
    pub(super) fn shown_url(&self) -> String {
        bare_url(&self.url)
    }

    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The result of the last scrape; `None` before the first.
    #[must_use]
    pub fn last(&self) -> Option<&LastScrape> {
        self.last.as_ref()
    }

    /// Failed scrapes since the start by reason, zeros included.
    #[must_use]
    pub fn failures(&self) -> &[(&'static str, u64)] {
        &self.failures
    }

    /// Samples refused by the limit on stored series since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether the last scrape succeeded.
    pub(super) fn is_up(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.error.is_none())
    }

    /// The same target, which appeared at this time; `None` if it was present from the start.
    pub(super) fn since(self, appeared: Option<Timestamp>) -> Self {
        Self { appeared, ..self }
    }

    /// Selects the series that another set of rules reads.
    pub(super) fn set_filter(&mut self, filter: Arc<SeriesFilter>) {
        self.ingester.set_filter(filter);
    }

    /// Puts the outcome of a scrape into the window: all of it, or a failure that makes every
    /// series stale.
    pub(super) fn take(&mut self, window: &mut Window, at: Timestamp, scraped: &Scraped) {
        let duration = scraped.duration;
        let Some(block) = window.target_mut(self.id) else {
            return;
        };
        let (body_bytes, is_foreign, result) = match &scraped.result {
            Ok(exposition) => {
                block.begin(at);
                (
                    exposition.body.len(),
                    exposition.is_foreign,
                    self.ingester.ingest(exposition, block),
                )
            }
            Err(failure) => {
                block.fail(at, duration);
                self.count_failure(failure.reason);
                self.last = Some(LastScrape {
                    at,
                    duration,
                    body_bytes: 0,
                    counts: Ingested::default(),
                    error: Some(failure.message.clone()),
                });
                return;
            }
        };
        let (counts, error) = match result {
            Ok(counts) => {
                block.commit(&ScrapeStats {
                    duration,
                    samples: counts.samples,
                    samples_post_relabeling: counts.post_relabeling,
                    series_added: counts.added,
                });
                self.note_refusals(counts.refused);
                (counts, None)
            }
            Err(error) => {
                block.rollback();
                block.fail(at, duration);
                self.count_failure(error.reason());
                let message = if is_foreign {
                    error.without_body()
                } else {
                    error.to_string()
                };
                (self.ingester.last(), Some(message))
            }
        };
        self.last = Some(LastScrape {
            at,
            duration,
            body_bytes,
            counts,
            error,
        });
    }

    /// Counts the samples that the limit on stored series refused, and logs when it begins and ends
    /// to refuse some.
    fn note_refusals(&mut self, refused: u64) {
        self.refused += refused;
        if (refused > 0) == self.is_refusing {
            return;
        }
        self.is_refusing = refused > 0;
        let target = self.labels.get("instance").unwrap_or_default();
        if self.is_refusing {
            warn!(
                target,
                refused, "series_limit is reached: new series are not stored"
            );
        } else {
            info!(target, "all series of the target are stored again");
        }
    }

    fn count_failure(&mut self, reason: Reason) {
        let reason = reason.as_str();
        if let Some((_, count)) = self.failures.iter_mut().find(|(name, _)| *name == reason) {
            *count += 1;
        }
    }
}
