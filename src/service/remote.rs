//! `scrape.source`: before each tick a server evaluates the rules' expressions at that tick's time.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

use super::template_querier::TemplateQuerier;
use crate::config::Config;
use crate::history::{Limits, Prometheus};
use crate::metric::{Matcher, Timestamp};
use crate::monitor::{Answer, Question, Results, questions};
use crate::runtime::{clock, with_sources};

/// Concurrent queries.
const CONCURRENCY: usize = 8;
/// Largest answer to one query, in bytes, unless `body_size_limit` is smaller.
const MAX_ANSWER: u64 = 32 << 20;
/// Time between comparisons of the clocks.
const COMPARE_INTERVAL: Duration = Duration::from_secs(60);
/// Clocks that differ by less count as equal: a round trip to the server takes as long.
const SLACK_MILLIS: i64 = 1000;

/// The server and the queries to it.
#[derive(Debug)]
pub(super) struct RemoteSource {
    prometheus: Arc<Prometheus>,
    questions: Vec<Question>,
    /// Added to every selector.
    matchers: Vec<Matcher>,
    timeout: Duration,
    offset: Duration,
    /// How far the server's clock is ahead of the local one.
    skew_millis: i64,
    compared: Option<Timestamp>,
    is_failing: bool,
}

/// The results of one round of queries.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) results: Results,
    /// Answers the queries of the tick's templates.
    pub(super) templates: TemplateQuerier,
    pub(super) stats: RoundStats,
}

/// The status of one round of queries.
#[derive(Debug, Clone)]
pub(super) struct RoundStats {
    pub(super) url: String,
    pub(super) at: Timestamp,
    pub(super) took: Duration,
    pub(super) samples: u64,
    /// The error if no query was answered.
    pub(super) error: Option<String>,
    pub(super) skew_millis: i64,
}

impl RemoteSource {
    /// The source of a configuration, if any.
    pub(super) fn new(config: &Config) -> Option<Self> {
        let source = config.settings.scrape.source.as_ref()?;
        let series = config.settings.scrape.limits();
        let limits = Limits {
            timeout: source.timeout,
            answer: match series.body_size {
                0 => MAX_ANSWER,
                limit => limit.min(MAX_ANSWER),
            },
            attempts: 1,
            series,
        };
        let prometheus = Prometheus::new(&source.url, source.http.clone()).with_limits(limits);
        Some(Self {
            prometheus: Arc::new(prometheus),
            questions: questions(&config.rules, &source.matchers),
            matchers: source.matchers.clone(),
            timeout: source.timeout,
            offset: source.query_offset,
            skew_millis: 0,
            compared: None,
            is_failing: false,
        })
    }

    /// Evaluates the expressions of the rules that are `due` within the timeout; an expression
    /// without an answer by then is an error of its rule alone.
    pub(super) async fn ask(&mut self, at: Timestamp, due: &HashSet<String>) -> Round {
        let started = Instant::now();
        let deadline = started + self.timeout;
        let compare = self
            .compared
            .is_none_or(|last| at < last || at.since(last) >= COMPARE_INTERVAL);
        if compare {
            self.compare(at, deadline).await;
        }
        let time = moved(at, self.skew_millis) - self.offset;
        let prometheus = self.prometheus.as_ref();
        let asked = self.questions.iter();
        let asked = asked.filter(|question| due.contains(&question.written));
        let asked: Vec<Question> = asked.cloned().collect();
        let answers = stream::iter(asked).map(|question| async move {
            let answer = match &question.sent {
                Err(why) => Err(why.clone()),
                Ok(sent) => match timeout_at(deadline, prometheus.query(sent, time)).await {
                    Ok(answer) => answer.map_err(|error| with_sources(&error)),
                    Err(_) => Err("the source did not answer in time".to_owned()),
                },
            };
            (question.written, answer)
        });
        let answers: Vec<(String, Answer)> = answers.buffer_unordered(CONCURRENCY).collect().await;
        let samples = answers
            .iter()
            .map(|(_, answer)| answer.as_ref().map_or(0, Vec::len))
            .sum::<usize>() as u64;
        let nothing = !answers.is_empty() && answers.iter().all(|(_, answer)| answer.is_err());
        let first = answers
            .iter()
            .find_map(|(_, answer)| answer.as_ref().err().cloned());
        let error = first.filter(|_| nothing);
        let mut results = Results::answering_templates();
        for (written, answer) in answers {
            results.put(&written, at, answer);
        }
        self.log_failure(error.as_deref());
        Round {
            results,
            templates: TemplateQuerier {
                prometheus: Arc::clone(&self.prometheus),
                matchers: self.matchers.clone(),
                time,
                timeout: self.timeout,
                deadline: None,
                asked: 0,
            },
            stats: RoundStats {
                url: self.prometheus.url(),
                at,
                took: started.elapsed(),
                samples,
                error,
                skew_millis: self.skew_millis,
            },
        }
    }

    /// Compares the clocks by the server's `time()`. If the server's clock is unknown, queries use
    /// the local time.
    async fn compare(&mut self, at: Timestamp, deadline: Instant) {
        let before = clock::now();
        let theirs = match timeout_at(deadline, self.prometheus.now()).await {
            Ok(Ok(theirs)) => theirs,
            Ok(Err(error)) => {
                debug!(
                    error = with_sources(&error),
                    "the source's clock is unknown"
                );
                return;
            }
            Err(_) => return,
        };
        let after = clock::now();
        let ours = before.as_millis() + (after.as_millis() - before.as_millis()) / 2;
        let skew = theirs.as_millis() - ours;
        let skew = if skew.abs() < SLACK_MILLIS { 0 } else { skew };
        if (skew - self.skew_millis).abs() >= SLACK_MILLIS {
            warn!(
                ahead_seconds = skew as f64 / 1000.0,
                "the source's clock differs from ours; expressions are evaluated by its clock"
            );
        }
        self.skew_millis = skew;
        self.compared = Some(at);
    }

    fn log_failure(&mut self, error: Option<&str>) {
        match (error, self.is_failing) {
            (Some(error), false) => {
                warn!(
                    source = self.prometheus.url(),
                    error, "the source does not answer"
                );
            }
            (None, true) => info!(source = self.prometheus.url(), "the source answers again"),
            _ => {}
        }
        self.is_failing = error.is_some();
    }
}

fn moved(at: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_millis(at.as_millis().saturating_add(millis))
}
