//! The sections of the configuration file: every key, with its default, as checked settings.

use std::path::PathBuf;
use std::time::Duration;

use super::discovery::TargetDiscovery;
use super::http::HttpKeys;
use super::shapes::Modules;
use crate::describe::{
    EnvLabels, EnvMatcher, EnvText, Folder, HttpUrl, ServerUrl, Size, section, worded,
};
use crate::metric::{Labels, Matcher};
pub(crate) use crate::monitor::Model;
pub use crate::monitor::Target;
use crate::notify::alertmanager;
use crate::notify::relabel;
use crate::notify::retrain::{Format, Hourly};
use crate::runtime::http;
use crate::scrape::ScrapeLimits;
use crate::scrape::discovery::Lookup;

/// Limit for one request to a receiver.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a retraining request is tried.
const EXPIRY: Duration = Duration::from_secs(3 * 24 * 3600);

/// The least `global.scrape_interval`.
pub(crate) const MIN_SCRAPE_INTERVAL: Duration = Duration::from_millis(100);

section! {
    /// The configuration file. Every key has a default but `scrape`, which names the targets.
    #[check(super::file::complete)]
    pub struct Settings {
        /// Intervals and labels for the whole process.
        pub global: Global = Global::default();
        /// Which model is watched.
        pub model: Model = Model::default();
        /// What is scraped, and within which limits.
        pub scrape: Scrape = Scrape::default(), must_be_set();
        /// Rule files relative to this file, where `*` matches any text in a name; names of packs;
        /// or `auto` for the pack of whatever server the target turns out to be.
        pub rule_files: Vec<String> = Vec::new(), example("[rules/*.yaml, vllm]");
        /// Where history comes from, so that strategies start warm.
        pub backfill: Option<Backfill> = None, next_start();
        /// Where alerts go.
        pub alerting: Alerting = Alerting::default();
        /// Where retraining requests go.
        pub retraining: Retraining = Retraining::default();
        /// What is kept, and for how long.
        pub storage: Storage = Storage::default();
        /// What `/probe` may scrape, and by which rules it judges; without it `/probe` is off.
        pub probe: Probe = Probe::default();
    }
}

impl Settings {
    /// Puts the packs of these names in the place of `auto`, except those that are named anyway.
    pub fn recognise(&mut self, packs: &[&str]) {
        let named = std::mem::take(&mut self.rule_files);
        let is_new = |pack: &&&str| !named.iter().any(|file| file == **pack);
        let packs: Vec<String> = packs
            .iter()
            .filter(is_new)
            .map(|pack| (*pack).to_owned())
            .collect();
        for file in &named {
            if file == super::packs::AUTO {
                self.rule_files.extend(packs.iter().cloned());
            } else {
                self.rule_files.push(file.clone());
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

section! {
    /// Intervals and labels for the whole process.
    #[check(super::file::check_global)]
    pub struct Global {
        /// Time between scrapes, and between evaluations unless a group says otherwise.
        pub scrape_interval: Duration = Duration::from_secs(15), at_least(MIN_SCRAPE_INTERVAL.as_secs_f64()), example("30s");
        /// A scrape that takes longer fails; at most the interval.
        pub scrape_timeout: Duration = Duration::from_secs(5),
            above(0.0), default_text("`5s`, or the interval when that is shorter");
        /// Added to alerts that lack them.
        pub external_labels: Labels as EnvLabels = Labels::empty(), example("{cluster: eu1}");
        /// Where users reach this process, for links in alerts; with the path prefix of a proxy, if
        /// it has one.
        pub external_url: String as EnvText = String::new(),
            default_text("`http://HOST:PORT`, or `https` with TLS: the address of `--web.listen-address`, or the host name when that is every address"),
            example("http://sidewatch.example:9755");
    }
}

section! {
    /// What is scraped, and within which limits.
    #[check(super::file::check_scrape)]
    pub struct Scrape {
        /// The targets: one for a sidecar; several are replicas of one model. Needed without
        /// `discovery` and `source`.
        pub targets: Vec<Target> = Vec::new(),
            at_least(1.0),
            hint("must name at least one target, such as {url: \"http://127.0.0.1:8000/metrics\"}; replicas behind a headless Service are found by scrape.discovery");
        /// A server that evaluates the expressions, in the place of targets.
        pub source: Option<Source> = None;
        /// Replicas that are found by name: one target per address.
        pub discovery: Option<Discovery> = None;
        /// Whether labels of the target's exposition win over its configured labels.
        pub honor_labels: bool = false;
        /// Whether a sample is dropped when its own timestamp in the exposition is more than 5m old.
        /// Every sample is kept at the time of its scrape.
        pub honor_timestamps: bool = true;
        /// Largest body after decompression; 0 for no limit. A gzip body may be 64 KiB larger as it
        /// arrives. A scrape that exceeds this limit or one of the next four fails as a whole.
        pub body_size_limit: u64 as Size = ScrapeLimits::DEFAULT.body_size;
        /// Most samples in one scrape; 0 for no limit.
        pub sample_limit: u64 = ScrapeLimits::DEFAULT.samples;
        /// Most labels on one series, its name and the labels of the target included; 0 for no
        /// limit.
        pub label_limit: u64 = ScrapeLimits::DEFAULT.labels;
        /// Longest label name in bytes; 0 for no limit.
        pub label_name_length_limit: u64 = ScrapeLimits::DEFAULT.label_name_length;
        /// Longest label value, and longest metric name, in bytes; 0 for no limit.
        pub label_value_length_limit: u64 = ScrapeLimits::DEFAULT.label_value_length;
        /// Most series kept in the window.
        pub series_limit: u64 = 100_000;
        /// The syntaxes to ask the target for, in the order of preference; all of them in this order
        /// if empty: `OpenMetricsText1.0.0`, `OpenMetricsText0.0.1`, `PrometheusText1.0.0`,
        /// `PrometheusText0.0.4`.
        pub protocols @ "scrape_protocols": Vec<String> as Vec<super::shapes::Protocol> = Vec::new(),
            example("[PrometheusText0.0.4]");
        /// The syntax assumed when the target names no usable content type.
        pub fallback_protocol @ "fallback_scrape_protocol": Option<String> as Option<super::shapes::Protocol> = None;
        flatten {
            /// How the targets are reached.
            pub http: http::Settings as HttpKeys;
        }
    }
}

section! {
    /// A Prometheus, Thanos, Mimir or VictoriaMetrics that evaluates the expressions, in the place
    /// of targets.
    pub struct Source {
        required {
            /// Base URL; `/api/v1/query` is appended.
            pub url @ "prometheus": String as ServerUrl, example("http://prometheus:9090");
        }
        /// Added to every selector that is evaluated there.
        pub matchers: Vec<Matcher> as Vec<EnvMatcher> = Vec::new(), example("['job=\"fraud\"']");
        /// Limit for all answers of one tick.
        pub timeout: Duration = Duration::ZERO, above(0.0), default_text("the scrape timeout");
        /// How far behind the clock expressions are evaluated, where samples arrive late.
        pub query_offset: Duration = Duration::ZERO;
        flatten {
            /// How the server is reached.
            pub http: http::Settings as HttpKeys;
        }
    }
}

section! {
    /// History from which strategies and references start warm.
    pub struct Backfill {
        /// Base URL; `/api/v1/query_range` is appended.
        pub url @ "prometheus": String as ServerUrl = String::new(),
            default_text("that of `scrape.source`, with its matchers and client settings"),
            example("http://prometheus:9090");
        /// How far back it goes: a week, so that every hour of the week was seen once.
        pub range: Duration = Duration::from_secs(7 * 86_400), above(0.0);
        /// How long it may take in all.
        pub timeout: Duration = Duration::from_secs(15 * 60), above(0.0);
        /// Added to every selector.
        pub matchers: Vec<Matcher> as Vec<EnvMatcher> = Vec::new(), example("['job=\"fraud\"']");
        flatten {
            /// How the server is reached.
            pub http: http::Settings as HttpKeys;
        }
    }
}

impl Backfill {
    /// A backfill with the default for everything but its URL.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            ..Self::default()
        }
    }
}

/// Targets by name: one per address.
#[derive(Debug, Clone, PartialEq)]
pub struct Discovery {
    /// Which name, and how often it is looked up.
    pub lookup: Lookup,
    /// Whether the targets are reached by https.
    pub https: bool,
    /// Path of every target, query included.
    pub path: String,
    /// Attached to each of their series; `job` and `instance` are always there.
    pub labels: Labels,
}

crate::describe::written!(Discovery as TargetDiscovery, super::discovery::targets);

section! {
    /// Where alerts go.
    #[check(super::alerting::check_names)]
    pub struct Alerting {
        /// Which process owns the alerts.
        pub mode: Mode = Mode::Direct;
        /// Every Alertmanager receives every alert.
        pub alertmanagers: Vec<Alertmanager> = Vec::new();
        /// Steps of relabelling before every Alertmanager's own.
        pub relabel @ "alert_relabel_configs": Vec<relabel::Spec> = Vec::new();
        /// Most alerts that wait for one Alertmanager.
        pub queue_capacity: usize = 10_000, within(1.0, 1_000_000.0);
        /// Time before a firing alert is sent again.
        pub resend_delay: Duration = Duration::from_secs(60), above(0.0);
    }
}

/// Which process owns the alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// This process posts them to Alertmanager.
    #[default]
    Direct,
    /// Prometheus alerts on the exported metrics; nothing is posted.
    Metrics,
}

worded! {
    Mode {
        "direct" => Self::Direct, "Sidewatch posts alerts to Alertmanager.";
        "metrics" => Self::Metrics, "Prometheus alerts on the metrics of Sidewatch; nothing is posted.";
    }
}

section! {
    /// One Alertmanager.
    #[check(super::alerting::check_peer)]
    pub struct Alertmanager {
        required {
            /// Base URL; `/api/v2/alerts` is appended.
            pub url: String as ServerUrl, example("http://alertmanager:9093");
        }
        /// Limit for one request.
        pub timeout: Duration = TIMEOUT, above(0.0);
        /// Makes every address of the URL's host name an Alertmanager.
        pub discovery: Option<alertmanager::Discovery> = None;
        /// Its own steps of relabelling.
        pub relabel @ "alert_relabel_configs": Vec<relabel::Spec> = Vec::new();
        flatten {
            /// How it is reached.
            pub http: http::Settings as HttpKeys;
        }
    }
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

section! {
    /// Where retraining requests go.
    #[check(super::webhook::check_names)]
    pub struct Retraining {
        /// The one switch that stops every request.
        pub enabled: bool = true;
        /// Decide and record, but send nothing.
        pub dry_run: bool = false;
        /// How long a request counts as running when no one reports it done.
        pub in_flight_timeout: Option<Duration> = None,
            above(0.0), default_text("the cool-down of the rule"), example("12h");
        /// Most series of one rule and model that request retraining within an hour; 0 means no
        /// limit. A series that is held back requests later if its alert still fires.
        pub hourly_limit: u64 = Hourly::DEFAULT as u64;
        /// The receivers.
        pub webhooks: Vec<Webhook> = Vec::new();
    }
}

/// One receiver of retraining requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Unique; the outbox and the counters know it by this name.
    pub name: String,
    /// Where the request is posted.
    pub url: String,
    /// The shape of the body.
    pub format: Format,
    /// Signs the body.
    pub secret: Option<http::Secret>,
    /// Only requests whose labels match all of them; `model_id`, `model_version` and `rule` count
    /// as labels.
    pub matchers: Vec<Matcher>,
    /// How long a request is tried.
    pub expiry: Duration,
    /// Limit for one attempt.
    pub timeout: Duration,
    /// How it is reached.
    pub http: http::Settings,
}

section! {
    /// One receiver of retraining requests.
    pub(super) struct WebhookKeys {
        required {
            /// Where the request is posted.
            pub(super) url: String as HttpUrl, example("http://argo:12000/retrain");
        }
        /// Unique; the outbox and the counters know the receiver by this name.
        pub(super) name: String = String::new(), default_text("scheme and host of the URL");
        /// The shape of the body.
        pub(super) format: Option<super::webhook::FormatName> = None, default_text("`cloudevents`");
        /// For the format `kubeflow`, which needs it: the pipeline to run.
        pub(super) pipeline_id: Option<String> = None;
        /// For the format `kubeflow`: the version of the pipeline.
        pub(super) pipeline_version_id: Option<String> = None, default_text("the newest");
        /// For the format `kubeflow`: the experiment of the run.
        pub(super) experiment_id: Option<String> = None, default_text("the default experiment");
        /// For the format `github`: the type of the event.
        pub(super) event_type: Option<String> = None, default_text("`retrain`");
        /// For the format `argo`: the `WorkflowTemplate` to submit.
        pub(super) workflow_template: Option<String> = None, default_text("none: an event is sent");
        /// For the format `template`, which needs it: a file with the body, relative to this file.
        pub(super) template_file: Option<String> = None;
        /// For the format `template`: the content type of the body.
        pub(super) content_type: Option<String> = None, default_text("`application/json`");
        /// Only requests whose labels match all of them; `model_id`, `model_version` and `rule`
        /// count as labels.
        pub(super) matchers: Vec<Matcher> = Vec::new(), example("['severity=\"page\"']");
        /// How long a request is tried.
        pub(super) expiry: Duration = EXPIRY, above(0.0);
        /// Limit for one attempt.
        pub(super) timeout: Duration = TIMEOUT, above(0.0);
        flatten {
            /// How it knows the sender.
            pub(super) sender: Sender as Sender;
        }
    }
}

section! {
    /// How a receiver of requests is reached, and how it knows that they are genuine.
    pub(super) struct Sender {
        /// Signs the body.
        pub(super) secret: Option<String> = None, secret();
        /// A file with the secret, relative to this file; it is read for every request.
        pub(super) secret_file: Option<PathBuf> as Option<crate::describe::FilePath> = None;
        flatten {
            /// How it is reached.
            pub(super) http: http::Settings as HttpKeys;
        }
    }
}

crate::describe::written!(Webhook as WebhookKeys, super::webhook::webhook);

impl Webhook {
    /// A webhook with the default for everything but its URL.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            name: http::origin(url),
            url: url.to_owned(),
            format: Format::CloudEvents,
            secret: None,
            matchers: Vec::new(),
            expiry: EXPIRY,
            timeout: TIMEOUT,
            http: http::Settings::default(),
        }
    }
}

section! {
    /// What is kept, and for how long.
    pub struct Storage {
        /// Folder for state that survives a restart; everything is in memory without it.
        pub path: Option<PathBuf> as Option<Folder> = None, refused(), example("/var/lib/sidewatch");
        /// How far back a rule may look over the window. The window keeps what the rules need, up to
        /// this; a rule that needs more is loaded and marked as unsupported.
        pub retention: Duration = Duration::from_secs(7200);
    }
}

section! {
    /// What `/probe` may scrape, and by which rules it judges.
    pub struct Probe {
        /// Targets beside those of `scrape`; no other can be probed.
        pub targets: Vec<Target> = Vec::new();
        /// Rules to judge by, under the name that a request gives.
        pub modules: Vec<ProbeModule> as Modules = Vec::new(),
            must_be_set(), hint("name one, such as modules: {vllm: {rules: [vllm]}}"), example("{vllm: {rules: [vllm]}}");
    }
}

/// A named choice of rules.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProbeModule {
    /// What a request calls it.
    pub name: String,
    /// Rule files: paths, globs or names of packs, as written.
    pub rules: Vec<String>,
}

section! {
    /// A named choice of rules.
    pub(super) struct ModuleKeys {
        required {
            /// Rule files: paths, where `*` matches any text in a name, or names of packs.
            pub(super) rules: Vec<String>,
                at_least(1.0), hint("name at least one rule file or pack"), example("[vllm]");
        }
    }
}
