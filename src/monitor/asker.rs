//! The answers of a source to `query` in templates, while a tick renders them.
//!
//! What a template asks for is known only when it is rendered, since `printf` makes texts of labels. So a tick that may ask runs on a thread of its own
//! and waits for the server there: once for each text, for no more than a number of texts and a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::model_monitor::{ModelMonitor, Scraped, Tick};
use super::results::{Answer, Results};
use crate::history::Prometheus;
use crate::metric::{Matcher, Selector, Timestamp};
use crate::promql::Expr;
use crate::rules::{Origin, Recorded};
use crate::runtime::with_sources;

/// Most different texts that one tick asks about.
const MOST: usize = 100;

/// A server that can be asked in the middle of a tick.
#[derive(Debug)]
pub(super) struct Asker {
    prometheus: Arc<Prometheus>,
    recorded: Arc<Recorded>,
    matchers: Vec<Matcher>,
    /// What the server takes for the tick's time.
    time: Timestamp,
    /// For all answers together, from the first question on.
    timeout: Duration,
    deadline: OnceLock<Instant>,
    runtime: Handle,
    known: Mutex<HashMap<String, Answer>>,
}

impl Asker {
    /// Questions are asked on this runtime, and only ever from another thread than its own.
    pub(super) fn new(
        prometheus: Arc<Prometheus>,
        recorded: Arc<Recorded>,
        matchers: Vec<Matcher>,
        (time, timeout): (Timestamp, Duration),
        runtime: Handle,
    ) -> Self {
        Self {
            runtime,
            prometheus,
            recorded,
            matchers,
            time,
            timeout,
            deadline: OnceLock::new(),
            known: Mutex::default(),
        }
    }

    /// The server's answer; `None` where the text asks for nothing but what is recorded here.
    pub(super) fn answer(&self, expr: &Expr) -> Option<Answer> {
        match self.recorded.origin_of_query(expr) {
            Origin::Recorded => None,
            Origin::Mixed => Some(Err(
                "it mixes recorded series with others, so that nobody can evaluate it".to_owned(),
            )),
            Origin::Remote => Some(self.ask(expr.narrowed(&self.matchers, &|_: &Selector| true))),
        }
    }

    fn ask(&self, text: String) -> Answer {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = known.get(&text) {
            return answer.clone();
        }
        if known.len() >= MOST {
            return Err(format!(
                "the templates of one tick ask the source for more than {MOST} different things"
            ));
        }
        let answer = self.wait_for(&text);
        known.insert(text, answer.clone());
        answer
    }

    fn wait_for(&self, text: &str) -> Answer {
        let deadline = self.deadline.get_or_init(|| Instant::now() + self.timeout);
        let asked = timeout_at(*deadline, self.prometheus.query(text, self.time));
        let answer = self.runtime.block_on(asked);
        match answer {
            Ok(answer) => answer.map_err(|error| with_sources(&error)),
            Err(_) => Err("the source did not answer in time".to_owned()),
        }
    }
}

/// One tick; on a thread of its own where its templates may wait for the source.
pub(super) async fn observe(
    monitor: &mut ModelMonitor,
    at: Timestamp,
    scraped: &[Scraped],
    results: Option<Results>,
) -> Tick {
    let results = match results {
        Some(results) if results.asker.is_some() && monitor.asks() => results,
        results => return monitor.observe_with(at, scraped, results.as_ref()),
    };
    let empty = ModelMonitor::new(Arc::default(), &monitor.registry);
    let mut lent = std::mem::replace(monitor, empty);
    // A source has no targets, so that there is nothing scraped.
    let observed = spawn_blocking(move || {
        let tick = lent.observe_with(at, &[], Some(&results));
        (lent, tick)
    });
    match observed.await {
        Ok((lent, tick)) => {
            *monitor = lent;
            tick
        }
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
