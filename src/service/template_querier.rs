//! Queries the remote source for the `query` calls of a tick's templates.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

use crate::history::Prometheus;
use crate::metric::{Matcher, Selector, Timestamp};
use crate::monitor::{Answer, Results};
use crate::promql::Expr;
use crate::runtime::with_sources;

/// Most different queries of one tick.
const MAX_QUERIES: usize = 100;
/// Concurrent queries.
const CONCURRENCY: usize = 8;

/// Runs the template queries of one tick on a server.
#[derive(Debug)]
pub(super) struct TemplateQuerier {
    pub(super) prometheus: Arc<Prometheus>,
    /// Added to every selector.
    pub(super) matchers: Vec<Matcher>,
    /// The tick's time by the server's clock.
    pub(super) time: Timestamp,
    /// Limit for all answers together, from the first query on.
    pub(super) timeout: Duration,
    pub(super) deadline: Option<Instant>,
    pub(super) asked: usize,
}

impl TemplateQuerier {
    /// Adds an answer about each of these queries to the results.
    pub(super) async fn answer(&mut self, queries: Vec<String>, results: &mut Results) {
        let timeout = self.timeout;
        let deadline = *self
            .deadline
            .get_or_insert_with(|| Instant::now() + timeout);
        let room = MAX_QUERIES.saturating_sub(self.asked);
        self.asked += queries.len();
        let numbered: Vec<(usize, String)> = queries.into_iter().enumerate().collect();
        let this = &*self;
        let answers = stream::iter(numbered).map(|(number, query)| async move {
            let answer = if number < room {
                this.ask(&query, deadline).await
            } else {
                Err(format!(
                    "the templates of one tick ask the source for more than {MAX_QUERIES} different things"
                ))
            };
            (query, answer)
        });
        let answers: Vec<(String, Answer)> = answers.buffered(CONCURRENCY).collect().await;
        for (query, answer) in answers {
            results.put_template_answer(query, answer);
        }
    }

    async fn ask(&self, query: &str, deadline: Instant) -> Answer {
        let expr = Expr::parse(query).map_err(|error| error.to_string())?;
        let text = expr.narrowed(&self.matchers, &|_: &Selector| true);
        match timeout_at(deadline, self.prometheus.query(&text, self.time)).await {
            Ok(answer) => answer.map_err(|error| with_sources(&error)),
            Err(_) => Err("the source did not answer in time".to_owned()),
        }
    }
}
