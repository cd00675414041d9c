//! `backfill`: a monitor that nobody hears lives through the past, and the one that runs takes up what it learnt.
//!
//! The server evaluates the rules' expressions over the past, piece by piece; a rehearsing monitor records, counts and judges
//! them as live, and its alerts and requests go nowhere. Scraping does not wait for it. How far it came is in the store.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::memory::{Counted, Learnt};
use super::model_monitor::ModelMonitor;
use super::past::{Answers, Here, Past};
use super::results::{Question, questions};
use crate::config::settings::{Backfill as Settings, Source};
use crate::config::{Config, lint};
use crate::history::{Error, Limits, Prometheus, Range};
use crate::metric::Timestamp;
use crate::promql::Expr;
use crate::publish;
use crate::runtime::{clock, with_sources};
use crate::state::{Batch, Kind as Record, Store};

/// The one record of how far it came.
const RECORD: &str = "backfill";
/// Questions under way at the same time: the server has others to answer.
const CONCURRENCY: usize = 2;
/// Samples of one piece, all answers together: what is held in memory.
const PIECE: usize = 200_000;
/// Steps of the first piece.
const FIRST: usize = 240;
/// Most steps of a piece, so that a long history is stored in between.
const LONGEST: usize = 5_000;
/// Largest answer to one question, in bytes.
const MAX_ANSWER: u64 = 32 << 20;
/// Time for one answer.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Pauses while the server is away.
const PAUSES: [u64; 5] = [1, 2, 5, 15, 30];
/// How often it is written down how far it came.
const STORE_EVERY: Duration = Duration::from_secs(2);

/// What a backfill tells the monitor that runs.
#[derive(Debug)]
pub(super) enum News {
    /// How far it is.
    Progress(publish::Backfill),
    /// It is through.
    Learnt(Box<Progress>),
}

/// How far a backfill came, and what was learnt up to there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    model_version: Option<String>,
    reached: Timestamp,
    done: bool,
    /// The rules that it was about.
    rules: BTreeSet<String>,
    pub(super) learnt: Vec<(String, Learnt)>,
    pub(super) counted: Vec<(String, Counted)>,
}

impl Progress {
    /// Writes down that it is through; what was learnt is where all that is learnt is.
    pub(super) fn finish(mut self, store: &Store) {
        self.done = true;
        self.learnt.clear();
        self.counted.clear();
        self.write(store);
    }

    fn write(&self, store: &Store) {
        if !store.is_kept() {
            return;
        }
        let mut batch = Batch::lazy();
        let written = batch.put(Record::Meta, RECORD, self);
        if let Err(error) = written.map(|_| ()).and_then(|()| store.commit(batch)) {
            warn!(%error, "how far the backfill is could not be stored");
        }
    }
}

/// Who remembers, and what it is asked.
struct Server {
    prometheus: Prometheus,
    questions: Vec<Question>,
    /// The labels that each expression keeps, where it says so.
    kept: HashMap<String, BTreeSet<String>>,
    here: Here,
}

impl Server {
    /// Asks every question about a range. An expression that the server refuses is an answer too.
    async fn ask(&self, range: Range) -> Result<Answers, Error> {
        let questions: Vec<Question> = self.questions.clone();
        let asked = stream::iter(questions).map(|question| question.ask(&self.prometheus, range));
        let mut asked = asked.buffered(CONCURRENCY);
        let mut answers = Answers::default();
        while let Some(answer) = asked.next().await {
            let (written, answer) = answer?;
            let kept = self.kept.get(&written);
            let answer = answer.map(|series| self.here.mapped(series, kept));
            answers.put(written, answer);
        }
        Ok(answers)
    }
}

/// A backfill under way.
pub(super) struct Backfill {
    settings: Settings,
    server: Server,
    rehearsal: ModelMonitor,
    store: Arc<Store>,
    step: Duration,
    began: Timestamp,
    reached: Timestamp,
    news: mpsc::Sender<News>,
    stored: Option<Instant>,
}

impl Backfill {
    /// Prepares the backfill of a configuration that has one, from where an earlier process stopped. `None` when there is nothing
    /// to learn.
    pub(super) fn new(
        config: &Arc<Config>,
        registry: &crate::judge::Registry,
        store: &Arc<Store>,
        now: Timestamp,
    ) -> Option<(Self, mpsc::Receiver<News>)> {
        let settings = config.settings.backfill.clone()?;
        let step = config.settings.global.scrape_interval;
        let (news, receiver) = mpsc::channel(8);
        let limits = Limits {
            timeout: TIMEOUT,
            answer: MAX_ANSWER,
            attempts: 1,
        };
        let questions = asked(config, &settings);
        let mut backfill = Self {
            server: Server {
                prometheus: Prometheus::new(&settings.url, settings.http.clone())
                    .with_limits(limits),
                kept: kept(&questions),
                questions,
                here: Here::of(&config.settings),
            },
            rehearsal: rehearsal(config, &settings, registry),
            store: Arc::clone(store),
            step,
            began: now - settings.range,
            reached: now - settings.range,
            settings,
            news,
            stored: None,
        };
        backfill.resume();
        backfill.began = backfill.reached;
        Some((backfill, receiver))
    }

    /// Goes through the past, tells the result, and ends. It never fails: what cannot be learnt is learnt live.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let news = self.news.clone();
        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            ended = self.go() => ended,
        };
        match ended {
            Ok(()) => {
                let progress = Box::new(self.progress());
                info!(until = %self.reached, "the backfill is through");
                drop(news.send(News::Learnt(progress)).await);
            }
            Err(error) => {
                warn!(
                    error,
                    "the backfill ended early; what it would have learnt is learnt live, and shown as warming up"
                );
                let failed = self.told("failed", Some(error));
                drop(news.send(News::Progress(failed)).await);
            }
        }
        stop.cancelled().await;
    }

    async fn go(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + self.settings.timeout;
        let mut steps = FIRST;
        // What a server finds too large once it finds too large always.
        let mut ceiling = LONGEST;
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
                    self.tell(Some(error.clone())).await;
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
            self.live_through(range, answers).await?;
            if Instant::now() >= deadline {
                return Err(self.too_slow());
            }
            self.remember().await;
            self.tell(None).await;
            steps = (range.steps() * PIECE / samples.max(1))
                .clamp((range.steps() / 4).max(1), (range.steps() * 4).min(ceiling));
        }
        Ok(())
    }

    /// The next piece; `None` when the rest is what is scraped here anyway.
    fn next(&self, steps: usize) -> Option<Range> {
        let start = self.reached + self.step;
        // What was scraped a moment ago may not be there yet.
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

    async fn live_through(&mut self, range: Range, answers: Answers) -> Result<(), String> {
        let empty = ModelMonitor::new(Arc::default(), &self.rehearsal.registry);
        let mut rehearsal = std::mem::replace(&mut self.rehearsal, empty);
        let lived = spawn_blocking(move || {
            for (at, results) in Past::new(range, answers) {
                let _nobody = rehearsal.observe_with(at, &[], Some(&results));
            }
            rehearsal
        });
        let lived = lived.await;
        self.rehearsal = lived.map_err(|error| format!("the replay failed: {error}"))?;
        let steps = u32::try_from(range.steps().saturating_sub(1)).unwrap_or(u32::MAX);
        self.reached = range.start + range.step * steps;
        Ok(())
    }

    /// Takes up what an earlier process learnt, so that nothing is learnt twice.
    fn resume(&mut self) {
        let version = self.rehearsal.config.settings.model.version.clone();
        let rules = self.rehearsal.rule_keys();
        let past: Option<Progress> = self.store.get(Record::Meta, RECORD);
        let Some(past) = past.filter(|_| self.store.is_kept()) else {
            return;
        };
        if past.model_version != version {
            info!("the model's version changed; the history before it is not learnt");
            self.reached = clock::now();
            return;
        }
        let known: BTreeSet<String> = past.rules.intersection(&rules).cloned().collect();
        let (learnt, counted) = if past.done {
            let learnt = |key: &String| Some((key.clone(), self.store.get(Record::Strategy, key)?));
            let counted =
                |key: &String| Some((key.clone(), self.store.get(Record::Baseline, key)?));
            (
                known.iter().filter_map(learnt).collect(),
                known.iter().filter_map(counted).collect(),
            )
        } else {
            (past.learnt, past.counted)
        };
        let seen = learnt
            .iter()
            .flat_map(|(_, learnt): &(String, Learnt)| &learnt.series);
        let seen = seen.map(|series| series.seen).max().unwrap_or_default();
        let until = past
            .reached
            .max(if past.done { seen } else { past.reached });
        if until <= self.reached {
            return;
        }
        self.rehearsal.adopt(&learnt, &counted);
        self.rehearsal.skip_until(&known, until);
        if rules.is_subset(&known) {
            info!(%until, "the backfill continues where it stopped");
            self.reached = until;
        }
    }

    fn progress(&self) -> Progress {
        let (learnt, counted) = self.rehearsal.all_learnt();
        Progress {
            model_version: self.rehearsal.config.settings.model.version.clone(),
            reached: self.reached,
            done: false,
            rules: self.rehearsal.rule_keys(),
            learnt,
            counted,
        }
    }

    async fn remember(&mut self) {
        let is_due = self.stored.is_none_or(|last| last.elapsed() >= STORE_EVERY);
        if !is_due || !self.store.is_kept() {
            return;
        }
        self.stored = Some(Instant::now());
        let (store, progress) = (Arc::clone(&self.store), self.progress());
        if let Err(error) = spawn_blocking(move || progress.write(&store)).await {
            warn!(%error, "how far the backfill is could not be stored");
        }
    }

    async fn tell(&mut self, error: Option<String>) {
        let told = self.told("running", error);
        info!(
            reached = %self.reached, percent = (told.progress * 100.0).floor(), error = told.error,
            "backfilling"
        );
        drop(self.news.send(News::Progress(told)).await);
    }

    fn told(&self, state: &'static str, error: Option<String>) -> publish::Backfill {
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

/// The labels that expressions keep, by their text.
fn kept(questions: &[Question]) -> HashMap<String, BTreeSet<String>> {
    let kept = questions.iter().filter_map(|question| {
        let expr = Expr::parse(&question.written).ok()?;
        Some((question.written.clone(), lint::kept(&expr)?))
    });
    kept.collect()
}

/// A monitor with the same rules whose series are elsewhere and whom nobody hears.
fn rehearsal(
    config: &Config,
    settings: &Settings,
    registry: &crate::judge::Registry,
) -> ModelMonitor {
    let mut config = config.clone();
    config.settings.scrape.targets.clear();
    config.settings.scrape.source = Some(Source {
        url: settings.url.clone(),
        matchers: settings.matchers.clone(),
        timeout: settings.timeout,
        query_offset: Duration::ZERO,
        http: settings.http.clone(),
    });
    config.settings.retraining.enabled = false;
    let mut monitor = ModelMonitor::new(Arc::new(config), registry);
    monitor.rehearses = true;
    monitor
}

/// What somebody learns from: the expressions of records and watches, not those of plain alerts.
fn asked(config: &Config, settings: &Settings) -> Vec<Question> {
    use crate::rules::Rule;
    let rules = config.rules.rules();
    let wanted: BTreeSet<&str> = rules
        .filter_map(|rule| match rule {
            Rule::Record(recording) => Some(recording.expr().text()),
            Rule::Watch(watch) => Some(watch.expr.text()),
            Rule::Alert { .. } => None,
        })
        .collect();
    let mut all = questions(config, &settings.matchers);
    all.retain(|question| wanted.contains(question.written.as_str()));
    all
}
