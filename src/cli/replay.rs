//! The past through the whole monitor: what would have been said and sent, and when.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::Error;
use super::snapshots;
use crate::alert::{Alert, State};
use crate::config::settings::{Settings, Target};
use crate::config::{Config, Problems};
use crate::judge::{self, Registry, Verdict};
use crate::metric::{Labels, Metric, MetricSample, Timestamp};
use crate::monitor::{ModelMonitor, Scraped, Tick};
use crate::notify::RetrainRequest;

/// The distance of scrapes when nothing tells it.
pub const DEFAULT_STEP: Duration = Duration::from_secs(15);

/// An alert that fired.
#[derive(Debug, Clone)]
pub struct Fired {
    /// As it was when it fired.
    pub alert: Alert,
    /// When it ended; `None` while it still fired at the end.
    pub resolved_at: Option<Timestamp>,
}

/// One judgement; a number that is unknown is NaN.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// The value.
    pub value: f64,
    /// Least normal value.
    pub lower: f64,
    /// Greatest normal value.
    pub upper: f64,
    /// 1 is at the limit.
    pub score: f64,
    /// What the strategy said.
    pub state: judge::State,
}

/// Every judgement of one series by one watch.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The watch.
    pub rule: Arc<str>,
    /// What the value is about.
    pub metric: Metric,
    /// The series, without its name.
    pub labels: Labels,
    /// The judgements, oldest first.
    pub points: Vec<Point>,
}

/// Something that would have been sent.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// A state of an alert, to Alertmanager.
    Alert {
        /// The alert as it was first sent in this state.
        alert: Box<Alert>,
        /// When that was.
        at: Timestamp,
        /// How often it was sent: a firing alert is repeated, and so is its end for a while.
        times: u32,
        /// When it was sent last.
        last_at: Timestamp,
    },
    /// A request for a new model, to the webhook.
    Retrain(Box<RetrainRequest>),
}

impl Delivery {
    /// When it would have been sent first.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Alert { at, .. } => *at,
            Self::Retrain(request) => request.requested_at,
        }
    }
}

/// Everything that a replay said.
#[derive(Debug, Default)]
pub struct Replay {
    /// Alerts in the order in which they fired.
    pub fired: Vec<Fired>,
    /// Judgements, by watch and labels.
    pub judged: Vec<Judged>,
    /// What would have been sent, in order.
    pub deliveries: Vec<Delivery>,
    /// Watches that never saw a value.
    pub silent: Vec<String>,
    /// Steps that were replayed.
    pub scrapes: usize,
    /// The first and last step.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Scrapes that failed, all targets together, and why the last one did.
    pub failed: (usize, Option<String>),
}

/// Rules by path, glob or name of a pack, evaluated every `interval`, on one target without labels.
///
/// # Errors
/// Every problem of every rule file.
pub fn load_rules(rules: &[String], interval: Duration) -> Result<Config, Problems> {
    load(rules, interval, &[Labels::empty()])
}

/// Rules as [`load_rules`] has them, on targets with these labels.
///
/// # Errors
/// Every problem of every rule file.
pub fn load(rules: &[String], interval: Duration, targets: &[Labels]) -> Result<Config, Problems> {
    let mut settings = Settings {
        rule_files: rules.to_vec(),
        ..Settings::default()
    };
    settings.global.scrape_interval = interval;
    let target = |labels: &Labels| Target {
        url: String::new(),
        labels: labels.clone(),
    };
    settings.scrape.targets = targets.iter().map(target).collect();
    Config::assemble(settings, Path::new(""), &Registry::default())
}

/// Replays a folder of saved scrapes; without a step their own times count.
///
/// # Errors
/// What is wrong with a rule file, the folder or a scrape.
pub fn replay(rules: &[String], dir: &Path, step: Option<Duration>) -> Result<Replay, Error> {
    let scrapes = snapshots::snapshots(dir, step)?;
    let interval = step.or(snapshots::interval(&scrapes));
    let config = load_rules(rules, interval.unwrap_or(DEFAULT_STEP));
    let config = config.map_err(|problems| Error::new(problems.to_string()))?;
    let mut player = Player::new(config);
    for scrape in &scrapes {
        let scraped = Scraped {
            result: Ok(scrape.read()?),
            duration: Duration::ZERO,
        };
        player.step(scrape.at, &[scraped]);
    }
    Ok(player.finish())
}

/// A monitor that lives through the past, and remembers what it said.
#[derive(Debug)]
pub struct Player {
    monitor: ModelMonitor,
    changes: Receiver<Alert>,
    watches: Vec<String>,
    replay: Replay,
    /// Where the judgements of a series are, by watch.
    places: HashMap<Arc<str>, HashMap<Labels, usize>>,
    /// Where the last delivery of an alert is.
    sent: HashMap<Labels, usize>,
}

impl Player {
    /// A player at the beginning.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let rules = config.rules.groups.iter().flat_map(|group| &group.rules);
        let watches = rules.filter(|rule| matches!(rule, crate::config::rules::Rule::Watch(_)));
        let watches = watches.map(|rule| rule.name().to_owned()).collect();
        let monitor = ModelMonitor::new(Arc::new(config), &Registry::default());
        Self {
            changes: monitor.subscribe(),
            monitor,
            watches,
            replay: Replay::default(),
            places: HashMap::new(),
            sent: HashMap::new(),
        }
    }

    /// One tick: what each target answered, in their order.
    pub fn step(&mut self, at: Timestamp, scraped: &[Scraped]) {
        let tick = self.monitor.observe(at, scraped);
        let replay = &mut self.replay;
        replay.scrapes += 1;
        let first = replay.span.map_or(at, |(first, _)| first);
        replay.span = Some((first, at));
        for error in self.monitor.scrape_errors() {
            replay.failed.0 += 1;
            if replay.failed.1.as_deref() != Some(error) {
                replay.failed.1 = Some(error.to_owned());
            }
        }
        self.follow();
        self.deliver(tick, at);
        for (rule, sample, verdict) in self.monitor.judged() {
            let place = match self.places.get(rule).and_then(|of| of.get(&sample.labels)) {
                Some(place) => *place,
                None => self.replay.place(&mut self.places, rule, sample),
            };
            if let Some(judged) = self.replay.judged.get_mut(place) {
                judged.points.push(point(at, sample, verdict));
            }
        }
    }

    /// The end of the past.
    #[must_use]
    pub fn finish(self) -> Replay {
        let mut replay = self.replay;
        let silent = |watch: &String| !replay.judged.iter().any(|judged| *judged.rule == **watch);
        replay.silent = self.watches.into_iter().filter(silent).collect();
        replay.silent.dedup();
        let key = |judged: &Judged| (Arc::clone(&judged.rule), judged.labels.to_string());
        replay.judged.sort_by_cached_key(key);
        replay
    }

    fn follow(&mut self) {
        loop {
            match self.changes.try_recv() {
                Ok(alert) => self.replay.change(alert),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    /// What the tick would have sent; repetitions count with what they repeat.
    fn deliver(&mut self, tick: Tick, at: Timestamp) {
        for alert in tick.alerts {
            let known = self.sent.get(&alert.labels).copied();
            if let Some(Delivery::Alert {
                alert: before,
                times,
                last_at,
                ..
            }) = known.and_then(|index| self.replay.deliveries.get_mut(index))
                && (before.state, before.fired_at) == (alert.state, alert.fired_at)
            {
                *times += 1;
                *last_at = at;
                continue;
            }
            self.sent
                .insert(alert.labels.clone(), self.replay.deliveries.len());
            self.replay.deliveries.push(Delivery::Alert {
                alert: Box::new(alert),
                at,
                times: 1,
                last_at: at,
            });
        }
        let requests = tick.requests.into_iter().map(Box::new);
        let requests = requests.map(Delivery::Retrain);
        self.replay.deliveries.extend(requests);
    }
}

impl Replay {
    fn change(&mut self, alert: Alert) {
        match alert.state {
            State::Firing => self.fired.push(Fired {
                alert,
                resolved_at: None,
            }),
            State::Resolved => {
                let open = self.fired.iter_mut().rev();
                let mut open = open.filter(|fired| fired.resolved_at.is_none());
                if let Some(fired) = open.find(|fired| fired.alert.labels == alert.labels) {
                    fired.resolved_at = alert.resolved_at;
                }
            }
            State::Pending => {}
        }
    }

    /// A new place for the judgements of a series.
    fn place(
        &mut self,
        places: &mut HashMap<Arc<str>, HashMap<Labels, usize>>,
        rule: &str,
        sample: &MetricSample,
    ) -> usize {
        let rule: Arc<str> = rule.into();
        self.judged.push(Judged {
            rule: Arc::clone(&rule),
            metric: sample.metric.clone(),
            labels: sample.labels.without_name(),
            points: Vec::new(),
        });
        let place = self.judged.len() - 1;
        let of_rule = places.entry(rule).or_default();
        of_rule.insert(sample.labels.clone(), place);
        place
    }

    /// How many messages would have gone to Alertmanager, repetitions included, and how many requests to the webhook.
    #[must_use]
    pub fn sent(&self) -> (u64, usize) {
        let (mut posts, mut requests) = (0, 0);
        for delivery in &self.deliveries {
            match delivery {
                Delivery::Alert { times, .. } => posts += u64::from(*times),
                Delivery::Retrain(_) => requests += 1,
            }
        }
        (posts, requests)
    }
}

fn point(at: Timestamp, sample: &MetricSample, verdict: &Verdict) -> Point {
    let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
    Point {
        at,
        value: sample.value,
        lower: known(verdict.expected.lower),
        upper: known(verdict.expected.upper),
        score: known(verdict.score),
        state: verdict.state,
    }
}
