//! The tasks around a monitor: scrapes before each tick, deliveries and the server after it.

use std::fmt;
use std::future::{Future, ready};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::{broadcast, mpsc, watch};

use super::backfill::{Backfill, BackfillEvent};
use super::control::{self, Api, Command, Loader};
use super::dispatcher::Dispatcher;
use super::error::MonitorError;
use super::open_store::{self, Place};
use super::options::Options;
use super::probe::Prober;
use super::producers::Producers;
use super::queries::{self, QueryApi};
use super::reloading::left_out;
use super::remote::RemoteSource;
use super::snapshot::Fixed;
use super::store_handle::StoreHandle;
use super::stored::stored_state;
use super::tick_loop::{TickLoop, announce, lookup};
use super::writer::{WRITE_TIMEOUT, Writer};
use crate::alert::Alert;
use crate::config::Config;
use crate::judge::Registry;
use crate::metric::Timestamp;
use crate::monitor::ModelMonitor;
use crate::publish;
use crate::runtime::dns::Resolve;
use crate::runtime::{Stage, Supervisor, clock, on_own_thread, reload_signal};
use crate::scrape::discovery::{Discovery, Handle};
use crate::state::Store;

/// How long queues may drain at stop.
const GRACE: Duration = Duration::from_secs(10);

/// The stages of stopping, first to last.
const WATCHING: usize = 0;
const DELIVERING: usize = 1;
const SERVING: usize = 2;

/// A monitor with everything that it talks to. [Build](Service::builder) it, subscribe, bind the
/// server, run it.
pub struct Service {
    pub(super) config: Config,
    pub(super) registry: Registry,
    pub(super) monitor: ModelMonitor,
    pub(super) subscribers: broadcast::Sender<Alert>,
    pub(super) producers: Producers,
    pub(super) options: Options,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("producers", &self.producers)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// Every change of every alert from now on, for any number of subscribers.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Alert> {
        self.subscribers.subscribe()
    }

    /// Runs until `stop` completes, then ends the tick, drains the queues and closes the server
    /// last.
    ///
    /// # Errors
    /// If the deliveries cannot be prepared, or a task that should run forever ended.
    pub async fn run(
        mut self,
        server: publish::Server,
        stop: impl Future<Output = ()>,
    ) -> Result<(), MonitorError> {
        let hang_ups = reload_signal()?;
        let url = server.url();
        self.config = self.config.with_default_url(&url);
        let links = &self.config.settings.global.external_url;
        self.monitor.set_external_url(links);
        let mut supervisor = Supervisor::new(3);
        let shared = Arc::new(publish::Shared::new(&self.config.settings.model.labels()));
        serve(
            supervisor.stage(SERVING),
            &shared,
            server,
            self.options.health.take(),
        );
        let mut stop = pin!(stop);
        let place = Place {
            path: self.config.settings.storage.path.as_deref(),
            standby: self.options.standby,
            is_optional: self.options.is_store_optional,
        };
        let stage = supervisor.stage(DELIVERING);
        let Some(store) = open_store::open_unless(&mut stop, place, &shared, stage).await? else {
            supervisor.run(ready(()), GRACE).await;
            return Ok(());
        };
        let task = self.prepare(&mut supervisor, &store, (shared, url), hang_ups)?;
        // Parsing a body and evaluating the rules take as long as the target's series make them;
        // health, pages, signals and deliveries do not wait for it.
        let watching = on_own_thread(task.run(supervisor.token(WATCHING)));
        supervisor.spawn(WATCHING, "watching", async {
            watching.await;
        });
        let ended = supervisor.run(stop, GRACE + Duration::from_secs(5)).await;
        open_store::close(store, ended).await
    }

    /// Restores the state of an earlier process, if it is kept.
    fn continue_from(&mut self, store: &Store, at: Timestamp) {
        if !store.is_kept() {
            self.monitor.start(at);
            return;
        }
        let changes = self.monitor.restore(stored_state(store), at);
        announce(&changes, &self.subscribers);
    }

    /// The tick loop over an open store, and the tasks beside it.
    fn prepare(
        mut self,
        supervisor: &mut Supervisor,
        store: &Arc<Store>,
        (shared, url): (Arc<publish::Shared>, String),
        hang_ups: Signal,
    ) -> Result<TickLoop, MonitorError> {
        let at = clock::now();
        self.continue_from(store, at);
        let config = Arc::new(self.config);
        let (current, in_force) = watch::channel(Arc::clone(&config));
        let polling = Polling::of(&self.options, in_force.clone());
        let dispatcher = Dispatcher::new(
            &config,
            self.options.notifiers,
            Arc::clone(store),
            supervisor.stage(DELIVERING),
            GRACE,
        )?;
        let (commands, queue) = control::queue();
        let (asker, questions) = queries::queue();
        let api = Api {
            commands: commands.clone(),
            deliveries: dispatcher.deliveries().clone(),
            lifecycle: self.options.lifecycle,
            queries: Some(QueryApi::new(asker, &shared, &in_force)),
            prober: Some(Prober::new(in_force, self.registry.clone())),
        };
        shared.set_control(api.control());
        let mut watching = supervisor.stage(WATCHING);
        request_reloads(&mut watching, hang_ups, polling, commands);
        let events = learn_from_history(&mut watching, &config, &self.registry, store);
        let backfill = events.as_ref().map(|_| publish::Backfill {
            state: "running",
            ..publish::Backfill::default()
        });
        Ok(TickLoop {
            config_hash: config.hash(),
            started: Arc::clone(&config),
            monitor: self.monitor,
            producers: self.producers,
            remote: RemoteSource::new(&config),
            round: None,
            backfill_events: events,
            backfill,
            discovery: look_up(&mut watching, &config, self.options.resolver),
            store: write_beside(&mut watching, store, &dispatcher),
            dispatcher,
            shared,
            subscribers: self.subscribers,
            commands: queue,
            questions,
            loader: self.options.loader,
            recogniser: self.options.recogniser,
            loading: None,
            reload: publish::Reload {
                succeeded_at: at,
                is_partial: !config.left_out.is_empty(),
                error: left_out(&config),
            },
            fixed: Fixed::of(&config),
            current,
            url,
            config,
        })
    }
}

/// The servers, which start first and stop last.
pub(crate) fn serve(
    mut stage: Stage<'_>,
    shared: &Arc<publish::Shared>,
    server: publish::Server,
    health: Option<publish::Server>,
) {
    stage.spawn("server", server.run(Arc::clone(shared), stage.token()));
    if let Some(health) = health {
        let task = health.run_health(Arc::clone(shared), stage.token());
        stage.spawn("health server", task);
    }
}

/// The task that writes the output of ticks; it ends after the tick loop.
fn write_beside(stage: &mut Stage<'_>, store: &Arc<Store>, dispatcher: &Dispatcher) -> StoreHandle {
    let (handle, writer) = Writer::new(Arc::clone(store), dispatcher.delivery(), WRITE_TIMEOUT);
    stage.spawn("writing", writer.run());
    handle
}

/// The task that learns from history, if configured.
fn learn_from_history(
    stage: &mut Stage<'_>,
    config: &Config,
    registry: &Registry,
    store: &Arc<Store>,
) -> Option<mpsc::Receiver<BackfillEvent>> {
    let (backfill, events) = Backfill::new(config, registry, store, clock::now())?;
    stage.spawn("backfill", backfill.run(stage.token()));
    Some(events)
}

/// The task that resolves the targets' addresses.
fn look_up(stage: &mut Stage<'_>, config: &Config, resolver: Arc<dyn Resolve>) -> Handle {
    let (handle, lookups) = Discovery::new(lookup(config), resolver);
    stage.spawn("discovery", lookups.run(stage.token()));
    handle
}

/// How the configuration's files are watched.
struct Polling {
    loader: Loader,
    every: Duration,
    in_force: watch::Receiver<Arc<Config>>,
}

impl Polling {
    /// Of a service, unless it is off.
    fn of(options: &Options, in_force: watch::Receiver<Arc<Config>>) -> Option<Self> {
        Some(Self {
            loader: options.loader.clone()?,
            every: options.polling?,
            in_force,
        })
    }
}

/// The tasks that request a reload: at SIGHUP, and when the files have changed.
fn request_reloads(
    stage: &mut Stage<'_>,
    hang_ups: Signal,
    polling: Option<Polling>,
    commands: mpsc::Sender<Command>,
) {
    if let Some(polling) = polling {
        let Polling {
            loader,
            every,
            in_force,
        } = polling;
        let task = control::poll(loader, every, in_force, commands.clone(), stage.token());
        stage.spawn("polling", task);
    }
    stage.spawn(
        "signals",
        control::hang_ups(hang_ups, commands, stage.token()),
    );
}
