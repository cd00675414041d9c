//! The loop of ticks: scrape, evaluate, remember, tell; and between two ticks, what the outside asks for.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
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
use super::results::Results;
use super::source::{Asked, Source};
use super::view;
use crate::alert::Alert;
use crate::config::settings::{Scrape, Settings};
use crate::config::{Config, without_credentials};
use crate::metric::{Labels, Timestamp};
use crate::notify::RetrainRequest;
use crate::publish;
use crate::runtime::clock;
use crate::runtime::http::Client;
use crate::scrape::{self, Format, HttpProducer, MetricProducer, Schedule};

/// The loop of ticks.
pub(super) struct Ticking {
    pub(super) monitor: ModelMonitor,
    pub(super) producers: Vec<Box<dyn MetricProducer>>,
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
        loop {
            let limit = self.monitor.config.settings.global.scrape_timeout;
            let taken = join(
                scrape_all(&mut self.producers, at, limit),
                ask(self.source.as_mut(), at, self.monitor.due_expressions(at)),
            );
            let (scraped, answers) = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                taken = taken => taken,
            };
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

    /// Obeys commands until the next tick and gives its time; `None` when it is time to stop.
    async fn idle(&mut self, stop: &CancellationToken) -> Option<Timestamp> {
        loop {
            let schedule = schedule(&self.monitor.config);
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                Some(command) = self.commands.recv() => self.obey(command).await,
                Some(news) = hear(self.backfill.as_mut()) => self.learn(news).await,
                next = Self::next(schedule) => return Some(next),
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
        self.replace_producers(&config);
        self.source = Source::new(&config);
        self.outlets.reconfigure(&config);
        let alerts = self.monitor.reload(Arc::clone(&config), at);
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

    /// A target that stays keeps its producer, with its connection, unless the way to scrape changed.
    fn replace_producers(&mut self, config: &Config) {
        let before = Arc::clone(&self.monitor.config);
        let (was, is) = (&before.settings, &config.settings);
        let same = was.global.scrape_timeout == is.global.scrape_timeout
            && was.scrape.http == is.scrape.http
            && was.scrape.body_size_limit == is.scrape.body_size_limit
            && was.scrape.fallback_protocol == is.scrape.fallback_protocol;
        let mut old: Vec<_> = was
            .scrape
            .targets
            .iter()
            .zip(self.producers.drain(..))
            .collect();
        let mut fresh = producers(config);
        for (target, place) in is.scrape.targets.iter().zip(&mut fresh) {
            let known = old.iter().position(|(known, _)| same && *known == target);
            if let Some(index) = known {
                *place = old.swap_remove(index).1;
            }
        }
        self.producers = fresh;
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
            &self.fixed,
            (self.keeper.is_durable(), self.reload.clone()),
            at,
        ));
    }
}

/// What is built into the running process.
fn unchangeable(was: &Settings, is: &Settings) -> Result<(), String> {
    let mut problems = Vec::new();
    if was.model != is.model {
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

/// One phase for all targets, from the first: an evaluation follows when every target has answered.
fn schedule(config: &Config) -> Schedule {
    let interval = config.settings.global.scrape_interval;
    match config.settings.scrape.targets.first() {
        Some(target) => Schedule::new(interval, &target.labels, &target.url),
        None => Schedule::new(interval, &Labels::empty(), ""),
    }
}

pub(super) fn producers(config: &Config) -> Vec<Box<dyn MetricProducer>> {
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

/// Asks every target at once; each answers, fails or times out.
pub(super) async fn scrape_all(
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
