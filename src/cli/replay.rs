//! Replays history through a monitor and records its judgements, alerts and deliveries.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::delivery_log::{Delivery, DeliveryLog};
use super::error::Error;
use super::snapshots::{self, DEFAULT_STEP};
use crate::config::settings::{Alertmanager, Settings, Target, Webhook};
use crate::config::{Config, Problems};
use crate::judge::Registry;
use crate::metric::{Labels, Timestamp};
use crate::monitor::{self, Results, Scraped, out_of_reach};
use crate::replay;
pub(crate) use crate::replay::{Fired, Judged, Point};
use crate::rules::{Recorded, RuleSet};

/// The result of a replay.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    /// The alerts and judgements of the monitor.
    pub(crate) result: replay::Replay,
    /// Notifications and retraining requests that would have been sent, in order.
    pub(crate) deliveries: Vec<Delivery>,
}

impl std::ops::Deref for Replay {
    type Target = replay::Replay;

    fn deref(&self) -> &replay::Replay {
        &self.result
    }
}

impl Replay {
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
    let mut player = Player::new(&config);
    for scrape in &scrapes {
        let scraped = Scraped {
            result: Ok(scrape.read()?),
            duration: Duration::ZERO,
        };
        player.step(scrape.at, &[scraped]);
    }
    Ok(player.finish())
}

/// Runs a monitor over history and records its output and deliveries.
#[derive(Debug)]
pub(crate) struct Player {
    player: replay::Player,
    deliveries: DeliveryLog,
}

impl Player {
    /// A player at the start of the history.
    pub(crate) fn new(config: &Config) -> Self {
        let rules = Arc::new(config.rules.clone());
        let settings = config.monitor_settings();
        note_unsupported(&settings, &rules);
        Self {
            player: replay::Player::new(settings, rules, &Registry::default()),
            deliveries: DeliveryLog::new(&config.settings),
        }
    }

    /// One tick with the scrapes of all targets, in their order.
    pub(crate) fn step(&mut self, at: Timestamp, scraped: &[Scraped]) {
        let tick = self.player.step(at, scraped);
        self.deliveries.record(tick, at);
    }

    /// One tick with a server's results of the rules' expressions.
    pub(crate) fn recall(&mut self, at: Timestamp, results: Results) {
        let tick = self.player.recall(at, results);
        self.deliveries.record(tick, at);
    }

    /// Ends the replay and returns its result.
    pub(crate) fn finish(self) -> Replay {
        Replay {
            result: self.player.finish(),
            deliveries: self.deliveries.into_deliveries(),
        }
    }
}

/// Says which rules are not evaluated, so that their silence is not taken for health. Standard
/// output is only for the result.
fn note_unsupported(settings: &monitor::Settings, rules: &RuleSet) {
    let recorded = Recorded::of(rules);
    for rule in rules.rules() {
        if let Some(why) = out_of_reach(settings, &recorded, rule) {
            drop(writeln!(
                io::stderr().lock(),
                "sidewatch: {}: {why}",
                rule.name()
            ));
        }
    }
}
