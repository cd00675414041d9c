//! One target: its ingester, its block in the window, and how its last scrape went.

use std::sync::Arc;
use std::time::Duration;

use crate::config::settings::{Scrape, Target};
use crate::metric::{Labels, SeriesFilter, Timestamp};
use crate::runtime::with_sources;
use crate::scrape::{self, Exposition, Ingested, Ingester, Limits};
use crate::series::{ScrapeStats, TargetId, Window};

/// A target as the monitor sees it.
#[derive(Debug)]
pub(super) struct TargetState {
    pub(super) url: String,
    pub(super) labels: Labels,
    pub(super) id: TargetId,
    pub(super) last: Option<LastScrape>,
    pub(super) failures: Vec<(&'static str, u64)>,
    pub(super) refused_total: u64,
    /// When discovery first gave it; `None` when it was there from the start.
    pub(super) appeared: Option<Timestamp>,
    ingester: Ingester,
}

/// How the last scrape went.
#[derive(Debug, Clone)]
pub(super) struct LastScrape {
    pub(super) at: Timestamp,
    pub(super) duration: Duration,
    pub(super) body_bytes: usize,
    pub(super) counts: Ingested,
    pub(super) error: Option<String>,
}

impl TargetState {
    pub(super) fn new(
        target: &Target,
        scrape: &Scrape,
        filter: Arc<SeriesFilter>,
        window: &mut Window,
    ) -> Self {
        let limits = Limits {
            body_size: scrape.body_size_limit,
            samples: scrape.sample_limit,
            labels: scrape.label_limit,
            label_name_length: scrape.label_name_length_limit,
            label_value_length: scrape.label_value_length_limit,
        };
        let labels = target.labels.clone();
        let ingester = Ingester::new(
            limits,
            labels.clone(),
            scrape.honor_labels,
            scrape.honor_timestamps,
            filter,
        );
        Self {
            url: target.url.clone(),
            id: window.add_target(labels.clone()),
            labels,
            last: None,
            failures: scrape::Reason::ALL
                .iter()
                .map(|reason| (reason.as_str(), 0))
                .collect(),
            refused_total: 0,
            appeared: None,
            ingester,
        }
    }

    /// The same target, which appeared at this time; `None` when it was there from the start.
    pub(super) fn since(self, appeared: Option<Timestamp>) -> Self {
        Self { appeared, ..self }
    }

    /// Another set of rules wants other series.
    pub(super) fn set_filter(&mut self, filter: Arc<SeriesFilter>) {
        self.ingester.set_filter(filter);
    }

    /// Puts the outcome of a scrape into the window: all of it, or a failure that makes every series stale.
    pub(super) fn take(
        &mut self,
        window: &mut Window,
        at: Timestamp,
        scraped: &Result<Exposition, scrape::Error>,
        duration: Duration,
    ) {
        let Some(block) = window.target_mut(self.id) else {
            return;
        };
        let (result, body_bytes) = match scraped {
            Ok(exposition) => {
                block.begin(at);
                (
                    self.ingester.ingest(exposition, block),
                    exposition.body.len(),
                )
            }
            Err(error) => {
                self.fail(error.reason());
                block.fail(at, duration);
                self.remember(
                    at,
                    duration,
                    0,
                    Ingested::default(),
                    Some(with_sources(error)),
                );
                return;
            }
        };
        match result {
            Ok(counts) => {
                block.commit(&ScrapeStats {
                    duration,
                    samples: counts.samples,
                    samples_post_relabeling: counts.post_relabeling,
                    series_added: counts.added,
                });
                self.refused_total += counts.refused;
                self.remember(at, duration, body_bytes, counts, None);
            }
            Err(error) => {
                block.rollback();
                block.fail(at, duration);
                self.fail(error.reason());
                let counts = self.ingester.last();
                self.remember(at, duration, body_bytes, counts, Some(with_sources(&error)));
            }
        }
    }

    fn fail(&mut self, reason: scrape::Reason) {
        let reason = reason.as_str();
        if let Some((_, count)) = self.failures.iter_mut().find(|(name, _)| *name == reason) {
            *count += 1;
        }
    }

    fn remember(
        &mut self,
        at: Timestamp,
        duration: Duration,
        body_bytes: usize,
        counts: Ingested,
        error: Option<String>,
    ) {
        self.last = Some(LastScrape {
            at,
            duration,
            body_bytes,
            counts,
            error,
        });
    }
}
