//! The producers of expositions: one per target, in the order of the targets.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use crate::config::Config;
use crate::config::settings::Scrape;
use crate::metric::Timestamp;
use crate::monitor::{ScrapeFailure, Scraped, Target};
use crate::runtime::http::Client;
use crate::scrape::{self, Format, HttpProducer, MetricProducer};

/// Bytes that the answers of all targets may always have together.
const LEAST_FOR_ALL: u64 = 64 << 20;

/// Producers that replace the HTTP producers of targets, by the label `instance`.
pub(super) type ByInstance = HashMap<String, Box<dyn MetricProducer>>;

/// A target and its producer.
struct TargetProducer {
    target: Target,
    producer: Box<dyn MetricProducer>,
    /// Whether the producer is the embedder's own.
    is_custom: bool,
}

/// The producers of all targets.
pub(super) struct Producers {
    all: Vec<TargetProducer>,
    /// Custom producers whose target does not exist at present.
    unused: ByInstance,
    client: Arc<Client>,
    scrape: Scrape,
    timeout: Duration,
}

impl fmt::Debug for Producers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producers")
            .field("targets", &self.all.len())
            .finish_non_exhaustive()
    }
}

impl Producers {
    /// The custom producer of each of these targets, or an HTTP producer.
    pub(super) fn new(config: &Config, targets: &[Target], custom: ByInstance) -> Self {
        let scrape = config.settings.scrape.clone();
        let mut producers = Self {
            all: Vec::new(),
            unused: custom,
            client: Arc::new(client(&scrape)),
            scrape,
            timeout: config.settings.global.scrape_timeout,
        };
        producers.retarget(targets);
        producers
    }

    /// Other targets. One that stays keeps its producer, with its connection; the custom producer
    /// of one that disappears is kept until the target comes back.
    pub(super) fn retarget(&mut self, targets: &[Target]) {
        self.set_aside_custom();
        let old = std::mem::take(&mut self.all).into_iter();
        let mut old: HashMap<String, TargetProducer> =
            old.map(|old| (old.target.url.clone(), old)).collect();
        let all = targets.iter().map(|target| {
            let instance = target.labels.get("instance").unwrap_or_default();
            let custom = self.unused.remove(instance);
            let is_custom = custom.is_some();
            let known = old.remove(&target.url).filter(|old| old.target == *target);
            let producer = custom
                .or(known.map(|old| old.producer))
                .unwrap_or_else(|| self.http_producer(&target.url));
            TargetProducer {
                target: target.clone(),
                producer,
                is_custom,
            }
        });
        self.all = all.collect();
    }

    /// Moves the custom producers away from their targets.
    fn set_aside_custom(&mut self) {
        for old in self.all.extract_if(.., |old| old.is_custom) {
            let instance = old.target.labels.get("instance").unwrap_or_default();
            self.unused.insert(instance.to_owned(), old.producer);
        }
    }

    /// Another configuration; the way to scrape may be another.
    pub(super) fn reconfigure(&mut self, config: &Config, targets: &[Target]) {
        let is = &config.settings;
        let same = self.timeout == is.global.scrape_timeout
            && self.scrape.http == is.scrape.http
            && self.scrape.body_size_limit == is.scrape.body_size_limit
            && self.scrape.protocols == is.scrape.protocols
            && self.scrape.fallback_protocol == is.scrape.fallback_protocol;
        if same {
            self.retarget(targets);
        } else {
            self.set_aside_custom();
            *self = Self::new(config, targets, std::mem::take(&mut self.unused));
        }
    }

    fn http_producer(&self, url: &str) -> Box<dyn MetricProducer> {
        let fallback = self.scrape.fallback_protocol.as_ref().map(|protocol| {
            if protocol.starts_with("OpenMetrics") {
                Format::OpenMetrics
            } else {
                Format::Text
            }
        });
        let target = scrape::Target {
            timeout: self.timeout,
            body_size_limit: self.scrape.body_size_limit,
            protocols: self.scrape.protocols.clone(),
            fallback,
            ..scrape::Target::new(url)
        };
        Box::new(HttpProducer::new(target, Arc::clone(&self.client)))
    }

    /// Scrapes all targets concurrently; each answers, fails or times out, so one that hangs delays
    /// the others by its timeout at most. `resting` says of each target why it is not scraped.
    pub(super) async fn scrape_all(
        &mut self,
        at: Timestamp,
        resting: &[Option<ScrapeFailure>],
    ) -> Vec<Scraped> {
        let limit = self.timeout;
        let producers = self.all.iter_mut().enumerate();
        let scrapes = producers.map(|(index, one)| {
            let rest = resting.get(index).cloned().flatten();
            async move {
                match rest {
                    None => scrape(&mut *one.producer, at, limit).await,
                    Some(failure) => Scraped {
                        result: Err(failure),
                        duration: Duration::ZERO,
                    },
                }
            }
        });
        self.client.answers().begin();
        join_all(scrapes).await
    }

    /// Scrapes the targets at these positions within `limit`; skips those that do not answer in
    /// time.
    pub(super) async fn scrape_some(
        &mut self,
        positions: &[usize],
        at: Timestamp,
        limit: Duration,
    ) -> Vec<(usize, Scraped)> {
        let limit = limit.min(self.timeout);
        let all = self.all.iter_mut().enumerate();
        let some = all.filter(|(position, _)| positions.contains(position));
        let scrapes = some.map(|(position, one)| async move {
            let scraped = timeout(limit, scrape(&mut *one.producer, at, limit)).await;
            scraped.ok().map(|scraped| (position, scraped))
        });
        join_all(scrapes).await.into_iter().flatten().collect()
    }
}

/// The client for all targets. Their answers of one tick are held in memory together: four of the largest
/// size, or 64 MiB if that is more.
fn client(scrape: &Scrape) -> Client {
    let most = match scrape.body_size_limit {
        0 => u64::MAX,
        limit => limit.saturating_mul(4).max(LEAST_FOR_ALL),
    };
    Client::new(scrape.http.clone()).with_answers(most)
}

async fn scrape(producer: &mut dyn MetricProducer, at: Timestamp, limit: Duration) -> Scraped {
    let started = Instant::now();
    // A producer has the same limit; this one guards against custom producers that ignore it.
    let result = match timeout(limit + limit / 10, producer.produce(at)).await {
        Ok(result) => result,
        Err(_) => Err(scrape::Error::Timeout {
            url: "the producer".to_owned(),
            timeout: limit,
        }),
    };
    Scraped {
        result: result.map_err(ScrapeFailure::from),
        duration: started.elapsed(),
    }
}
