//! The tasks around a monitor: scrapes before each tick, deliveries and the server after it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::keeper::Keeper;
use super::memory::Memory;
use super::model_monitor::{ModelMonitor, Scraped, Tick};
use super::outlets::Outlets;
use super::{MonitorError, view};
use crate::alert::Alert;
use crate::config::Config;
use crate::config::settings::Scrape;
use crate::judge::Registry;
use crate::metric::{Labels, Timestamp};
use crate::notify::{RetrainRequest, RetrainingNotifier};
use crate::publish;
use crate::runtime::http::Client;
use crate::runtime::{Ended, Supervisor, clock};
use crate::scrape::{self, Format, HttpProducer, MetricProducer, Schedule};

/// How long queues may drain at stop.
const GRACE: Duration = Duration::from_secs(10);

/// The stages of stopping, first to last.
const WATCHING: usize = 0;
const DELIVERING: usize = 1;
const SERVING: usize = 2;

/// A monitor with everything that it talks to. Build it, subscribe, bind the server, run it.
pub struct Service {
    config: Arc<Config>,
    monitor: ModelMonitor,
    producers: Vec<Box<dyn MetricProducer>>,
    notifiers: Vec<Arc<dyn RetrainingNotifier>>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("producers", &self.producers.len())
            .finish_non_exhaustive()
    }
}

impl Service {
    /// A service for a checked configuration, with an HTTP producer for each of its targets.
    #[must_use]
    pub fn new(config: Config, registry: &Registry) -> Self {
        let config = Arc::new(config);
        let monitor = ModelMonitor::new(Arc::clone(&config), registry);
        let producers = producers(&config);
        Self {
            config,
            monitor,
            producers,
            notifiers: Vec::new(),
        }
    }

    /// Replaces the producer of the target at this position of the configuration.
    #[must_use]
    pub fn with_producer(mut self, target: usize, producer: Box<dyn MetricProducer>) -> Self {
        if let Some(place) = self.producers.get_mut(target) {
            *place = producer;
        }
        self
    }

    /// Adds a receiver of retraining requests beside the configured webhooks.
    #[must_use]
    pub fn with_notifier(mut self, notifier: Arc<dyn RetrainingNotifier>) -> Self {
        self.notifiers.push(notifier);
        self
    }

    /// Every change of every alert from now on, for any number of subscribers.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Alert> {
        self.monitor.subscribe()
    }

    /// Runs until `stop` completes, then ends the tick, drains the queues and closes the server last.
    ///
    /// # Errors
    /// When the deliveries cannot be prepared, or a task that should run for ever ended.
    pub async fn run(
        mut self,
        server: publish::Server,
        stop: impl Future<Output = ()>,
    ) -> Result<(), MonitorError> {
        let at = clock::now();
        let path = self.config.settings.storage.path.as_deref();
        let keeper = Keeper::open(path, at).await?;
        let store = Arc::clone(keeper.store());
        if keeper.is_durable() {
            self.monitor.restore(&store, at);
        }
        let mut supervisor = Supervisor::new(3);
        let outlets = Outlets::new(
            &self.config,
            self.notifiers,
            Arc::clone(&store),
            (&mut supervisor, DELIVERING),
            GRACE,
        )?;
        let shared = Arc::new(publish::Shared::new(&self.config.settings.model.labels()));
        let published = Arc::clone(&shared);
        let serving = supervisor.token(SERVING);
        supervisor.spawn(SERVING, "server", server.run(published, serving));
        let watching = supervisor.token(WATCHING);
        let task = Watching {
            schedule: schedule(&self.config),
            timeout: self.config.settings.global.scrape_timeout,
            monitor: self.monitor,
            producers: self.producers,
            outlets,
            keeper,
            shared,
        };
        supervisor.spawn(WATCHING, "watching", task.run(watching));
        let ended = supervisor.run(stop, GRACE + Duration::from_secs(5)).await;
        Keeper::close(store).await;
        match ended {
            Ended::Asked => Ok(()),
            Ended::Task(name, how) => Err(MonitorError::Task { name, how }),
        }
    }
}

/// One phase for all targets, from the first: an evaluation follows when every target has answered.
fn schedule(config: &Config) -> Schedule {
    let interval = config.settings.global.scrape_interval;
    match config.settings.scrape.targets.first() {
        Some(target) => Schedule::new(interval, &target.labels, &target.url),
        None => Schedule::new(interval, &Labels::empty(), ""),
    }
}

fn producers(config: &Config) -> Vec<Box<dyn MetricProducer>> {
    let Scrape {
        targets,
        http,
        body_size_limit,
        fallback_protocol,
        ..
    } = &config.settings.scrape;
    let client = Arc::new(Client::new(http.clone()));
    let fallback = fallback_protocol.as_ref().map(|protocol| {
        if protocol.starts_with("OpenMetrics") {
            Format::OpenMetrics
        } else {
            Format::Text
        }
    });
    let producer = |url: &String| -> Box<dyn MetricProducer> {
        let target = scrape::Target {
            timeout: config.settings.global.scrape_timeout,
            body_size_limit: *body_size_limit,
            fallback,
            ..scrape::Target::new(url)
        };
        Box::new(HttpProducer::new(target, Arc::clone(&client)))
    };
    targets.iter().map(|target| producer(&target.url)).collect()
}

/// The loop of ticks.
struct Watching {
    schedule: Schedule,
    timeout: Duration,
    monitor: ModelMonitor,
    producers: Vec<Box<dyn MetricProducer>>,
    outlets: Outlets,
    keeper: Keeper,
    shared: Arc<publish::Shared>,
}

impl Watching {
    /// First scrape at once, then on the schedule; a tick that was missed is skipped, scrapes never overlap.
    async fn run(mut self, stop: CancellationToken) {
        let mut at = clock::now();
        // Whoever was told that an alert fires hears that it still does, before anything is evaluated.
        let alerts = self.monitor.due(at);
        self.hand_over(at, &alerts, &[]).await;
        self.publish(at);
        loop {
            let scraped = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                scraped = scrape_all(&mut self.producers, at, self.timeout) => scraped,
            };
            let Tick { alerts, requests } = self.monitor.observe(at, &scraped);
            drop(scraped);
            debug!(%at, alerts = alerts.len(), requests = requests.len(), "tick");
            self.hand_over(at, &alerts, &requests).await;
            self.publish(at);
            self.shared.set_ready();
            at = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                next = Self::next(self.schedule) => next,
            };
        }
        self.shared.set_stopping();
        let mut memory = self.monitor.remember(true);
        memory.urgent = true;
        self.keeper.commit(memory, Vec::new(), at).await;
        info!("no more scrapes");
    }

    /// Writes what happened to the store, then tells the world.
    async fn hand_over(&mut self, at: Timestamp, alerts: &[Alert], requests: &[RetrainRequest]) {
        let memory = if self.keeper.is_durable() {
            self.monitor.remember(self.keeper.wants_learnt(at))
        } else {
            Memory::default()
        };
        let entries = self.outlets.route(requests);
        let entries = self.keeper.commit(memory, entries, at).await;
        self.outlets.deliver(alerts, entries);
    }

    /// Waits for the next scheduled time and gives it.
    async fn next(schedule: Schedule) -> Timestamp {
        let now = clock::now();
        let next = schedule.next_after(now);
        sleep_until(Instant::now() + next.since(now)).await;
        next
    }

    fn publish(&self, at: Timestamp) {
        self.shared.publish(view::snapshot(
            &self.monitor,
            &self.outlets,
            self.keeper.is_durable(),
            at,
        ));
    }
}

/// Asks every target at once; each answers, fails or times out.
async fn scrape_all(
    producers: &mut [Box<dyn MetricProducer>],
    at: Timestamp,
    limit: Duration,
) -> Vec<Scraped> {
    let scrapes = producers.iter_mut().map(|producer| async move {
        let started = Instant::now();
        // The producer has the same limit; this one is for producers that forget theirs.
        let result = match timeout(limit + limit / 10, producer.produce(at)).await {
            Ok(result) => result,
            Err(_) => Err(scrape::Error::Timeout {
                url: "the producer".to_owned(),
                timeout: limit,
            }),
        };
        Scraped {
            result,
            duration: started.elapsed(),
        }
    });
    join_all(scrapes).await
}
