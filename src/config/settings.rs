//! The runtime configuration as meant: checked, with every default filled in.

use std::path::PathBuf;
use std::time::Duration;

use crate::metric::{Labels, Matcher};
use crate::notify::alertmanager;
use crate::notify::relabel;
use crate::notify::retrain::Format;
use crate::runtime::http;
use crate::scrape::discovery::Lookup;

/// Limit for one request to a receiver.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Everything but the rules.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// Intervals and labels for the whole process.
    pub global: Global,
    /// Which model is watched.
    pub model: Model,
    /// What is scraped, and within which limits.
    pub scrape: Scrape,
    /// Rule files: paths, globs or names of packs, as written.
    pub rule_files: Vec<String>,
    /// Where history comes from.
    pub backfill: Option<Backfill>,
    /// Where alerts go.
    pub alerting: Alerting,
    /// Where retraining requests go.
    pub retraining: Retraining,
    /// What is kept, and for how long.
    pub storage: Storage,
    /// What `/probe` may do.
    pub probe: Probe,
}

/// What `/probe` may do: nothing by default.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Probe {
    /// Targets beside those that are scraped.
    pub targets: Vec<Target>,
    /// Rules to judge by, under a name.
    pub modules: Vec<ProbeModule>,
}

/// A named choice of rules.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProbeModule {
    /// What a request calls it.
    pub name: String,
    /// Rule files: paths, globs or names of packs, as written.
    pub rules: Vec<String>,
}

impl Settings {
    /// Puts the pack of this name in the place of `auto`.
    pub fn recognise(&mut self, pack: &str) {
        for file in &mut self.rule_files {
            if file == super::packs::AUTO {
                pack.clone_into(file);
            }
        }
    }

    /// Whether the rules are those for whatever the target turns out to be.
    #[must_use]
    pub fn is_auto(&self) -> bool {
        self.rule_files
            .iter()
            .any(|file| file == super::packs::AUTO)
    }
}

/// Intervals and labels for the whole process.
#[derive(Debug, Clone, PartialEq)]
pub struct Global {
    /// Time between scrapes, and between evaluations unless a group says otherwise. Default 15s.
    pub scrape_interval: Duration,
    /// A scrape that takes longer fails. At most the interval; default 5s, or the interval when that is shorter.
    pub scrape_timeout: Duration,
    /// Added to alerts that lack them.
    pub external_labels: Labels,
    /// Where users reach this process, for links in alerts; empty for none.
    pub external_url: String,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            scrape_interval: Duration::from_secs(15),
            scrape_timeout: Duration::from_secs(5),
            external_labels: Labels::empty(),
            external_url: String::new(),
        }
    }
}

/// Which model is watched: labels on all that is exported and sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Label `model_id`. Default `default`.
    pub id: String,
    /// Label `model_version`; none by default.
    pub version: Option<String>,
    /// How long alerts of a replica or version that has just appeared stay pending, and how long those of a replica that is gone
    /// stay. Default 5m.
    pub rollout_grace: Duration,
    /// What a new version of the model starts from.
    pub baseline: Baseline,
}

/// What a new version of the model starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Baseline {
    /// It is learnt anew.
    #[default]
    Reset,
    /// What was learnt about the version before is taken as usual.
    Carry,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            id: "default".to_owned(),
            version: None,
            rollout_grace: Duration::from_secs(300),
            baseline: Baseline::Reset,
        }
    }
}

impl Model {
    /// `model_id`, and `model_version` when there is one.
    #[must_use]
    pub fn labels(&self) -> Labels {
        let version = self.version.as_deref().unwrap_or("");
        Labels::new([("model_id", self.id.as_str()), ("model_version", version)])
    }
}

/// What is scraped, and within which limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Scrape {
    /// The targets, one for a sidecar.
    pub targets: Vec<Target>,
    /// Who evaluates the expressions where there are no targets.
    pub source: Option<Source>,
    /// More targets, one per address of a name.
    pub discovery: Option<Discovery>,
    /// Whether labels of the target's exposition win over its configured labels. Default false.
    pub honor_labels: bool,
    /// Whether timestamps in the exposition are used. Default true.
    pub honor_timestamps: bool,
    /// Largest body after decompression, in bytes. Default 64 MiB.
    pub body_size_limit: u64,
    /// Most samples in one scrape; 0 for no limit.
    pub sample_limit: u64,
    /// Most labels on one series; 0 for no limit.
    pub label_limit: u64,
    /// Longest label name in bytes; 0 for no limit.
    pub label_name_length_limit: u64,
    /// Longest label value in bytes; 0 for no limit.
    pub label_value_length_limit: u64,
    /// Most series kept in the window. Default 100,000.
    pub series_limit: u64,
    /// Assumed when the target names no usable content type: `PrometheusText0.0.4` and the like.
    pub fallback_protocol: Option<String>,
    /// How the targets are reached.
    pub http: http::Settings,
}

impl Default for Scrape {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            source: None,
            discovery: None,
            honor_labels: false,
            honor_timestamps: true,
            body_size_limit: 64 << 20,
            sample_limit: 0,
            label_limit: 0,
            label_name_length_limit: 0,
            label_value_length_limit: 0,
            series_limit: 100_000,
            fallback_protocol: None,
            http: http::Settings::default(),
        }
    }
}

/// A Prometheus, Thanos, Mimir or VictoriaMetrics that evaluates the expressions, in the place of targets.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Base URL; `/api/v1/query` is appended.
    pub url: String,
    /// Added to every selector that is evaluated there.
    pub matchers: Vec<Matcher>,
    /// Limit for all answers of one tick. Default: the scrape timeout.
    pub timeout: Duration,
    /// How far behind the clock expressions are evaluated, where samples arrive late. Default 0s.
    pub query_offset: Duration,
    /// How it is reached.
    pub http: http::Settings,
}

/// History from which strategies and references start warm.
#[derive(Debug, Clone, PartialEq)]
pub struct Backfill {
    /// Base URL; `/api/v1/query_range` is appended.
    pub url: String,
    /// Added to every selector.
    pub matchers: Vec<Matcher>,
    /// How far back it goes. Default 7d.
    pub range: Duration,
    /// How long it may take in all. Default 15m.
    pub timeout: Duration,
    /// How the server is reached.
    pub http: http::Settings,
}

impl Backfill {
    /// A week, so that every hour of the week was seen once.
    pub(super) const RANGE: Duration = Duration::from_secs(7 * 86_400);
    pub(super) const TIMEOUT: Duration = Duration::from_secs(15 * 60);

    /// A backfill with the default for everything but its URL.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            matchers: Vec::new(),
            range: Self::RANGE,
            timeout: Self::TIMEOUT,
            http: http::Settings::default(),
        }
    }
}

/// One `/metrics` endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its URL, with scheme and path.
    pub url: String,
    /// Attached to each of its series; `job` and `instance` are always there.
    pub labels: Labels,
}

/// Targets by name: one per address.
#[derive(Debug, Clone, PartialEq)]
pub struct Discovery {
    /// Which name, and how often it is looked up. Default every 30s.
    pub lookup: Lookup,
    /// Whether the targets are reached by https.
    pub https: bool,
    /// Path of every target, query included. Default `/metrics`.
    pub path: String,
    /// Attached to each of their series; `job` and `instance` are always there.
    pub labels: Labels,
}

/// Where alerts go.
#[derive(Debug, Clone, PartialEq)]
pub struct Alerting {
    /// Who owns the alerts.
    pub mode: Mode,
    /// Every one gets every alert.
    pub alertmanagers: Vec<Alertmanager>,
    /// `alert_relabel_configs` before every Alertmanager's own; each has been checked.
    pub relabel: Vec<relabel::Spec>,
    /// Most alerts that wait for one Alertmanager. Default 10,000.
    pub queue_capacity: usize,
    /// Time before a firing alert is sent again. Default 1m.
    pub resend_delay: Duration,
}

impl Default for Alerting {
    fn default() -> Self {
        Self {
            mode: Mode::Direct,
            alertmanagers: Vec::new(),
            relabel: Vec::new(),
            queue_capacity: 10_000,
            resend_delay: Duration::from_secs(60),
        }
    }
}

/// Who owns the alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// This process posts them to Alertmanager.
    #[default]
    Direct,
    /// Prometheus alerts on the exported metrics; nothing is posted.
    Metrics,
}

/// One Alertmanager.
#[derive(Debug, Clone, PartialEq)]
pub struct Alertmanager {
    /// Base URL; `/api/v2/alerts` is appended.
    pub url: String,
    /// Limit for one request. Default 10s.
    pub timeout: Duration,
    /// Every address that the URL's host name has is an Alertmanager; `None` for the URL as it is.
    pub discovery: Option<alertmanager::Discovery>,
    /// Its own `alert_relabel_configs`; each has been checked.
    pub relabel: Vec<relabel::Spec>,
    /// How it is reached.
    pub http: http::Settings,
}

impl Alertmanager {
    /// An Alertmanager with the default for everything but its URL.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            timeout: TIMEOUT,
            discovery: None,
            relabel: Vec::new(),
            http: http::Settings::default(),
        }
    }
}

/// Where retraining requests go.
#[derive(Debug, Clone, PartialEq)]
pub struct Retraining {
    /// The one switch that stops every request. Default true.
    pub enabled: bool,
    /// Decide and record, but send nothing. Default false.
    pub dry_run: bool,
    /// How long a request counts as under way when nobody reports it done; the rule's cool-down by default.
    pub in_flight_timeout: Option<Duration>,
    /// The receivers.
    pub webhooks: Vec<Webhook>,
}

impl Default for Retraining {
    fn default() -> Self {
        Self {
            enabled: true,
            dry_run: false,
            in_flight_timeout: None,
            webhooks: Vec::new(),
        }
    }
}

/// One receiver of retraining requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Unique; the outbox and the counters know it by this name. Default: the URL without its password.
    pub name: String,
    /// Where the request is posted.
    pub url: String,
    /// The shape of the body. Default `cloudevents`.
    pub format: Format,
    /// Signs the body.
    pub secret: Option<http::Secret>,
    /// Only requests whose labels match all of them; `model_id`, `model_version` and `rule` count as labels.
    pub matchers: Vec<Matcher>,
    /// How long a request is tried. Default 3d.
    pub expiry: Duration,
    /// Limit for one attempt. Default 10s.
    pub timeout: Duration,
    /// How it is reached.
    pub http: http::Settings,
}

impl Webhook {
    /// A webhook with the default for everything but its URL.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            name: http::redacted(url),
            url: url.to_owned(),
            format: Format::CloudEvents,
            secret: None,
            matchers: Vec::new(),
            expiry: Duration::from_secs(3 * 24 * 3600),
            timeout: TIMEOUT,
            http: http::Settings::default(),
        }
    }
}

/// What is kept, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct Storage {
    /// Folder for state that survives a restart; everything is in memory without it.
    pub path: Option<PathBuf>,
    /// Longest window a rule may look back over. Default 1h.
    pub retention: Duration,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            path: None,
            retention: Duration::from_secs(3600),
        }
    }
}
