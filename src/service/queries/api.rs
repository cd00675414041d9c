//! `/api/v1/query`, `query_range`, `series`, `labels` and `label/<name>/values`.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::json::{Notes, evaluation_json, success_json};
use super::limits::{PATIENCE, options};
use super::params::{Asked, Listed, When};
use super::problem::Problem;
use super::questions::{Asker, View};
use super::remarks::{Stored, before_window};
use super::series::{listed, names, values};
use super::source::Source;
use crate::config::Config;
use crate::metric::{Labels, Selector};
use crate::promql::{self, Evaluation, ExprValue, Samples};
use crate::publish::{Call, OWN_SERIES, Query, Reply, Shared, decoded_segment};
use crate::runtime::clock;

/// The paths that are answered here.
pub(crate) const PATHS: [&str; 5] = [
    "/api/v1/query",
    "/api/v1/query_range",
    "/api/v1/series",
    "/api/v1/labels",
    LABEL,
];
/// Below it, `<name>/values`.
const LABEL: &str = "/api/v1/label/";

/// Whether a path is one of [`PATHS`].
pub(crate) fn is_query(path: &str) -> bool {
    PATHS.contains(&path) || path.starts_with(LABEL)
}

/// The remark of Prometheus on an answer that the client's limit cuts.
const TRUNCATED: &str = "results truncated due to limit";

/// What a configuration stores, computed once.
#[derive(Debug)]
struct Known {
    config: Arc<Config>,
    stored: Arc<Stored>,
}

/// Answers queries.
#[derive(Debug, Clone)]
pub(crate) struct QueryApi {
    asker: Asker,
    shared: Arc<Shared>,
    current: watch::Receiver<Arc<Config>>,
    known: Arc<Mutex<Option<Known>>>,
}

impl QueryApi {
    pub(crate) fn new(
        asker: Asker,
        shared: &Arc<Shared>,
        current: &watch::Receiver<Arc<Config>>,
    ) -> Self {
        Self {
            asker,
            shared: Arc::clone(shared),
            current: current.clone(),
            known: Arc::default(),
        }
    }

    /// Answers a call to one of [`PATHS`].
    pub(crate) async fn answer(&self, call: Call) -> Reply {
        let path = call.path.clone();
        let query = match parameters(call).await {
            Ok(query) => query,
            Err(refused) => return refused,
        };
        let answer = match path.as_str() {
            "/api/v1/query" => self.evaluate(query, false).await,
            "/api/v1/query_range" => self.evaluate(query, true).await,
            path => self.list(path.to_owned(), query).await,
        };
        match answer {
            Ok(body) => Reply {
                status: 200,
                content_type: "application/json",
                body,
            },
            Err(problem) => problem.reply(),
        }
    }

    async fn evaluate(&self, query: Query, is_range: bool) -> Result<String, Problem> {
        let now = clock::now();
        let _place = self.asker.place(PATIENCE).await?;
        let this = self.clone();
        let (asked, own, mut notes) = off_thread(move || {
            let asked = if is_range {
                Asked::range(&query)?
            } else {
                Asked::instant(&query, now)?
            };
            let selectors = asked.expr.selectors();
            let notes = this.stored().notes(&selectors);
            Ok::<_, Problem>((asked, this.own_series(&selectors), notes))
        })
        .await??;
        let deadline = Instant::now() + asked.patience;
        let step = self.current.borrow().settings.global.scrape_interval;
        let mut query =
            promql::Query::with_options(asked.expr.clone(), options(asked.lookback, step));
        let when = asked.when;
        let read = move |View { window, until }: View<'_>| {
            let source = Source::new(window, own, until);
            let found = match when {
                When::At(at) => query.eval(&source, at),
                When::Range { start, end, step } => query.eval_range(&source, (start, end), step),
            };
            (found, window.limits().retention)
        };
        let (found, kept) = self.asker.ask(deadline, read).await?;
        let evaluation = found?;
        off_thread(move || {
            let before = before_window(&asked.expr, when, (now, kept));
            notes.warnings.extend(before);
            rendered(evaluation, &asked, notes)
        })
        .await
    }

    async fn list(&self, path: String, query: Query) -> Result<String, Problem> {
        let _place = self.asker.place(PATIENCE).await?;
        let this = self.clone();
        let (kind, asked, own, mut notes) = off_thread(move || {
            let kind = Kind::of(&path)?;
            let asked = Listed::read(&query)?;
            if kind == Kind::Series && asked.selectors.is_empty() {
                return Err(Problem::bad_data("no match[] parameter provided"));
            }
            let own = this.own_series(&asked.selectors);
            let notes = this.stored().notes(&asked.selectors);
            Ok::<_, Problem>((kind, asked, own, notes))
        })
        .await??;
        let limit = asked.limit.unwrap_or(usize::MAX);
        let read = move |View { window, until }: View<'_>| {
            listed(&Source::new(window, own, until), &asked)
        };
        let series = self.asker.ask(Instant::now() + PATIENCE, read).await??;
        off_thread(move || {
            let (items, all) = kind.items(&series, limit);
            if all > limit {
                notes.warnings.push(TRUNCATED.to_owned());
            }
            success_json(&items, &notes)
        })
        .await
    }

    /// What is stored under the configuration in force.
    fn stored(&self) -> Arc<Stored> {
        let config = Arc::clone(&self.current.borrow());
        let mut known = self.known.lock();
        let same = known
            .take()
            .filter(|known| Arc::ptr_eq(&known.config, &config));
        let known = known.insert(same.unwrap_or_else(|| Known {
            stored: Arc::new(Stored::of(&config)),
            config,
        }));
        Arc::clone(&known.stored)
    }

    /// Sidewatch's own series, if one of these selectors may match some; no selector matches all.
    fn own_series(&self, selectors: &[Selector]) -> Vec<(Labels, Samples)> {
        let may_match = |selector: &Selector| {
            let mut names = OWN_SERIES.iter();
            names.any(|name| selector.may_match_name(name))
        };
        if selectors.is_empty() || selectors.iter().any(may_match) {
            return self.shared.own_series();
        }
        Vec::new()
    }
}

/// What is listed of the series.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Series,
    Names,
    Values(String),
}

impl Kind {
    fn of(path: &str) -> Result<Self, Problem> {
        match path {
            "/api/v1/series" => Ok(Self::Series),
            "/api/v1/labels" => Ok(Self::Names),
            path => {
                let label = path.strip_prefix(LABEL);
                let name = label.and_then(|rest| rest.strip_suffix("/values"));
                match name {
                    Some(name) if !name.is_empty() && !name.contains('/') => {
                        Ok(Self::Values(decoded_segment(name)))
                    }
                    _ => Err(Problem::not_found(
                        "no such path; write label/<name>/values",
                    )),
                }
            }
        }
    }

    /// The first items as JSON, and how many there are.
    fn items(&self, series: &[Labels], limit: usize) -> (String, usize) {
        let texts = |texts: Vec<&str>| {
            let first: Vec<&str> = texts.iter().take(limit).copied().collect();
            (json!(first).to_string(), texts.len())
        };
        match self {
            Self::Series => {
                let first = series.iter().take(limit).collect::<Vec<_>>();
                (json!(first).to_string(), series.len())
            }
            Self::Names => texts(names(series)),
            Self::Values(name) => texts(values(series, name)),
        }
    }
}

/// The parameters of a call: those of its form, then those of its URL, as Go reads them.
async fn parameters(call: Call) -> Result<Query, Reply> {
    match call.method.as_str() {
        "GET" => Ok(call.query),
        "POST" if !call.path.starts_with(LABEL) => {
            if !call.is_form() {
                let message = "Content-Type: must be application/x-www-form-urlencoded";
                return Err(Problem::media_type(message).reply());
            }
            let body = call.body.read().await?;
            let form = String::from_utf8_lossy(&body);
            Ok(Query::parse(Some(&form)).and(&call.query))
        }
        _ => Err(Problem::method("only GET and POST ask here").reply()),
    }
}

/// The answer, cut to the limit of the client.
fn rendered(evaluation: Evaluation, asked: &Asked, mut notes: Notes) -> String {
    let own = Notes::of(&evaluation);
    notes.warnings.extend(own.warnings);
    notes.infos.extend(own.infos);
    let limit = asked.limit.unwrap_or(usize::MAX);
    let mut value = evaluation.value;
    let cut = match &mut value {
        ExprValue::Vector(samples) => {
            let before = samples.len();
            samples.truncate(limit);
            before > limit
        }
        ExprValue::Matrix(series) => {
            let before = series.len();
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
            series.truncate(limit);
            before > limit
        }
        ExprValue::Scalar(_) | ExprValue::Text(_) => false,
    };
    if cut {
        notes.warnings.push(TRUNCATED.to_owned());
    }
    evaluation_json(&value, asked.when.bounds().1, &notes)
}

/// Runs work that may take a while off the thread that serves.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let done = spawn_blocking(work).await;
    done.map_err(|_| Problem::internal("the request panicked; the log says where"))
}
