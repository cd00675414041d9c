//! The loop of ticks: scrape, evaluate, remember, tell; and between two ticks, what the outside asks for.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use super::backfill::News;
use super::control::{Command, Loader, Recogniser};
use super::keeper::Keeper;
use super::memory::Memory;
use super::model_monitor::{ModelMonitor, Scraped, Tick};
use super::outlets::Outlets;
use super::producers::Producers;
use super::results::Results;
use super::source::{Asked, Source};
use super::view;
use crate::alert::Alert;
use crate::config::settings::Settings;
use crate::config::{Config, without_credentials};
use crate::metric::{Labels, Timestamp};
use crate::notify::RetrainRequest;
use crate::publish;
use crate::runtime::clock;
use crate::scrape::Schedule;
use crate::scrape::discovery::{Handle, Lookup};

/// The loop of ticks.
pub(super) struct Ticking {
    pub(super) monitor: ModelMonitor,
    pub(super) producers: Producers,
    pub(super) discovery: Handle,
    /// Who evaluates the expressions where there are no targets.
    pub(super) source: Option<Source>,
    pub(super) backfill: Option<mpsc::Receiver<News>>,
    pub(super) outlets: Outlets,
    pub(super) keeper: Keeper,
    pub(super) shared: Arc<publish::Shared>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) loader: Option<Loader>,
    pub(super) recogniser: Option<Recogniser>,
    pub(super) reload: publish::Reload,
    pub(super) fixed: view::Fixed,
    /// The configuration in force, for whoever does not wait for a tick.
    pub(super) current: watch::Sender<Arc<Config>>,
}

impl Ticking {
    /// First scrape at once, then on the schedule; a tick that was missed is skipped, scrapes never overlap.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut at = clock::now();
        // Whoever was told that an alert fires hears that it still does, before anything is evaluated.
        let alerts = self.monitor.due(at);
        self.hand_over(at, &alerts, &[]).await;
        self.publish(at);
        if self.first_answer(&stop).await {
            at = clock::now();
        }
        loop {
            let taken = join(
                self.producers.scrape_all(at),
                ask(self.source.as_mut(), at, self.monitor.due_expressions(at)),
            );
            let (scraped, answers) = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                taken = taken => taken,
            };
            if let Some(back) = self.monitor.follow_clock(at) {
                self.outlets.deliveries().set_back(back);
            }
            let (results, asked) = answers.unzip();
            self.monitor.asked = asked;
            let Tick { alerts, requests } =
                self.monitor.observe_with(at, &scraped, results.as_ref());
            let is_recognised = self.recognise(&scraped);
            drop(scraped);
            debug!(%at, alerts = alerts.len(), requests = requests.len(), "tick");
            self.hand_over(at, &alerts, &requests).await;
            if is_recognised {
                // How it went is logged and on the page.
                let _told = self.obey_reload(at).await;
            }
            self.publish(at);
            self.shared.set_ready();
            let Some(next) = self.idle(&stop).await else {
                break;
            };
            at = next;
        }
        self.shared.set_stopping();
        let mut memory = self.monitor.remember(true);
        memory.urgent = true;
        self.keeper.commit(memory, Vec::new(), at).await;
        info!("no more scrapes");
    }

    /// Waits for the first answer about the name that targets are found by, so that the first scrape is at once; not for long.
    async fn first_answer(&mut self, stop: &CancellationToken) -> bool {
        if lookup(&self.monitor.config).is_none() {
            return false;
        }
        let limit = self.monitor.config.settings.global.scrape_timeout;
        tokio::select! {
            biased;
            () = stop.cancelled() => return false,
            heard = timeout(limit, self.discovery.changed()) => if heard.is_err() {
                info!("no answer yet about where the targets are");
            }
        }
        self.take_discovered(clock::now());
        true
    }

    /// Takes up the answer about the name that is configured now. Returns the positions of targets that are new.
    fn take_discovered(&mut self, at: Timestamp) -> Vec<usize> {
        let found = self.discovery.found();
        let wanted = lookup(&self.monitor.config).map(|lookup| lookup.question);
        let addresses = found.addresses.filter(|_| found.question == wanted);
        let Some(addresses) = addresses else {
            return Vec::new();
        };
        let new = self.monitor.discovered(&addresses, at);
        self.producers.retarget(&self.monitor.targets());
        new
    }

    /// The targets are others; new ones are scraped at once, as far as the time to the next tick allows.
    async fn retarget(&mut self, next: Timestamp, stop: &CancellationToken) {
        let at = clock::now();
        let new = self.take_discovered(at);
        if !new.is_empty() {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                scraped = self.producers.scrape_some(&new, at, next.since(at)) => {
                    self.monitor.take_early(at, scraped);
                }
            }
        }
        // Nothing was evaluated: what is judged is as of the last tick.
        self.publish(self.monitor.last_tick.unwrap_or(at));
    }

    /// Writes what happened to the store, then tells the world.
    async fn hand_over(&mut self, at: Timestamp, alerts: &[Alert], requests: &[RetrainRequest]) {
        let memory = if self.keeper.is_kept() {
            self.monitor.remember(self.keeper.wants_learnt(at))
        } else {
            Memory::default()
        };
        let entries = self.outlets.route(requests);
        let entries = self.keeper.commit(memory, entries, at).await;
        self.outlets.deliver(alerts, entries);
    }

    /// Obeys commands until the next tick and gives its time; `None` when it is time to stop.
    async fn idle(&mut self, stop: &CancellationToken) -> Option<Timestamp> {
        let mut next = schedule(&self.monitor.config).next_after(clock::now());
        loop {
            let mut heard = false;
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                Some(command) = self.commands.recv() => {
                    self.obey(command).await;
                    // Another configuration may have another schedule.
                    next = schedule(&self.monitor.config).next_after(clock::now());
                }
                Some(news) = hear(self.backfill.as_mut()) => self.learn(news).await,
                true = self.discovery.changed() => heard = true,
                next = Self::at(next) => return Some(next),
            }
            if heard {
                self.retarget(next, stop).await;
            }
        }
    }

    /// Takes up what a backfill says.
    async fn learn(&mut self, news: News) {
        let at = clock::now();
        match news {
            News::Progress(progress) => self.monitor.backfill = Some(progress),
            News::Learnt(progress) => {
                self.monitor.adopt(&progress.learnt, &progress.counted);
                self.monitor.backfill = Some(publish::Backfill {
                    state: "done",
                    progress: 1.0,
                    error: None,
                });
                let mut memory = self.monitor.remember(true);
                memory.urgent = true;
                self.keeper.commit(memory, Vec::new(), at).await;
                let store = Arc::clone(self.keeper.store());
                if let Err(error) = spawn_blocking(move || progress.finish(&store)).await {
                    error!(%error, "that the backfill is through could not be stored");
                }
            }
        }
        self.publish(at);
    }

    async fn obey(&mut self, command: Command) {
        let at = clock::now();
        match command {
            Command::Reload(reply) => {
                let result = self.obey_reload(at).await;
                self.publish(at);
                // Whoever asked may be gone.
                let _gone = reply.send(result);
            }
            Command::Done(id, reply) => {
                let known = self.monitor.retrained(&id);
                info!(id, known, "retraining reported done");
                self.hand_over(at, &[], &[]).await;
                let _gone = reply.send(known);
            }
        }
    }

    /// Whether a target has just turned out to be what rules are there for.
    fn recognise(&self, scraped: &[Scraped]) -> bool {
        let Some(recognise) = &self.recogniser else {
            return false;
        };
        let mut answers = scraped
            .iter()
            .filter_map(|scraped| scraped.result.as_ref().ok());
        answers.any(|exposition| recognise(exposition))
    }

    async fn obey_reload(&mut self, at: Timestamp) -> Result<(), String> {
        let result = self.reload(at).await;
        self.reload.error = result.clone().err();
        if result.is_ok() {
            self.reload.succeeded_at = at;
        }
        result
    }

    /// Reads the configuration again and goes on under it, or under the old one when anything is wrong with it.
    async fn reload(&mut self, at: Timestamp) -> Result<(), String> {
        let loaded = match self.loader.clone() {
            None => Err("there is no file to read again".to_owned()),
            Some(load) => match spawn_blocking(move || load()).await {
                Ok(loaded) => loaded.map_err(|problems| without_credentials(&problems.to_string())),
                Err(error) => Err(format!("reading the configuration failed: {error}")),
            },
        };
        let config = loaded.and_then(|config| {
            unchangeable(&self.monitor.config.settings, &config.settings).map(|()| Arc::new(config))
        });
        let config = match config {
            Ok(config) => config,
            Err(problems) => {
                error!(%problems, "the configuration was not reloaded; the old one stays in force");
                return Err(problems);
            }
        };
        self.source = Source::new(&config);
        self.outlets.reconfigure(&config);
        self.discovery.reconfigure(lookup(&config));
        let alerts = self.monitor.reload(Arc::clone(&config), at);
        self.producers.reconfigure(&config, &self.monitor.targets());
        self.current.send_replace(config);
        self.fixed = view::Fixed::of(&self.monitor);
        self.hand_over(at, &alerts, &[]).await;
        info!(
            rules = self
                .monitor
                .config
                .rules
                .groups
                .iter()
                .map(|group| group.rules.len())
                .sum::<usize>(),
            hash = self.monitor.context.config_hash,
            "the configuration was reloaded"
        );
        Ok(())
    }

    /// Waits for a time and gives it.
    async fn at(time: Timestamp) -> Timestamp {
        sleep_until(Instant::now() + time.since(clock::now())).await;
        time
    }

    fn publish(&self, at: Timestamp) {
        let snapshot = view::snapshot(
            &self.monitor,
            &self.outlets,
            &self.fixed,
            (self.keeper.is_durable(), self.reload.clone()),
            at,
        );
        self.shared.publish(publish::Snapshot {
            discovery: self.discovered(),
            ..snapshot
        });
    }

    /// How the targets are found, as it is shown.
    fn discovered(&self) -> Option<publish::Discovery> {
        let lookup = lookup(&self.monitor.config)?;
        let found = self.discovery.found();
        let current = found.question.as_ref() == Some(&lookup.question);
        let count = |addresses: Vec<_>| addresses.len() as u64;
        Some(publish::Discovery {
            name: lookup.question.to_string(),
            targets: found.addresses.filter(|_| current).map(count),
            lookups: found.lookups,
            failures: found.failures,
            error: found.error.filter(|_| current),
        })
    }
}

/// What is built into the running process.
fn unchangeable(was: &Settings, is: &Settings) -> Result<(), String> {
    let mut problems = Vec::new();
    if was.model.labels() != is.model.labels() {
        problems.push("model: stands on every counter; restart to change it");
    }
    if was.storage.path != is.storage.path {
        problems.push("storage.path: is open; restart to change it");
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(problems.join("\n"))
}

/// One phase for all targets, from the first or from the name that they are found by: an evaluation follows when every target has answered.
fn schedule(config: &Config) -> Schedule {
    let interval = config.settings.global.scrape_interval;
    let scrape = &config.settings.scrape;
    match (scrape.targets.first(), &scrape.discovery) {
        (Some(target), _) => Schedule::new(interval, &target.labels, &target.url),
        (None, Some(discovery)) => {
            let name = discovery.lookup.question.to_string();
            Schedule::new(interval, &discovery.labels, &name)
        }
        (None, None) => Schedule::new(interval, &Labels::empty(), ""),
    }
}

/// Asks the source, where there is one, about everything that is due.
async fn ask(
    source: Option<&mut Source>,
    at: Timestamp,
    due: HashSet<String>,
) -> Option<(Results, Asked)> {
    Some(source?.ask(at, &due).await)
}

/// The next news of a backfill; never any where there is none.
async fn hear(backfill: Option<&mut mpsc::Receiver<News>>) -> Option<News> {
    backfill?.recv().await
}

/// What is looked up under a configuration.
pub(super) fn lookup(config: &Config) -> Option<Lookup> {
    let discovery = config.settings.scrape.discovery.as_ref();
    discovery.map(|discovery| discovery.lookup.clone())
}
