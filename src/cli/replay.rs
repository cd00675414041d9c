//! Saved scrapes through the whole monitor: what would have been said, and when.

use std::path::Path;
use std::time::Duration;

use std::sync::Arc;

use tokio::sync::broadcast::Receiver;

use super::Error;
use super::snapshots::snapshots;
use crate::alert::{Alert, State};
use crate::config::settings::{Settings, Target};
use crate::config::{Config, Problems};
use crate::judge::{Registry, Verdict};
use crate::metric::{Labels, MetricSample, Timestamp};
use crate::monitor::{ModelMonitor, Scraped};

/// The distance of scrapes when the snapshots do not tell it.
const DEFAULT_STEP: Duration = Duration::from_secs(15);

/// An alert that fired.
#[derive(Debug, Clone)]
pub struct Fired {
    /// As it was when it fired.
    pub alert: Alert,
    /// When it ended; `None` while it still fired at the end.
    pub resolved_at: Option<Timestamp>,
}

/// One judged value.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The watch.
    pub rule: String,
    /// The value.
    pub sample: MetricSample,
    /// What the strategy said.
    pub verdict: Verdict,
}

/// Everything a replay said.
#[derive(Debug, Default)]
pub struct Replay {
    /// Alerts in the order in which they fired.
    pub fired: Vec<Fired>,
    /// Every verdict in the order of time.
    pub judged: Vec<Judged>,
    /// Scrapes that were replayed.
    pub scrapes: usize,
}

/// Rules by path, glob or name of a pack, evaluated every `interval`.
///
/// # Errors
/// Every problem of every rule file.
pub fn load_rules(rules: &[String], interval: Duration) -> Result<Config, Problems> {
    let mut settings = Settings {
        rule_files: rules.to_vec(),
        ..Settings::default()
    };
    settings.global.scrape_interval = interval;
    settings.scrape.targets = vec![Target {
        url: String::new(),
        labels: Labels::empty(),
    }];
    Config::assemble(settings, Path::new(""), &Registry::default())
}

/// Replays a folder of saved scrapes; without a step their own times count.
///
/// # Errors
/// What is wrong with a rule file, the folder or a scrape.
pub fn replay(rules: &[String], dir: &Path, step: Option<Duration>) -> Result<Replay, Error> {
    let scrapes = snapshots(dir, step)?;
    let first = scrapes.iter().zip(scrapes.iter().skip(1)).next();
    let distance = first.map(|(one, two)| two.at.since(one.at));
    let interval = step.or(distance).filter(|step| !step.is_zero());
    let config = load_rules(rules, interval.unwrap_or(DEFAULT_STEP));
    let config = config.map_err(|problems| Error::new(problems.to_string()))?;
    let mut monitor = ModelMonitor::new(Arc::new(config), &Registry::default());
    let mut changes = monitor.subscribe();
    let mut replay = Replay {
        scrapes: scrapes.len(),
        ..Replay::default()
    };
    for scrape in &scrapes {
        let scraped = Scraped {
            result: Ok(scrape.read()?),
            duration: Duration::ZERO,
        };
        monitor.observe(scrape.at, &[scraped]);
        replay.follow(&mut changes);
        let judged = monitor.judged().map(|(rule, sample, verdict)| Judged {
            rule: rule.to_owned(),
            sample: sample.clone(),
            verdict: verdict.clone(),
        });
        replay.judged.extend(judged);
    }
    Ok(replay)
}

impl Replay {
    fn follow(&mut self, changes: &mut Receiver<Alert>) {
        while let Ok(alert) = changes.try_recv() {
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
    }
}
