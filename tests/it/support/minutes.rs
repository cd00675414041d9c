//! Days of scrapes, one a minute, through a whole monitor without a socket or a clock.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sidewatch::internals::config::settings::{Settings, Target};
use sidewatch::internals::config::{Config, RuleReader};
use sidewatch_engine::alert::{Alert, AlertState};
use sidewatch_engine::exposition::{Exposition, Reason};
use sidewatch_engine::judge::Registry;
use sidewatch_engine::metric::{Labels, Timestamp};
use sidewatch_engine::monitor::{ModelMonitor, ScrapeFailure, Scraped, StoredState};
use sidewatch_engine::retrain::RetrainRequest;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const DAY: u32 = 1440;

pub(crate) fn at(minute: u32) -> Timestamp {
    Timestamp::from_millis(1_700_006_400_000) + MINUTE * minute
}

/// A monitor of one target that is scraped once a minute, and what came of it.
pub(crate) struct World {
    pub(crate) rules: String,
    pub(crate) monitor: ModelMonitor,
    pub(crate) minute: u32,
    pub(crate) requests: Vec<(u32, RetrainRequest)>,
    pub(crate) changes: Vec<(u32, Alert)>,
}

fn monitor(rules: &str) -> ModelMonitor {
    let registry = Registry::built_in();
    let mut settings = Settings::default();
    settings.global.scrape_interval = MINUTE;
    settings.scrape.targets = vec![Target {
        url: "http://m/metrics".to_owned(),
        labels: Labels::new([("job", "m"), ("instance", "m:80")]),
    }];
    let reader = RuleReader {
        registry: &registry,
        interval: MINUTE,
    };
    let groups = reader.read("rules.yaml", rules).unwrap();
    let mut config = Config::assemble(settings, Path::new(""), &registry).unwrap();
    config.rules.groups = groups;
    config.monitor(&registry)
}

impl World {
    pub(crate) fn new(rules: &str) -> Self {
        Self {
            rules: rules.to_owned(),
            monitor: monitor(rules),
            minute: 0,
            requests: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// One scrape; `None` for one that fails.
    pub(crate) fn scrape(&mut self, body: Option<String>) {
        let at = at(self.minute);
        let result = match body {
            Some(body) => Ok(Exposition::text(body.into_bytes(), at)),
            None => Err(ScrapeFailure {
                reason: Reason::Connect,
                message: "connection refused".to_owned(),
            }),
        };
        let duration = Duration::from_millis(5);
        let tick = self.monitor.observe(at, &[Scraped { result, duration }]);
        let minute = self.minute;
        self.requests
            .extend(tick.requests.into_iter().map(|one| (minute, one)));
        self.changes
            .extend(tick.changes.into_iter().map(|one| (minute, one)));
        self.minute += 1;
    }

    /// Continues in a new process from what the store holds.
    pub(crate) fn restart(&mut self) {
        let changes = self.monitor.state_changes(true);
        let known = |(key, value): (String, Option<_>)| Some((key, value?));
        self.monitor = monitor(&self.rules);
        self.monitor.restore(
            StoredState {
                alerts: changes.alerts.into_iter().filter_map(known).collect(),
                learnt: changes.learnt,
                counted: changes.counted,
                gates: changes.gates,
            },
            at(self.minute),
        );
    }

    pub(crate) fn days(&self) -> Vec<u32> {
        self.requests
            .iter()
            .map(|(minute, _)| minute / DAY)
            .collect()
    }

    /// The states of the alert of this name, with its text.
    pub(crate) fn states(&self, name: &str) -> Vec<(AlertState, String)> {
        let changes = self.changes.iter();
        let named = changes.filter(|(_, alert)| alert.labels.get("alertname") == Some(name));
        named
            .map(|(_, alert)| (alert.state, alert.summary()))
            .collect()
    }
}

/// Counters by series, and a source of numbers that look random and are the same in every run.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) values: BTreeMap<String, u64>,
    seed: u64,
}

impl Counters {
    pub(crate) fn add(&mut self, series: &str, more: u64) {
        *self.values.entry(series.to_owned()).or_default() += more;
    }

    /// About `n · share`, give or take a standard deviation of independent observations.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "small counts"
    )]
    pub(crate) fn binomial(&mut self, n: u64, share: f64) -> u64 {
        let uniform = |seed: &mut u64| {
            *seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (*seed >> 33) as f64 / (1_u64 << 31) as f64
        };
        let sum: f64 = (0..12).map(|_| uniform(&mut self.seed)).sum();
        let spread = (n as f64 * share * (1.0 - share)).sqrt();
        (n as f64 * share + (sum - 6.0) * spread)
            .round()
            .clamp(0.0, n as f64) as u64
    }

    pub(crate) fn text(&self) -> String {
        let lines = self
            .values
            .iter()
            .map(|(series, value)| format!("{series} {value}\n"));
        lines.collect()
    }

    pub(crate) fn drop_version(&mut self, version: u32) {
        let label = format!("model_version=\"{version}\"");
        self.values.retain(|series, _| !series.contains(&label));
    }
}
