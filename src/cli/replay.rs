//! Replays history through a monitor and records its judgements, alerts and deliveries.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::delivery_log::{Delivery, DeliveryLog};
use super::error::Error;
use super::snapshots::{self, DEFAULT_STEP};
use crate::alert::{Alert, State};
use crate::config::rules::Rule;
use crate::config::settings::{Alertmanager, Settings, Target, Webhook};
use crate::config::{Config, Problems};
use crate::judge::{self, Registry, Verdict};
use crate::metric::{Labels, Metric, MetricSample, Timestamp};
use crate::monitor::{ModelMonitor, Results, Scraped, Tick};

/// An alert that fired.
#[derive(Debug, Clone)]
pub(crate) struct Fired {
    /// The alert as it was when it fired.
    pub(crate) alert: Alert,
    /// When it was resolved; `None` if it was still firing at the end.
    pub(crate) resolved_at: Option<Timestamp>,
}

/// One judgement. A number that is unknown is NaN.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    /// The evaluation time.
    pub(crate) at: Timestamp,
    /// The value.
    pub(crate) value: f64,
    /// Lower edge of the expected band.
    pub(crate) lower: f64,
    /// Upper edge of the expected band.
    pub(crate) upper: f64,
    /// The score; 1 is exactly at the limit.
    pub(crate) score: f64,
    /// The state that the strategy returned.
    pub(crate) state: judge::State,
}

/// All judgements of one series by one watch.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    /// The name of the watch.
    pub(crate) rule: Arc<str>,
    /// The kind of metric.
    pub(crate) metric: Metric,
    /// The series, without its name.
    pub(crate) labels: Labels,
    /// The judgements, oldest first.
    pub(crate) points: Vec<Point>,
}

/// Failed scrapes.
#[derive(Debug, Default)]
pub(crate) struct FailedScrapes {
    /// The number of failures, all targets together.
    pub(crate) count: usize,
    /// Why the last one failed.
    pub(crate) last_error: Option<String>,
}

/// The result of a replay.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// Alerts in the order in which they fired.
    pub(crate) fired: Vec<Fired>,
    /// Judgements, by watch and labels.
    pub(crate) judged: Vec<Judged>,
    /// Notifications and retraining requests that would have been sent, in order.
    pub(crate) deliveries: Vec<Delivery>,
    /// Watches that never had a value.
    pub(crate) silent: Vec<String>,
    /// The number of steps.
    pub(crate) scrapes: usize,
    /// The times of the first and the last step.
    pub(crate) span: Option<(Timestamp, Timestamp)>,
    /// Scrapes that failed.
    pub(crate) failed: FailedScrapes,
}

/// The rules to replay, optionally with a configuration file.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules<'a> {
    /// Rules by path, glob or pack name. If empty, those of the configuration.
    pub(crate) files: &'a [String],
    /// The configuration file.
    pub(crate) config: Option<&'a Path>,
}

impl Rules<'_> {
    /// Loads the rules, evaluated every `interval` on targets with these labels. Without a
    /// configuration file there are one Alertmanager and one webhook.
    ///
    /// # Errors
    /// All problems of all files.
    pub(crate) fn load(&self, interval: Duration, targets: &[Labels]) -> Result<Config, Problems> {
        let (mut settings, mut base) = match self.config {
            Some(path) => {
                let config = Config::load(path, &Registry::default())?;
                (config.settings, path.parent().unwrap_or(Path::new("")))
            }
            None => (default_receivers(), Path::new("")),
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

/// Settings with one Alertmanager and one webhook. Nothing is ever sent to them.
pub(super) fn default_receivers() -> Settings {
    let mut settings = Settings::default();
    settings.alerting.alertmanagers = vec![Alertmanager::new("")];
    settings.retraining.webhooks = vec![Webhook {
        name: "webhook".to_owned(),
        ..Webhook::new("")
    }];
    settings
}

/// Replays a folder of saved scrapes. Without a step, the scrapes have their own times.
///
/// # Errors
/// A mistake in a rule file, or a folder or scrape that cannot be read.
pub(crate) fn replay(
    rules: &[String],
    dir: &Path,
    step: Option<Duration>,
) -> Result<Replay, Error> {
    let scrapes = snapshots::snapshots(dir, step)?;
    let interval = step.or(snapshots::interval(&scrapes));
    let rules = Rules {
        files: rules,
        config: None,
    };
    let config = rules.load(interval.unwrap_or(DEFAULT_STEP), &[Labels::empty()])?;
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

/// Runs a monitor over history and records its output.
#[derive(Debug)]
pub(crate) struct Player {
    monitor: ModelMonitor,
    changes: Receiver<Alert>,
    watches: Vec<String>,
    replay: Replay,
    /// Indexes of the series in `replay.judged`, by watch.
    places: HashMap<Arc<str>, HashMap<Labels, usize>>,
    deliveries: DeliveryLog,
}

impl Player {
    /// A player at the start of the history.
    pub(crate) fn new(config: Config) -> Self {
        let watches = config
            .rules
            .groups
            .iter()
            .flat_map(|group| &group.rules)
            .filter(|rule| matches!(rule, Rule::Watch(_)))
            .map(|rule| rule.name().to_owned())
            .collect();
        let deliveries = DeliveryLog::new(&config.settings);
        let monitor = ModelMonitor::new(Arc::new(config), &Registry::default());
        Self {
            changes: monitor.subscribe(),
            monitor,
            watches,
            replay: Replay::default(),
            places: HashMap::new(),
            deliveries,
        }
    }

    /// One tick with the scrapes of all targets, in their order.
    pub(crate) fn step(&mut self, at: Timestamp, scraped: &[Scraped]) {
        let tick = self.monitor.observe(at, scraped);
        self.note(at, tick);
    }

    /// One tick with a server's results of the rules' expressions.
    pub(crate) fn recall(&mut self, at: Timestamp, results: &Results) {
        let tick = self.monitor.observe_with(at, &[], Some(results));
        self.note(at, tick);
    }

    fn note(&mut self, at: Timestamp, tick: Tick) {
        let replay = &mut self.replay;
        replay.scrapes += 1;
        let first = replay.span.map_or(at, |(first, _)| first);
        replay.span = Some((first, at));
        for error in self.monitor.scrape_errors() {
            replay.failed.count += 1;
            if replay.failed.last_error.as_deref() != Some(error) {
                replay.failed.last_error = Some(error.to_owned());
            }
        }
        self.follow();
        self.deliveries.record(tick, at);
        for (rule, sample, verdict) in self.monitor.judged() {
            let place = match self.places.get(rule).and_then(|of| of.get(&sample.labels)) {
                Some(place) => *place,
                None => self.replay.add_series(&mut self.places, rule, sample),
            };
            if let Some(judged) = self.replay.judged.get_mut(place) {
                judged.points.push(point(at, sample, verdict));
            }
        }
    }

    /// Ends the replay and returns its result.
    pub(crate) fn finish(self) -> Replay {
        let mut replay = self.replay;
        replay.deliveries = self.deliveries.into_deliveries();
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
                let is_open = |fired: &&mut Fired| {
                    fired.resolved_at.is_none() && fired.alert.labels == alert.labels
                };
                if let Some(fired) = self.fired.iter_mut().rev().find(is_open) {
                    fired.resolved_at = alert.resolved_at;
                }
            }
            State::Pending => {}
        }
    }

    /// Adds a series and returns its index in `judged`.
    fn add_series(
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
        let index = self.judged.len() - 1;
        let of_rule = places.entry(rule).or_default();
        of_rule.insert(sample.labels.clone(), index);
        index
    }

    /// How many notifications would have been posted to Alertmanager, repetitions included.
    pub(crate) fn posts(&self) -> u64 {
        let times = |delivery: &Delivery| match delivery {
            Delivery::Alert { times, .. } => u64::from(*times),
            Delivery::Retrain { .. } => 0,
        };
        self.deliveries.iter().map(times).sum()
    }

    /// How many retraining requests would have been sent.
    pub(crate) fn requests(&self) -> usize {
        let is_request = |delivery: &&Delivery| matches!(delivery, Delivery::Retrain { .. });
        self.deliveries.iter().filter(is_request).count()
    }
}

fn point(at: Timestamp, sample: &MetricSample, verdict: &Verdict) -> Point {
    let or_nan = |value: Option<f64>| value.unwrap_or(f64::NAN);
    Point {
        at,
        value: sample.value,
        lower: or_nan(verdict.expected.lower),
        upper: or_nan(verdict.expected.upper),
        score: or_nan(verdict.score),
        state: verdict.state,
    }
}
