//! A monitor that is fed bodies of one target minute by minute, and can be stopped, killed and
//! reloaded.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sidewatch::internals::config::settings::{Settings, Target};
use sidewatch::internals::config::{Config, RuleReader};
use sidewatch_engine::alert::Alert;
use sidewatch_engine::exposition::Exposition;
use sidewatch_engine::judge::Registry;
use sidewatch_engine::metric::{Labels, Timestamp};
use sidewatch_engine::monitor::{ModelMonitor, Scraped, StateChanges, StoredState};

const INTERVAL: Duration = Duration::from_secs(60);

/// The time of a minute.
pub(crate) fn at(minute: u32) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000) + INTERVAL * minute
}

/// A configuration with one target, these settings and these rules.
pub(crate) fn config(rules: &str) -> Config {
    let registry = Registry::built_in();
    let mut settings = Settings::default();
    settings.global.scrape_interval = INTERVAL;
    settings.scrape.targets = vec![Target {
        url: "http://model:8000/metrics".to_owned(),
        labels: Labels::new([("job", "model"), ("instance", "model:8000")]),
    }];
    let reader = RuleReader {
        registry: &registry,
        interval: INTERVAL,
    };
    let groups = reader.read("rules.yaml", rules).unwrap();
    let mut config = Config::assemble(settings, Path::new(""), &registry).unwrap();
    config.rules.groups = groups;
    config
}

/// A monitor, and what it has stored.
pub(crate) struct Lab {
    pub(crate) monitor: ModelMonitor,
    pub(crate) minute: u32,
    rules: String,
    stored: StateChanges,
}

impl Lab {
    pub(crate) fn new(rules: &str) -> Self {
        Self {
            monitor: config(rules).monitor(&Registry::built_in()),
            minute: 0,
            rules: rules.to_owned(),
            stored: StateChanges::default(),
        }
    }

    /// Feeds the body of the next minute; returns the alerts whose state changed. Urgent changes
    /// are stored; what was learned is stored every ten minutes.
    pub(crate) fn tick(&mut self, body: &str) -> Vec<Alert> {
        let now = at(self.minute);
        let scraped = Scraped {
            result: Ok(Exposition::text(body.as_bytes().to_vec(), now)),
            duration: Duration::from_millis(5),
        };
        self.monitor.follow_clock(now);
        let tick = self.monitor.observe(now, &[scraped]);
        let changes = self.monitor.state_changes(self.minute.is_multiple_of(10));
        self.stored.overlay(changes);
        self.minute += 1;
        tick.changes
    }

    /// Stops the process; it is back with the next tick.
    pub(crate) fn restart(&mut self) {
        let changes = self.monitor.state_changes(true);
        self.stored.overlay(changes);
        self.kill();
    }

    /// Kills the process: only what was stored survives.
    pub(crate) fn kill(&mut self) {
        let known = |(key, value): &(String, Option<_>)| Some((key.clone(), value.clone()?));
        let stored = StoredState {
            alerts: self.stored.alerts.iter().filter_map(known).collect(),
            learnt: self.stored.learnt.clone(),
            counted: self.stored.counted.clone(),
            gates: self.stored.gates.clone(),
        };
        self.monitor = config(&self.rules).monitor(&Registry::built_in());
        self.monitor.restore(stored, at(self.minute));
    }

    /// Reloads other rules; returns the alerts whose state changed.
    pub(crate) fn reload(&mut self, rules: &str) -> Vec<Alert> {
        self.rules = rules.to_owned();
        let config = config(rules);
        let settings = config.monitor_settings();
        let tick = self
            .monitor
            .reload(settings, Arc::new(config.rules), at(self.minute));
        let changes = self.monitor.state_changes(false);
        self.stored.overlay(changes);
        tick.changes
    }
}
