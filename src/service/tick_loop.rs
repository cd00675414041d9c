//! The tick loop: scrape, evaluate, store, deliver; and between ticks, commands.

use std::sync::Arc;

use futures_util::future::join;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::backfill::BackfillEvent;
use super::control::{Accepted, Command, Loader, Recogniser};
use super::dispatcher::Dispatcher;
use super::producers::Producers;
use super::queries::Questions;
use super::reload::{self, Loading};
use super::remote::{RemoteSource, Round, RoundStats};
use super::schedule::{next_tick, schedule};
use super::snapshot::{self, Around, Fixed};
use super::store_handle::StoreHandle;
use super::tick_output::TickOutput;
use crate::alert::{Alert, AlertState};
use crate::config::Config;
use crate::metric::Timestamp;
use crate::monitor::{ModelMonitor, Progress, Scraped, Tick};
use crate::publish;
use crate::runtime::clock;
use crate::scrape::Exposition;
use crate::scrape::discovery::{Handle, Lookup};

/// The tick loop.
pub(super) struct TickLoop {
    /// The current configuration.
    pub(super) config: Arc<Config>,
    /// The configuration of the start, which some settings keep until the next one.
    pub(super) started: Arc<Config>,
    pub(super) config_hash: String,
    /// Where users reach the server, for links, unless the configuration names a URL.
    pub(super) url: String,
    pub(super) monitor: ModelMonitor,
    pub(super) producers: Producers,
    pub(super) discovery: Handle,
    /// The remote source, if there are no targets.
    pub(super) remote: Option<RemoteSource>,
    /// The last status of the remote source.
    pub(super) round: Option<RoundStats>,
    pub(super) backfill_events: Option<mpsc::Receiver<BackfillEvent>>,
    /// The progress of the backfill.
    pub(super) backfill: Option<publish::Backfill>,
    pub(super) dispatcher: Dispatcher,
    pub(super) store: StoreHandle,
    pub(super) shared: Arc<publish::Shared>,
    pub(super) subscribers: broadcast::Sender<Alert>,
    pub(super) commands: mpsc::Receiver<Command>,
    /// Queries of the API.
    pub(super) questions: Questions,
    pub(super) loader: Option<Loader>,
    pub(super) recogniser: Option<Recogniser>,
    /// The reload in progress.
    pub(super) loading: Option<Loading<Config>>,
    pub(super) reload: publish::Reload,
    pub(super) fixed: Fixed,
    /// The current configuration, for readers that do not wait for a tick.
    pub(super) current: watch::Sender<Arc<Config>>,
}

impl TickLoop {
    /// Scrapes at once, then on the schedule; disk, receivers and reloads never delay it. Scrapes
    /// never overlap.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut at = clock::now();
        // Re-send restored firing alerts before the first evaluation.
        let alerts = self.monitor.due(at);
        self.hand_over(
            at,
            Tick {
                alerts,
                ..Tick::default()
            },
        );
        self.publish(at);
        if self.first_answer(&stop).await {
            at = clock::now();
        }
        loop {
            let due = self.monitor.due_expressions(at);
            let resting = self.monitor.resting(at);
            let taken = join(self.producers.scrape_all(at, &resting), async {
                Some(self.remote.as_mut()?.ask(at, &due).await)
            });
            let (scraped, round) = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                taken = taken => taken,
            };
            if let Some(back) = self.monitor.follow_clock(at) {
                self.dispatcher.deliveries().set_back(back);
            }
            let mut tick = self.observe(at, &scraped, round).await;
            let is_recognised = self.recognise(&scraped);
            drop(scraped);
            if is_recognised {
                // The rule that says that nothing is recognised is about to be replaced.
                tick.changes
                    .retain(|alert| alert.state != AlertState::Pending);
            }
            debug!(%at, alerts = tick.alerts.len(), requests = tick.requests.len(), "tick");
            self.hand_over(at, tick);
            if is_recognised {
                // The result is logged and shown on the status page.
                let loaded = reload::load(self.loader.clone()).await;
                let _result = self.reload(loaded, at);
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
        self.store.finish(last).await;
        info!("no more scrapes");
    }

    /// One tick. Between its parts, the remote source answers the queries of templates.
    async fn observe(&mut self, at: Timestamp, scraped: &[Scraped], round: Option<Round>) -> Tick {
        let Some(Round {
            mut results,
            mut templates,
            stats,
        }) = round
        else {
            self.round = None;
            return self.monitor.observe(at, scraped);
        };
        self.round = Some(stats);
        let mut tick = self.monitor.begin(at, scraped);
        loop {
            match self.monitor.advance(tick, &results) {
                Progress::Done(tick) => return tick,
                Progress::Asks {
                    tick: under_way,
                    queries,
                } => {
                    templates.answer(queries, &mut results).await;
                    tick = *under_way;
                }
            }
        }
    }

    /// Waits briefly for the first discovery of targets, so that the first scrape includes them.
    async fn first_answer(&mut self, stop: &CancellationToken) -> bool {
        if lookup(&self.config).is_none() {
            return false;
        }
        let limit = self.config.settings.global.scrape_timeout;
        tokio::select! {
            biased;
            () = stop.cancelled() => return false,
            heard = timeout(limit, self.discovery.changed()) => if heard.is_err() {
                info!("no answer yet from the discovery of targets");
            }
        }
        self.take_discovered(clock::now());
        true
    }

    /// Applies the discovery's answer about the configured name. Returns the positions of new
    /// targets.
    fn take_discovered(&mut self, at: Timestamp) -> Vec<usize> {
        let found = self.discovery.status();
        let wanted = lookup(&self.config).map(|lookup| lookup.question);
        let addresses = found.addresses.filter(|_| found.question == wanted);
        let Some(addresses) = addresses else {
            return Vec::new();
        };
        let new = self.monitor.discovered(&addresses, at);
        self.producers.retarget(&self.monitor.targets());
        new
    }

    /// Applies a change of the targets; scrapes new ones at once, if the time to the next tick
    /// allows.
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
        // No rule was evaluated: the judgements are those of the last tick.
        self.publish(self.monitor.last_tick().unwrap_or(at));
    }

    /// Sends the output to the writer, and every change to the subscribers.
    pub(super) fn hand_over(&mut self, at: Timestamp, tick: Tick) {
        announce(&tick.changes, &self.subscribers);
        let output = TickOutput {
            alerts: tick.alerts,
            entries: self.dispatcher.route(&tick.requests),
            ..self.changed(at)
        };
        self.store.give(output);
    }

    /// The state to write now.
    fn changed(&mut self, at: Timestamp) -> TickOutput {
        let mut output = TickOutput {
            at: Some(at),
            ..TickOutput::default()
        };
        if self.store.is_kept() {
            let with_knowledge = self.store.is_learned_due(at);
            output.state = self.monitor.state_changes(with_knowledge);
        }
        output
    }

    /// The whole state, to write at once.
    fn everything(&mut self, at: Timestamp) -> TickOutput {
        let mut state = self.monitor.state_changes(true);
        state.urgent = true;
        TickOutput {
            at: Some(at),
            state,
            ..TickOutput::default()
        }
    }

    /// Handles commands until the next tick and returns its time; `None` when it is time to stop.
    async fn idle(&mut self, last: Timestamp, stop: &CancellationToken) -> Option<Timestamp> {
        loop {
            // A new configuration may have another schedule.
            let next = next_tick(schedule(&self.config), last, clock::now());
            let interval = self.config.settings.global.scrape_interval;
            let mut heard = false;
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                Some(command) = self.commands.recv(), if self.loading.is_none() => self.carry_out(command),
                loaded = reload::end(&mut self.loading) => self.loaded(loaded),
                Some(event) = next_event(self.backfill_events.as_mut()) => self.backfilled(event),
                true = self.discovery.changed() => heard = true,
                // No rule was evaluated: the judgements are those of the last tick.
                () = self.store.changed() => self.publish(self.monitor.last_tick().unwrap_or(last)),
                next = Self::at(next) => return Some(next),
                question = self.questions.next(next, interval) => {
                    self.questions.answer(question, self.monitor.window(), interval);
                }
            }
            if heard {
                self.retarget(next, stop).await;
            }
        }
    }

    /// Applies a backfill's progress or its learned state.
    fn backfilled(&mut self, event: BackfillEvent) {
        let at = clock::now();
        match event {
            BackfillEvent::Progress(progress) => self.backfill = Some(progress),
            BackfillEvent::Done(progress) => {
                self.monitor.adopt(&progress.knowledge());
                self.backfill = Some(publish::Backfill {
                    state: "done",
                    progress: 1.0,
                    error: None,
                });
                let output = TickOutput {
                    after: vec![Box::new(move |store| progress.finish(store))],
                    ..self.everything(at)
                };
                self.store.give(output);
            }
        }
        self.publish(at);
    }

    fn carry_out(&mut self, command: Command) {
        let at = clock::now();
        match command {
            Command::Reload(reply) => self.loading = Some(Loading::new(self.loader.clone(), reply)),
            Command::Done(id, reply) => {
                let known = self.monitor.retrained(&id);
                info!(id, known, "retraining reported done");
                let output = TickOutput {
                    after: vec![Box::new(move |_| {
                        // The receiver may be dropped.
                        let _gone = reply.send(known);
                    })],
                    ..self.changed(at)
                };
                self.store.give(output);
            }
            Command::Accept(id, reply) => {
                // The receiver may be dropped.
                let _gone = reply.send(self.accept(&id));
            }
        }
    }

    /// Accepts the present level of a signal as normal, with the next evaluation.
    fn accept(&mut self, id: &str) -> Accepted {
        let found = snapshot::find(&self.monitor, &self.fixed, id);
        let Some((rule, series)) = found.map(|(rule, series)| (rule.to_owned(), series)) else {
            return Accepted::Unknown;
        };
        if !self.monitor.accept(&rule, &series) {
            return Accepted::NoIncident;
        }
        info!(rule, %series, "a user accepted the present level as normal");
        Accepted::Yes
    }

    /// Whether the recogniser has just recognised a target.
    fn recognise(&self, scraped: &[Scraped]) -> bool {
        let Some(recognise) = &self.recogniser else {
            return false;
        };
        // One that was refused may be anything, of any size.
        let states = self.monitor.target_states().iter();
        let accepted = scraped.iter().zip(states).filter(|(_, state)| {
            let last = state.last();
            last.is_some_and(|last| last.error.is_none())
        });
        let mut expositions = accepted.filter_map(|(scraped, _)| scraped.result.as_ref().ok());
        expositions.any(|exposition: &Exposition| recognise(exposition))
    }

    /// Waits for a time and returns it.
    async fn at(time: Timestamp) -> Timestamp {
        sleep_until(Instant::now() + time.since(clock::now())).await;
        time
    }

    pub(super) fn publish(&self, at: Timestamp) {
        let around = Around {
            config: &self.config,
            fixed: &self.fixed,
            dispatcher: &self.dispatcher,
            round: self.round.as_ref(),
            backfill: self.backfill.as_ref(),
            discovery: self.discovered(),
            durable: self.store.is_durable(),
            reload: &self.reload,
            config_hash: &self.config_hash,
        };
        self.shared
            .publish(snapshot::snapshot(&self.monitor, around, at));
    }

    /// The published state of the discovery.
    fn discovered(&self) -> Option<publish::Discovery> {
        let lookup = lookup(&self.config)?;
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

/// Logs every change of an alert and sends it to the subscribers.
pub(super) fn announce(changes: &[Alert], subscribers: &broadcast::Sender<Alert>) {
    for alert in changes {
        info!(
            alert = %alert.rule, state = %alert.state, labels = %alert.labels, value = alert.value,
            summary = alert.summary(), "alert changed"
        );
        // Sending fails only without subscribers.
        drop(subscribers.send(alert.clone()));
    }
}

/// The next event of a backfill; pending forever without one.
async fn next_event(events: Option<&mut mpsc::Receiver<BackfillEvent>>) -> Option<BackfillEvent> {
    events?.recv().await
}

/// The name to resolve under a configuration.
pub(super) fn lookup(config: &Config) -> Option<Lookup> {
    let discovery = config.settings.scrape.discovery.as_ref();
    discovery.map(|discovery| discovery.lookup.clone())
}
