//! The past through the whole monitor: what would have been said and sent, and when.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::Error;
pub use super::outgoing::Delivery;
use super::outgoing::Outgoing;
use super::snapshots;
use crate::alert::{Alert, State};
use crate::config::settings::{Alertmanager, Settings, Target, Webhook};
use crate::config::{Config, Problems};
use crate::judge::{self, Registry, Verdict};
use crate::metric::{Labels, Metric, MetricSample, Timestamp};
use crate::monitor::{ModelMonitor, Results, Scraped, Tick};

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

/// What is replayed: rules, and perhaps the configuration around them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules<'a> {
    /// Rules by path, glob or name of a pack; those of the configuration when there are none.
    pub files: &'a [String],
    /// The configuration file.
    pub config: Option<&'a Path>,
}

/// Rules by path, glob or name of a pack, evaluated every `interval`, on one target without labels.
///
/// # Errors
/// Every problem of every rule file.
pub fn load_rules(rules: &[String], interval: Duration) -> Result<Config, Problems> {
    let rules = Rules {
        files: rules,
        config: None,
    };
    rules.load(interval, &[Labels::empty()])
}

impl Rules<'_> {
    /// The rules, evaluated every `interval` on targets with these labels. Without a configuration there are one
    /// Alertmanager and one webhook.
    ///
    /// # Errors
    /// Every problem of every file.
    pub fn load(&self, interval: Duration, targets: &[Labels]) -> Result<Config, Problems> {
        let (mut settings, mut base) = match self.config {
            Some(path) => {
                let config = Config::load(path, &Registry::default())?;
                (config.settings, path.parent().unwrap_or(Path::new("")))
            }
            None => (unconfigured(), Path::new("")),
        };
        if !self.files.is_empty() {
            settings.rule_files = self.files.to_vec();
            base = Path::new("");
        }
        settings.global.scrape_interval = interval;
        let target = |labels: &Labels| Target {
            url: String::new(),
            labels: labels.clone(),
        };
        settings.scrape.targets = targets.iter().map(target).collect();
        Config::assemble(settings, base, &Registry::default())
    }
}

/// One Alertmanager and one webhook, that nobody ever posts to.
pub(super) fn unconfigured() -> Settings {
    let mut settings = Settings::default();
    settings.alerting.alertmanagers = vec![Alertmanager::new("")];
    settings.retraining.webhooks = vec![Webhook {
        name: "webhook".to_owned(),
        ..Webhook::new("")
    }];
    settings
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
    outgoing: Outgoing,
}

impl Player {
    /// A player at the beginning.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let rules = config.rules.rules();
        let watches = rules.filter(|rule| matches!(rule, crate::rules::Rule::Watch(_)));
        let watches = watches.map(|rule| rule.name().to_owned()).collect();
        let outgoing = Outgoing::new(&config.settings);
        let monitor = ModelMonitor::new(Arc::new(config), &Registry::default());
        Self {
            changes: monitor.subscribe(),
            monitor,
            watches,
            replay: Replay::default(),
            places: HashMap::new(),
            outgoing,
        }
    }

    /// One tick: what each target answered, in their order.
    pub fn step(&mut self, at: Timestamp, scraped: &[Scraped]) {
        let tick = self.monitor.observe(at, scraped);
        self.note(at, tick);
    }

    /// One tick: what a server said about the rules' expressions.
    pub fn recall(&mut self, at: Timestamp, results: &Results) {
        let tick = self.monitor.observe_with(at, &[], Some(results));
        self.note(at, tick);
    }

    fn note(&mut self, at: Timestamp, tick: Tick) {
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
        self.outgoing.take(tick, at);
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
        replay.deliveries = self.outgoing.finish();
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

    /// How many messages would have gone to Alertmanager, repetitions included, and how many requests to webhooks.
    #[must_use]
    pub fn sent(&self) -> (u64, usize) {
        let (mut posts, mut requests) = (0, 0);
        for delivery in &self.deliveries {
            match delivery {
                Delivery::Alert { times, .. } => posts += u64::from(*times),
                Delivery::Retrain { .. } => requests += 1,
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
