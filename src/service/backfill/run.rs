//! Runs a backfill: a server evaluates the rules' expressions over history, chunk by chunk, and a
//! silent copy of the monitor records, counts and judges the results as if they were live.
//!
//! Scraping does not wait for it. Its progress is in the store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::progress::{BackfillEvent, Progress};
use super::server::Server;
use crate::config::Config;
use crate::config::settings::Backfill as Settings;
use crate::history::{Error, Range};
use crate::judge::Registry;
use crate::metric::Timestamp;
use crate::monitor::{Knowledge, ModelMonitor};
use crate::publish;
use crate::replay::{Answers, Past};
use crate::runtime::{clock, with_sources};
use crate::service::stored::stored_knowledge;
use crate::state::Store;

/// Most samples of one chunk, all answers together, held in memory.
const MAX_SAMPLES: usize = 200_000;
/// Steps of the first chunk.
const FIRST_STEPS: usize = 240;
/// Most steps of a chunk, so that a long backfill stores its progress in between.
const MAX_STEPS: usize = 5_000;
/// Pauses while the server is unreachable, in seconds.
const PAUSES: [u64; 5] = [1, 2, 5, 15, 30];
/// How often progress is stored.
const STORE_INTERVAL: Duration = Duration::from_secs(2);

/// A running backfill.
pub(crate) struct Backfill {
    settings: Settings,
    server: Server,
    /// The silent copy; it runs on a thread for blocking work.
    monitor: Arc<Mutex<ModelMonitor>>,
    model_version: Option<String>,
    store: Arc<Store>,
    step: Duration,
    began: Timestamp,
    reached: Timestamp,
    events: mpsc::Sender<BackfillEvent>,
    stored: Option<Instant>,
}

impl Backfill {
    /// Prepares the configured backfill, from where an earlier process stopped. `None` if there is
    /// nothing to learn.
    pub(crate) fn new(
        config: &Config,
        registry: &Registry,
        store: &Arc<Store>,
        now: Timestamp,
    ) -> Option<(Self, mpsc::Receiver<BackfillEvent>)> {
        let settings = config.settings.backfill.clone()?;
        let (events, receiver) = mpsc::channel(8);
        let mut backfill = Self {
            server: Server::new(config, &settings),
            monitor: Arc::new(Mutex::new(silent_copy(config, registry))),
            model_version: config.settings.model.version.clone(),
            store: Arc::clone(store),
            step: config.settings.global.scrape_interval,
            began: now - settings.range,
            reached: now - settings.range,
            settings,
            events,
            stored: None,
        };
        backfill.resume();
        backfill.began = backfill.reached;
        Some((backfill, receiver))
    }

    /// Runs the backfill and reports the outcome. Failure is not fatal: strategies then warm up on
    /// live data.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let events = self.events.clone();
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            ended = self.go() => ended,
        };
        match ended {
            Ok(()) => {
                let progress = Box::new(self.progress());
                info!(until = %self.reached, "the backfill is through");
                drop(events.send(BackfillEvent::Done(progress)).await);
            }
            Err(error) => {
                warn!(
                    error,
                    "the backfill ended early; strategies that it did not finish warm up on live data"
                );
                let failed = self.status("failed", Some(error));
                drop(events.send(BackfillEvent::Progress(failed)).await);
            }
        }
        stop.cancelled().await;
    }

    async fn go(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + self.settings.timeout;
        let mut steps = FIRST_STEPS;
        // A range size that the server refused once is never requested again.
        let mut ceiling = MAX_STEPS;
        let mut away = 0;
        let mut failing: BTreeSet<String> = BTreeSet::new();
        info!(
            from = %self.reached, server = self.server.prometheus.url(), questions = self.server.questions.len(),
            "the backfill begins"
        );
        while let Some(range) = self.next(steps) {
            let asked = timeout_at(deadline, self.server.ask(range)).await;
            let asked = asked.map_err(|_| self.too_slow())?;
            let answers = match asked {
                Ok(answers) => answers,
                Err(Error::Api {
                    too_large: true, ..
                }) if range.steps() > 1 => {
                    steps = range.steps().div_ceil(2);
                    ceiling = steps;
                    continue;
                }
                Err(error) => {
                    let error = with_sources(&error);
                    let pause = PAUSES[away.min(PAUSES.len() - 1)];
                    away += 1;
                    self.report(Some(error.clone())).await;
                    if Instant::now() + Duration::from_secs(pause) >= deadline {
                        return Err(error);
                    }
                    sleep(Duration::from_secs(pause)).await;
                    continue;
                }
            };
            away = 0;
            for (question, why) in answers.failed() {
                if failing.insert(question.to_owned()) {
                    warn!(
                        expr = question,
                        why, "the server cannot evaluate an expression over the past"
                    );
                }
            }
            if answers.is_hopeless() {
                let why = answers.failed().next().map(|(_, why)| why.to_owned());
                return Err(why.unwrap_or_default());
            }
            let samples = answers.samples();
            self.replay(range, answers).await?;
            if Instant::now() >= deadline {
                return Err(self.too_slow());
            }
            self.remember().await;
            self.report(None).await;
            steps = (range.steps() * MAX_SAMPLES / samples.max(1))
                .clamp((range.steps() / 4).max(1), (range.steps() * 4).min(ceiling));
        }
        Ok(())
    }

    /// The next chunk; `None` when scrapes cover the rest.
    fn next(&self, steps: usize) -> Option<Range> {
        let start = self.reached + self.step;
        // The server may not have the newest samples yet.
        let last = clock::now() - self.step;
        if start > last {
            return None;
        }
        let length = self.step * u32::try_from(steps.saturating_sub(1)).unwrap_or(u32::MAX);
        Some(Range {
            start,
            end: last.min(start + length),
            step: self.step,
        })
    }

    async fn replay(&mut self, range: Range, answers: Answers) -> Result<(), String> {
        let monitor = Arc::clone(&self.monitor);
        let replayed = spawn_blocking(move || {
            let mut monitor = monitor.lock();
            for (at, mut results) in Past::new(range.start, range.end, range.step, answers) {
                // Discard its alerts and requests.
                let _tick = monitor.observe_results(at, &mut results);
            }
        });
        replayed
            .await
            .map_err(|error| format!("the replay failed: {error}"))?;
        let steps = u32::try_from(range.steps().saturating_sub(1)).unwrap_or(u32::MAX);
        self.reached = range.start + range.step * steps;
        Ok(())
    }

    fn monitor(&self) -> MutexGuard<'_, ModelMonitor> {
        self.monitor.lock()
    }

    /// Restores the learned state of an earlier process, so that no sample is learned twice.
    fn resume(&mut self) {
        let rules = self.monitor().rule_keys();
        let Some(past) = Progress::read(&self.store) else {
            return;
        };
        if past.model_version != self.model_version {
            info!("the model's version changed; the backfill skips the history before it");
            self.reached = clock::now();
            return;
        }
        let known: BTreeSet<String> = past.rules.intersection(&rules).cloned().collect();
        let mut until = past.reached;
        let knowledge = if past.done {
            let knowledge = stored_knowledge(&self.store, &known);
            let seen = knowledge.learnt.iter();
            let seen = seen.filter_map(|(_, learned)| learned.last_seen()).max();
            until = until.max(seen.unwrap_or_default());
            knowledge
        } else {
            past.knowledge()
        };
        if until <= self.reached {
            return;
        }
        let mut monitor = self.monitor();
        monitor.adopt(&knowledge);
        monitor.skip_until(&known, until);
        drop(monitor);
        if rules.is_subset(&known) {
            info!(%until, "the backfill continues where it stopped");
            self.reached = until;
        }
    }

    fn progress(&self) -> Progress {
        let monitor = self.monitor();
        let Knowledge { learnt, counted } = monitor.knowledge();
        Progress {
            model_version: self.model_version.clone(),
            reached: self.reached,
            done: false,
            rules: monitor.rule_keys(),
            learnt,
            counted,
        }
    }

    async fn remember(&mut self) {
        let is_due = self
            .stored
            .is_none_or(|last| last.elapsed() >= STORE_INTERVAL);
        if !is_due || !self.store.is_kept() {
            return;
        }
        self.stored = Some(Instant::now());
        let (store, progress) = (Arc::clone(&self.store), self.progress());
        if let Err(error) = spawn_blocking(move || progress.write(&store)).await {
            warn!(%error, "the progress of the backfill could not be stored");
        }
    }

    async fn report(&mut self, error: Option<String>) {
        let status = self.status("running", error);
        info!(
            reached = %self.reached, percent = (status.progress * 100.0).floor(), error = status.error,
            "backfilling"
        );
        drop(self.events.send(BackfillEvent::Progress(status)).await);
    }

    fn status(&self, state: &'static str, error: Option<String>) -> publish::Backfill {
        let all = clock::now().since(self.began).as_secs_f64();
        let done = self.reached.since(self.began).as_secs_f64();
        publish::Backfill {
            state,
            progress: if all > 0.0 {
                (done / all).min(1.0)
            } else {
                1.0
            },
            error,
        }
    }

    fn too_slow(&self) -> String {
        format!(
            "it took longer than backfill.timeout and came as far as {}",
            self.reached
        )
    }
}

/// A monitor with the same rules that reads its series from a server and requests no retraining.
fn silent_copy(config: &Config, registry: &Registry) -> ModelMonitor {
    let mut settings = config.monitor_settings();
    settings.targets.clear();
    settings.is_remote = true;
    settings.retraining.enabled = false;
    ModelMonitor::new(settings, Arc::new(config.rules.clone()), registry)
}
