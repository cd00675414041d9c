//! The loop of ticks: scrape, evaluate, remember, tell; and between two ticks, what the outside asks for.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::asker;
use super::backfill::News;
use super::control::{Command, Loader, Recogniser};
use super::keeper::{HandOver, Keeper};
use super::loading::{self, Loading};
use super::model_monitor::{ModelMonitor, Scraped, Tick};
use super::outlets::Outlets;
use super::producers::Producers;
use super::results::Results;
use super::source::{Asked, Source};
use super::view;
use crate::alert::Alert;
use crate::config::Config;
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
    /// The configuration that is being read again.
    pub(super) loading: Option<Loading>,
    pub(super) reload: publish::Reload,
    pub(super) fixed: view::Fixed,
    /// The configuration in force, for whoever does not wait for a tick.
    pub(super) current: watch::Sender<Arc<Config>>,
}

impl Ticking {
    /// First scrape at once, then on the schedule, whatever disk, receivers and reloads do meanwhile. Scrapes never overlap.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut at = clock::now();
        // Whoever was told that an alert fires hears that it still does, before anything is evaluated.
        let alerts = self.monitor.due(at);
        self.hand_over(at, alerts, &[]);
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
                asker::observe(&mut self.monitor, at, &scraped, results).await;
            let is_recognised = self.recognise(&scraped);
            drop(scraped);
            debug!(%at, alerts = alerts.len(), requests = requests.len(), "tick");
            self.hand_over(at, alerts, &requests);
            if is_recognised {
                // How it went is logged and on the page.
                let loaded = loading::load(self.loader.clone()).await;
                let _told = self.reload(loaded, at);
            }
            self.publish(at);
            self.shared.set_ready();
            let Some(next) = self.idle(at, &stop).await else {
                break;
            };
            at = next;
        }
        self.shared.set_stopping();
        let last = self.everything(at);
        self.keeper.finish(last).await;
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
        let found = self.discovery.status();
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

    /// Leaves what happened to whoever writes it to the store and then tells the world.
    pub(super) fn hand_over(
        &mut self,
        at: Timestamp,
        alerts: Vec<Alert>,
        requests: &[RetrainRequest],
    ) {
        let work = HandOver {
            alerts,
            entries: self.outlets.route(requests),
            ..self.remembered(at)
        };
        self.keeper.give(work);
    }

    /// What is to be written now.
    fn remembered(&mut self, at: Timestamp) -> HandOver {
        let mut work = HandOver {
            at: Some(at),
            ..HandOver::default()
        };
        if self.keeper.is_kept() {
            work.memory = self.monitor.remember(self.keeper.wants_learnt(at));
        }
        work
    }

    /// All that is known, to be written at once.
    fn everything(&mut self, at: Timestamp) -> HandOver {
        let mut memory = self.monitor.remember(true);
        memory.urgent = true;
        HandOver {
            at: Some(at),
            memory,
            ..HandOver::default()
        }
    }

    /// Obeys commands until the next tick and gives its time; `None` when it is time to stop.
    async fn idle(&mut self, last: Timestamp, stop: &CancellationToken) -> Option<Timestamp> {
        loop {
            // Another configuration may have another schedule.
            let next = next_tick(schedule(&self.monitor.config), last, clock::now());
            let mut heard = false;
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                Some(command) = self.commands.recv(), if self.loading.is_none() => self.obey(command),
                loaded = loading::end(&mut self.loading) => self.loaded(loaded),
                Some(news) = hear(self.backfill.as_mut()) => self.learn(news),
                true = self.discovery.changed() => heard = true,
                // Nothing was evaluated: what is judged is as of the last tick.
                () = self.keeper.changed() => self.publish(self.monitor.last_tick.unwrap_or(last)),
                next = Self::at(next) => return Some(next),
            }
            if heard {
                self.retarget(next, stop).await;
            }
        }
    }

    /// Takes up what a backfill says.
    fn learn(&mut self, news: News) {
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
                let work = HandOver {
                    after: vec![Box::new(move |store| progress.finish(store))],
                    ..self.everything(at)
                };
                self.keeper.give(work);
            }
        }
        self.publish(at);
    }

    fn obey(&mut self, command: Command) {
        let at = clock::now();
        match command {
            Command::Reload(reply) => self.loading = Some(Loading::new(self.loader.clone(), reply)),
            Command::Done(id, reply) => {
                let known = self.monitor.retrained(&id);
                info!(id, known, "retraining reported done");
                let work = HandOver {
                    after: vec![Box::new(move |_| {
                        // Whoever asked may be gone.
                        let _gone = reply.send(known);
                    })],
                    ..self.remembered(at)
                };
                self.keeper.give(work);
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

    /// Waits for a time and gives it.
    async fn at(time: Timestamp) -> Timestamp {
        sleep_until(Instant::now() + time.since(clock::now())).await;
        time
    }

    pub(super) fn publish(&self, at: Timestamp) {
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
        let found = self.discovery.status();
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

/// The tick after the one of `last`. One that is overdue by less than an interval is late, and due at once; those before it
/// are missed and not made up for.
fn next_tick(schedule: Schedule, last: Timestamp, now: Timestamp) -> Timestamp {
    let (overdue, next) = (schedule.next_after(last), schedule.next_after(now));
    if overdue <= now && schedule.next_after(overdue) == next {
        now
    } else {
        next
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Schedule, Timestamp, next_tick};

    fn next(last: i64, now: i64) -> i64 {
        let every = Schedule::aligned(Duration::from_secs(1));
        let at = Timestamp::from_millis;
        next_tick(every, at(last), at(now)).as_millis()
    }

    #[test]
    fn a_tick_in_time_is_followed_by_the_next_of_the_schedule() {
        assert_eq!(next(5000, 5040), 6000);
        assert_eq!(next(5000, 5999), 6000);
    }

    #[test]
    fn a_tick_that_took_too_long_makes_the_next_one_late_and_skips_none() {
        assert_eq!(next(5000, 6000), 6000);
        assert_eq!(next(5000, 6300), 6300);
        // The one after that is where the schedule wants it.
        assert_eq!(next(6300, 6340), 7000);
    }

    #[test]
    fn what_is_overdue_by_more_than_an_interval_is_skipped() {
        assert_eq!(next(5000, 7000), 8000);
        assert_eq!(next(5000, 305_300), 306_000);
    }

    #[test]
    fn a_clock_that_went_back_is_not_waited_for() {
        assert_eq!(next(3_600_000, 5040), 6000);
    }
}
