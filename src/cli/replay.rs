//! The past through a monitor and the configuration: what would have been said and sent, and when.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Error;
pub use super::outgoing::Delivery;
use super::outgoing::Outgoing;
use super::snapshots;
use crate::config::settings::{Alertmanager, Settings, Target, Webhook};
use crate::config::{Config, Problems};
use crate::judge::Registry;
use crate::metric::{Labels, Timestamp};
use crate::monitor::{Results, Scraped};
use crate::replay;
pub use crate::replay::{Fired, Judged, Point};

/// The distance of scrapes when nothing tells it.
pub const DEFAULT_STEP: Duration = Duration::from_secs(15);

/// Everything that a replay said, and would have sent.
#[derive(Debug, Default)]
pub struct Replay {
    /// What the monitor said.
    pub said: replay::Replay,
    /// What would have been sent, in order.
    pub deliveries: Vec<Delivery>,
}

impl std::ops::Deref for Replay {
    type Target = replay::Replay;

    fn deref(&self) -> &replay::Replay {
        &self.said
    }
}

impl Replay {
    /// How many messages would have gone to Alertmanager, repetitions included, and how many
    /// requests to webhooks.
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
    /// The rules, evaluated every `interval` on targets with these labels. Without a configuration
    /// there are one Alertmanager and one webhook.
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

/// One Alertmanager and one webhook, that nothing is posted to.
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

/// A monitor that replays the past, and keeps what it said and would have sent.
#[derive(Debug)]
pub struct Player {
    player: replay::Player,
    outgoing: Outgoing,
}

impl Player {
    /// A player at the beginning.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let rules = Arc::new(config.rules.clone());
        let settings = config.monitor_settings();
        Self {
            player: replay::Player::new(settings, rules, &Registry::default()),
            outgoing: Outgoing::new(&config.settings),
        }
    }

    /// One tick: what each target answered, in their order.
    pub fn step(&mut self, at: Timestamp, scraped: &[Scraped]) {
        let tick = self.player.step(at, scraped);
        self.outgoing.take(tick, at);
    }

    /// One tick: what a server said about the rules' expressions.
    pub fn recall(&mut self, at: Timestamp, results: Results) {
        let tick = self.player.recall(at, results);
        self.outgoing.take(tick, at);
    }

    /// The end of the past.
    #[must_use]
    pub fn finish(self) -> Replay {
        Replay {
            said: self.player.finish(),
            deliveries: self.outgoing.finish(),
        }
    }
}
