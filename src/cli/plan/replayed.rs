//! A model's past under its pack: the server evaluates, the monitor judges.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::find::Model;
use crate::cli::Error;
use crate::cli::outgoing::Delivery;
use crate::cli::replay::{Player, Replay, unconfigured};
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

/// Questions under way at the same time.
const CONCURRENCY: usize = 4;
const WEEK: f64 = 7.0 * 86_400.0;

/// A model and what its pack would have said.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) model: Model,
    pub(super) replay: Replay,
    /// Watches that had values, and of how many series.
    pub(super) found: Vec<(String, usize)>,
    /// Watches that never had a value, and why as far as it is known.
    pub(super) missing: Vec<(String, String)>,
    /// How long there was something to judge.
    pub(super) observed: Duration,
}

impl Replayed {
    /// Alerts in a week, as far as the model was there.
    pub(super) fn alerts_per_week(&self) -> f64 {
        let observed = self.observed.as_secs_f64();
        if observed <= 0.0 {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a count")]
        let fired = self.replay.fired.len() as f64;
        fired * WEEK / observed
    }

    /// Requests for a new model that would have been sent.
    pub(super) fn retrainings(&self) -> usize {
        let requests = self.replay.deliveries.iter();
        requests
            .filter(|delivery| matches!(delivery, Delivery::Retrain { .. }))
            .count()
    }
}

/// Replays a model's past. `url` is the server as the user wrote it.
pub(super) async fn replay(
    prometheus: &Prometheus,
    url: &str,
    model: Model,
    range: Range,
) -> Result<Replayed, Error> {
    let config = config(url, &model, range.step)?;
    let asked = questions(&config.rules, &model.matchers);
    let mut player = Player::new(&config);
    let mut waiting = vec![range];
    while let Some(range) = waiting.pop() {
        match ask(prometheus, &asked, range).await {
            Ok(answers) => {
                for (at, results) in Past::new(range.start, range.end, range.step, answers) {
                    player.recall(at, results);
                }
            }
            Err(history::Error::Api {
                too_large: true, ..
            }) if range.steps() > 1 => waiting.extend(halves(range)),
            Err(error) => return Err(error.into()),
        }
    }
    let replay = player.finish();
    Ok(Replayed {
        found: found(&replay),
        missing: missing(&replay, &config, &model),
        observed: observed(&replay),
        replay,
        model,
    })
}

/// The pack on the model's series, evaluated at the step of the replay.
fn config(url: &str, model: &Model, step: Duration) -> Result<Config, Error> {
    let mut settings: Settings = unconfigured();
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
    Config::assemble(settings, Path::new(""), &Registry::default())
        .map_err(|problems| Error::new(problems.to_string()))
}

/// The later half first, since the last is taken next.
fn halves(range: Range) -> [Range; 2] {
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
    [second, first]
}

async fn ask(
    prometheus: &Prometheus,
    asked: &[Question],
    range: Range,
) -> Result<Answers, history::Error> {
    let asked: Vec<Question> = asked.to_vec();
    let answers = stream::iter(asked).map(|question| prometheus.ask_about(question, range));
    let mut answers = answers.buffered(CONCURRENCY);
    let mut all = Answers::default();
    while let Some(answer) = answers.next().await {
        let (written, answer) = answer?;
        all.put(written, answer);
    }
    Ok(all)
}

fn found(replay: &Replay) -> Vec<(String, usize)> {
    let mut found: Vec<(String, usize)> = Vec::new();
    for judged in &replay.judged {
        match found.iter_mut().find(|(rule, _)| **rule == *judged.rule) {
            Some((_, series)) => *series += 1,
            None => found.push((judged.rule.to_string(), 1)),
        }
    }
    found
}

/// The metrics that a watch needs and that are not there explain why it never had a value.
fn missing(replay: &Replay, config: &Config, model: &Model) -> Vec<(String, String)> {
    let recorded = Recorded::of(&config.rules);
    let rules: Vec<&Rule> = config.rules.groups.iter().flat_map(|g| &g.rules).collect();
    let watch = |name: &String| {
        let found = rules.iter().find(|rule| rule.name() == name);
        let mut needed = BTreeSet::new();
        if let Some(Rule::Watch(watch)) = found {
            needs(&watch.expr, &rules, &recorded, 0, &mut needed);
        }
        let lacking: Vec<&str> = needed
            .iter()
            .filter(|name| !model.metrics.contains(*name))
            .map(String::as_str)
            .collect();
        let why = if lacking.is_empty() {
            "its metrics are there, but its expression never had a value".to_owned()
        } else {
            format!("the server does not expose {}", lacking.join(", "))
        };
        (name.clone(), why)
    };
    replay.silent.iter().map(watch).collect()
}

/// The names behind an expression, through what other rules record.
fn needs(
    expr: &Expr,
    rules: &[&Rule],
    recorded: &Recorded,
    depth: usize,
    needed: &mut BTreeSet<String>,
) {
    for selector in expr.selectors() {
        let Some(name) = selector.metric_name() else {
            continue;
        };
        if !recorded.has(&selector) {
            needed.insert(name.to_owned());
            continue;
        }
        let records = rules.iter().filter(|rule| rule.name() == name && depth < 8);
        for rule in records {
            if let Rule::Record(recording) = rule {
                needs(recording.expr(), rules, recorded, depth + 1, needed);
            }
        }
    }
}

fn observed(replay: &Replay) -> Duration {
    let times = || {
        let points = replay.judged.iter().flat_map(|judged| &judged.points);
        points.map(|point| point.at)
    };
    match (times().min(), times().max()) {
        (Some(first), Some(last)) => last.since(first),
        _ => Duration::ZERO,
    }
}
