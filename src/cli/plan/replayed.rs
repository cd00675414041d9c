//! Replays a model's history with its pack. The server evaluates the expressions, the monitor
//! judges the results.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::discovery::Model;
use crate::cli::error::Error;
use crate::cli::replay::{Player, Replay, default_receivers};
use crate::config::Config;
use crate::config::settings::{Settings, Source};
use crate::history::{self, Prometheus, Range};
use crate::judge::Registry;
use crate::monitor::{Question, questions};
use crate::promql::Expr;
use crate::replay::{Answers, Past};
use crate::rules::Recorded;
use crate::rules::Rule;
use crate::runtime::http;

/// Number of concurrent queries.
const CONCURRENCY: usize = 4;
/// Seconds of a week.
const WEEK: f64 = 7.0 * 86_400.0;
/// Maximum depth of recording rules that use each other.
const MAX_DEPTH: usize = 8;

/// A watch that had values.
#[derive(Debug)]
pub(super) struct FoundWatch {
    pub(super) name: String,
    /// The number of judged series.
    pub(super) series: usize,
}

/// A watch that never had a value.
#[derive(Debug)]
pub(super) struct MissingWatch {
    pub(super) name: String,
    pub(super) reason: String,
}

/// A model and the replay of its history.
#[derive(Debug)]
pub(super) struct ReplayedModel {
    pub(super) model: Model,
    pub(super) replay: Replay,
    pub(super) found: Vec<FoundWatch>,
    pub(super) missing: Vec<MissingWatch>,
    /// The time from the first to the last judgement.
    pub(super) observed: Duration,
}

impl ReplayedModel {
    /// Alerts per week of observed time.
    pub(super) fn alerts_per_week(&self) -> f64 {
        let observed = self.observed.as_secs_f64();
        if observed <= 0.0 {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let fired = self.replay.fired.len() as f64;
        fired * WEEK / observed
    }
}

/// Replays a model's history. `url` is the server as the user wrote it.
pub(super) async fn replay(
    prometheus: &Prometheus,
    url: &str,
    model: Model,
    range: Range,
) -> Result<ReplayedModel, Error> {
    let config = config(url, &model, range.step)?;
    let questions = questions(&config.rules, &model.matchers);
    let mut player = Player::new(&config);
    let mut pending = vec![range];
    while let Some(range) = pending.pop() {
        match query(prometheus, &questions, range).await {
            Ok(answers) => {
                for (at, results) in Past::new(range.start, range.end, range.step, answers) {
                    player.recall(at, results);
                }
            }
            Err(history::Error::Api {
                too_large: true, ..
            }) if range.steps() > 1 => {
                let (first, second) = halves(range);
                pending.extend([second, first]);
            }
            Err(error) => return Err(error.into()),
        }
    }
    let replay = player.finish();
    Ok(ReplayedModel {
        found: found_watches(&replay),
        missing: missing_watches(&replay, &config, &model),
        observed: observed(&replay),
        replay,
        model,
    })
}

/// A configuration with the pack and the model's series, evaluated at the step of the replay.
fn config(url: &str, model: &Model, step: Duration) -> Result<Config, Error> {
    let mut settings: Settings = default_receivers();
    settings.global.scrape_interval = step;
    settings.model.id.clone_from(&model.name);
    settings.rule_files = vec![model.pack.to_owned()];
    settings.scrape.source = Some(Source {
        url: url.to_owned(),
        matchers: model.matchers.clone(),
        timeout: Duration::from_secs(10),
        query_offset: Duration::ZERO,
        http: http::Settings::default(),
    });
    Ok(Config::assemble(
        settings,
        Path::new(""),
        &Registry::default(),
    )?)
}

fn halves(range: Range) -> (Range, Range) {
    let half = u32::try_from(range.steps() / 2).unwrap_or(u32::MAX);
    let middle = range.start + range.step * half;
    let first = Range {
        end: middle - range.step,
        ..range
    };
    let second = Range {
        start: middle,
        ..range
    };
    (first, second)
}

/// Queries the expressions of all rules over a range.
async fn query(
    prometheus: &Prometheus,
    questions: &[Question],
    range: Range,
) -> Result<Answers, history::Error> {
    let questions: Vec<Question> = questions.to_vec();
    let mut answers = stream::iter(questions)
        .map(|question| prometheus.ask_about(question, range))
        .buffered(CONCURRENCY);
    let mut all = Answers::default();
    while let Some(answer) = answers.next().await {
        let (expr, answer) = answer?;
        all.put(expr, answer);
    }
    Ok(all)
}

fn found_watches(replay: &Replay) -> Vec<FoundWatch> {
    let mut found: Vec<FoundWatch> = Vec::new();
    for judged in &replay.judged {
        match found.iter_mut().find(|watch| *watch.name == *judged.rule) {
            Some(watch) => watch.series += 1,
            None => found.push(FoundWatch {
                name: judged.rule.to_string(),
                series: 1,
            }),
        }
    }
    found
}

/// The watches without a value. The reason names the metrics that the server does not expose.
fn missing_watches(replay: &Replay, config: &Config, model: &Model) -> Vec<MissingWatch> {
    let recorded = Recorded::of(&config.rules);
    let rules: Vec<&Rule> = config.rules.groups.iter().flat_map(|g| &g.rules).collect();
    let missing_watch = |name: &String| {
        let mut needed = BTreeSet::new();
        let rule = rules.iter().find(|rule| rule.name() == name);
        if let Some(Rule::Watch(watch)) = rule {
            add_metric_names(&watch.expr, &rules, &recorded, 0, &mut needed);
        }
        let not_exposed: Vec<&str> = needed
            .iter()
            .filter(|name| !model.metrics.contains(*name))
            .map(String::as_str)
            .collect();
        let reason = if not_exposed.is_empty() {
            "its metrics are there, but its expression never had a value".to_owned()
        } else {
            format!("the server does not expose {}", not_exposed.join(", "))
        };
        MissingWatch {
            name: name.clone(),
            reason,
        }
    };
    replay.silent.iter().map(missing_watch).collect()
}

/// Adds the metric names that an expression reads, directly or through recording rules.
fn add_metric_names(
    expr: &Expr,
    rules: &[&Rule],
    recorded: &Recorded,
    depth: usize,
    names: &mut BTreeSet<String>,
) {
    for selector in expr.selectors() {
        let Some(name) = selector.metric_name() else {
            continue;
        };
        if !recorded.has(&selector) {
            names.insert(name.to_owned());
            continue;
        }
        if depth == MAX_DEPTH {
            continue;
        }
        for rule in rules.iter().filter(|rule| rule.name() == name) {
            if let Rule::Record(recording) = rule {
                add_metric_names(recording.expr(), rules, recorded, depth + 1, names);
            }
        }
    }
}

fn observed(replay: &Replay) -> Duration {
    let times = || {
        replay
            .judged
            .iter()
            .flat_map(|judged| &judged.points)
            .map(|point| point.at)
    };
    match (times().min(), times().max()) {
        (Some(first), Some(last)) => last.since(first),
        _ => Duration::ZERO,
    }
}
