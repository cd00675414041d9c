//! The tasks around a monitor: scrapes before each tick, deliveries and the server after it.

use std::fmt;
use std::future::{Future, ready};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::{broadcast, mpsc, watch};

use super::MonitorError;
use super::backfill::{Backfill, News};
use super::control::{self, Api, Command, Loader, Recogniser};
use super::keeper::Keeper;
use super::model_monitor::ModelMonitor;
use super::opening;
use super::outlets::Outlets;
use super::probe::Prober;
use super::producers::Producers;
use super::source::Source;
use super::ticking::{Ticking, lookup};
use super::view;
use super::writer::PATIENCE;
use crate::alert::Alert;
use crate::config::Config;
use crate::judge::Registry;
use crate::metric::Timestamp;
use crate::notify::RetrainingNotifier;
use crate::publish;
use crate::runtime::dns::{self, Resolve};
use crate::runtime::{Supervisor, clock, reload_signal};
use crate::scrape::MetricProducer;
use crate::scrape::discovery::{Discovery, Handle};
use crate::state::Store;

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
    producers: Producers,
    resolver: Arc<dyn Resolve>,
    notifiers: Vec<Arc<dyn RetrainingNotifier>>,
    loader: Option<Loader>,
    recogniser: Option<Recogniser>,
    lifecycle: bool,
    /// Time between two looks at the files.
    polling: Option<Duration>,
    health: Option<publish::Server>,
    standby: bool,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("producers", &self.producers)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// A service for a checked configuration, with an HTTP producer for each of its targets.
    #[must_use]
    pub fn new(config: Config, registry: &Registry) -> Self {
        let config = Arc::new(config);
        let monitor = ModelMonitor::new(Arc::clone(&config), registry);
        let producers = Producers::new(&config, &monitor.targets());
        Self {
            config,
            monitor,
            producers,
            resolver: Arc::new(dns::Resolver),
            notifiers: Vec::new(),
            loader: None,
            recogniser: None,
            lifecycle: false,
            polling: None,
            health: None,
            standby: false,
        }
    }

    /// Replaces the producer of the target at this position of the configuration.
    #[must_use]
    pub fn with_producer(mut self, target: usize, producer: Box<dyn MetricProducer>) -> Self {
        self.producers.replace(target, producer);
        self
    }

    /// Asks another resolver for the addresses of `scrape.discovery`.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = resolver;
        self
    }

    /// Adds a receiver of retraining requests beside the configured webhooks.
    #[must_use]
    pub fn with_notifier(mut self, notifier: Arc<dyn RetrainingNotifier>) -> Self {
        self.notifiers.push(notifier);
        self
    }

    /// Reads the configuration again with `loader` at every SIGHUP, and at `POST /-/reload` when `over_http` is set.
    #[must_use]
    pub fn with_reload(mut self, loader: Loader, over_http: bool) -> Self {
        self.loader = Some(loader);
        self.lifecycle = over_http;
        self
    }

    /// Shows each scrape to `recogniser`, and reads the configuration again when it has learnt what the target is.
    #[must_use]
    pub fn with_recogniser(mut self, recogniser: Recogniser) -> Self {
        self.recogniser = Some(recogniser);
        self
    }

    /// Looks every so often whether the configuration has changed, and reloads it then; needs [`Service::with_reload`].
    #[must_use]
    pub fn with_polling(mut self, every: Duration) -> Self {
        self.polling = Some(every).filter(|every| !every.is_zero());
        self
    }

    /// Answers `/-/healthy` and `/-/ready` on a listener of their own as well.
    #[must_use]
    pub fn with_health(mut self, server: publish::Server) -> Self {
        self.health = Some(server);
        self
    }

    /// Waits for a store that another process has, instead of failing.
    #[must_use]
    pub fn with_standby(self, standby: bool) -> Self {
        Self { standby, ..self }
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
        let hang_ups = reload_signal()?;
        let mut supervisor = Supervisor::new(3);
        let shared = Arc::new(publish::Shared::new(&self.config.settings.model.labels()));
        serve(&mut supervisor, &shared, server, self.health);
        let mut stop = pin!(stop);
        let storage = &self.config.settings.storage;
        let place = (storage.path.as_deref(), self.standby);
        let task = (&mut supervisor, DELIVERING);
        let Some(store) = opening::open_unless(&mut stop, place, &shared, task).await? else {
            supervisor.run(ready(()), GRACE).await;
            return Ok(());
        };
        let at = clock::now();
        if store.is_kept() {
            self.monitor.restore(&store, at);
        }
        let outlets = Outlets::new(
            &self.config,
            self.notifiers,
            Arc::clone(&store),
            (&mut supervisor, DELIVERING),
            GRACE,
        )?;
        let (commands, queue) = control::queue();
        let (current, in_force) = watch::channel(Arc::clone(&self.config));
        let api = Api {
            commands: commands.clone(),
            deliveries: outlets.deliveries().clone(),
            lifecycle: self.lifecycle,
            prober: Some(Prober::new(in_force, self.monitor.registry.clone())),
        };
        shared.set_control(api.control());
        let polling = (self.loader.clone(), self.polling, self.config.hash());
        reload_when_told(&mut supervisor, hang_ups, polling, &commands);
        let task = Ticking {
            backfill: learn_from_history(&mut self.monitor, &mut supervisor, &store, at),
            fixed: view::Fixed::of(&self.monitor),
            current,
            monitor: self.monitor,
            producers: self.producers,
            source: Source::new(&self.config),
            discovery: look_up(&mut supervisor, &self.config, self.resolver),
            keeper: write_beside(&mut supervisor, &store, &outlets),
            outlets,
            shared,
            commands: queue,
            loader: self.loader,
            recogniser: self.recogniser,
            loading: None,
            reload: publish::Reload {
                succeeded_at: at,
                error: None,
            },
        };
        let watching = task.run(supervisor.token(WATCHING));
        supervisor.spawn(WATCHING, "watching", watching);
        let ended = supervisor.run(stop, GRACE + Duration::from_secs(5)).await;
        opening::close(store, ended).await
    }
}

/// The servers, first to begin and last to end.
fn serve(
    supervisor: &mut Supervisor,
    shared: &Arc<publish::Shared>,
    server: publish::Server,
    health: Option<publish::Server>,
) {
    let serving = supervisor.token(SERVING);
    supervisor.spawn(SERVING, "server", server.run(Arc::clone(shared), serving));
    if let Some(health) = health {
        let task = health.run_health(Arc::clone(shared), supervisor.token(SERVING));
        supervisor.spawn(SERVING, "health server", task);
    }
}

/// The task that writes what ticks leave; it ends after them.
fn write_beside(supervisor: &mut Supervisor, store: &Arc<Store>, outlets: &Outlets) -> Keeper {
    let (keeper, writer) = Keeper::new(Arc::clone(store), outlets.delivery(), PATIENCE);
    supervisor.spawn(WATCHING, "writing", writer.run());
    keeper
}

/// The task that learns from history, where that is configured.
fn learn_from_history(
    monitor: &mut ModelMonitor,
    supervisor: &mut Supervisor,
    store: &Arc<Store>,
    at: Timestamp,
) -> Option<mpsc::Receiver<News>> {
    let registry = monitor.registry.clone();
    let (backfill, news) = Backfill::new(&monitor.config, &registry, store, at)?;
    monitor.backfill = Some(publish::Backfill {
        state: "running",
        ..publish::Backfill::default()
    });
    let task = backfill.run(supervisor.token(WATCHING));
    supervisor.spawn(WATCHING, "backfill", task);
    Some(news)
}

/// The task that looks up where the targets are.
fn look_up(supervisor: &mut Supervisor, config: &Config, resolver: Arc<dyn Resolve>) -> Handle {
    let (handle, lookups) = Discovery::new(lookup(config), resolver);
    let task = lookups.run(supervisor.token(WATCHING));
    supervisor.spawn(WATCHING, "discovery", task);
    handle
}

/// The tasks that ask for a reload: at SIGHUP, and when a look at the files shows something new.
fn reload_when_told(
    supervisor: &mut Supervisor,
    hang_ups: Signal,
    (loader, every, known): (Option<Loader>, Option<Duration>, String),
    commands: &mpsc::Sender<Command>,
) {
    let stop = supervisor.token(WATCHING);
    if let (Some(loader), Some(every)) = (loader, every) {
        let task = control::poll(loader, every, known, commands.clone(), stop.clone());
        supervisor.spawn(WATCHING, "polling", task);
    }
    let hang_ups = control::hang_ups(hang_ups, commands.clone(), stop);
    supervisor.spawn(WATCHING, "signals", hang_ups);
}
