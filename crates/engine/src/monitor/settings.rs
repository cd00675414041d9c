//! The settings of a monitor besides its rules.

use std::net::SocketAddr;
use std::time::Duration;

use crate::alert;
use crate::describe::{EnvLabels, EnvText, HttpUrl, Node, section, worded};
use crate::exposition::ScrapeLimits;
use crate::metric::Labels;
use crate::retrain::Hourly;
use crate::series;

/// The settings of a monitor besides its rules, built from the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which model is watched.
    pub model: Model,
    /// The targets that are listed.
    pub targets: Vec<Target>,
    /// How targets that are found by name look; `None` when all are listed.
    pub discovery: Option<Discovery>,
    /// Whether a server evaluates the expressions, in the place of targets.
    pub is_remote: bool,
    /// How a scrape is taken in.
    pub ingest: Ingest,
    /// Most series kept in the window.
    pub series_limit: usize,
    /// Time between scrapes, and between evaluations unless a group says otherwise.
    pub interval: Duration,
    /// The longest that rules and the queries of their templates may look back over the window.
    pub retention: Duration,
    /// Time before a firing alert is sent again.
    pub resend_delay: Duration,
    /// Labels that templates see as `$externalLabels`.
    pub external_labels: Labels,
    /// Where users reach the process, for links in alerts; empty for none.
    pub external_url: String,
    /// Hash of the configuration, shown in alerts.
    pub config_hash: String,
    /// When to ask for a new model.
    pub retraining: RetrainingSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: Model::default(),
            targets: Vec::new(),
            discovery: None,
            is_remote: false,
            ingest: Ingest::default(),
            series_limit: 100_000,
            interval: Duration::from_secs(15),
            retention: Duration::from_secs(7200),
            resend_delay: Duration::from_secs(60),
            external_labels: Labels::empty(),
            external_url: String::new(),
            config_hash: String::new(),
            retraining: RetrainingSettings::default(),
        }
    }
}

impl Settings {
    /// The context of templates and alert identities. The identity is the model, and the target's
    /// where there is only one.
    pub(super) fn context(&self) -> alert::Context {
        let mut identity = self.model.labels();
        if let ([target], None) = (self.targets.as_slice(), &self.discovery) {
            let own = target
                .labels
                .retain(|name| ["instance", "pod", "namespace"].contains(&name));
            identity = own.overlaid_with(&identity);
        }
        alert::Context {
            external_labels: self.external_labels.clone(),
            external_url: self.external_url.trim_end_matches('/').to_owned(),
            identity,
            config_hash: self.config_hash.clone(),
        }
    }

    /// The sizes of a window for expressions that look back by `reach`.
    pub(super) fn window_limits(&self, reach: Duration) -> series::WindowLimits {
        series::WindowLimits {
            retention: reach + self.interval * 2,
            interval: self.interval,
            max_series: self.series_limit,
        }
    }

    /// Every target: those that are listed, then those at the addresses that were found.
    pub(super) fn all_targets(&self, addresses: Option<&[SocketAddr]>) -> Vec<Target> {
        let mut targets = self.targets.clone();
        let Some(discovery) = &self.discovery else {
            return targets;
        };
        for address in addresses.unwrap_or_default() {
            let found = discovery.target(*address);
            // A replica that is also listed is one target.
            let instance = found.labels.get("instance");
            if targets
                .iter()
                .all(|known| known.labels.get("instance") != instance)
            {
                targets.push(found);
            }
        }
        targets
    }
}

section! {
    /// Which model is watched: labels on everything that is exported and sent.
    #[check(name_model)]
    pub struct Model {
        /// The label `model_id`.
        pub id: String as EnvText = "default".to_owned(), refused(), example("fraud-detector");
        /// The label `model_version`.
        pub version: Option<String> as Option<EnvText> = None, refused(), example("7");
        /// How long alerts of a replica or version that has just appeared stay pending, and how
        /// long those of a replica that is gone stay.
        pub rollout_grace: Duration = Duration::from_secs(300);
        /// What a new version of the model starts from.
        pub baseline: Baseline = Baseline::Compare;
    }
}

/// What a new version of the model starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Baseline {
    /// It is compared with what was normal for the previous version, until it is found worse or as
    /// good; from then on it teaches what is normal.
    #[default]
    Compare,
    /// It is learned anew.
    Reset,
    /// What was learned about the previous version is taken as normal.
    Carry,
}

worded! {
    Baseline {
        "compare" => Self::Compare, "The version is compared with the previous one, until it is found worse or as good.";
        "reset" => Self::Reset, "What is normal is learned anew.";
        "carry" => Self::Carry, "What was learned about the previous version is taken as normal.";
    }
}

/// An empty id means the default, an empty version none.
fn name_model(model: &mut Model, _node: &Node<'_>) {
    if model.id.is_empty() {
        model.id = Model::default().id;
    }
    model.version = model.version.take().filter(|version| !version.is_empty());
}

impl Model {
    /// `model_id`, and `model_version` when there is one.
    #[must_use]
    pub fn labels(&self) -> Labels {
        let version = self.version.as_deref().unwrap_or("");
        Labels::new([("model_id", self.id.as_str()), ("model_version", version)])
    }
}

section! {
    /// One `/metrics` endpoint.
    pub struct Target {
        required {
            /// Its URL, with scheme and path.
            pub url: String as HttpUrl, example("http://127.0.0.1:8000/metrics");
        }
        /// Attached to each of its series; `job` and `instance` have defaults.
        pub labels: Labels as EnvLabels = Labels::empty(), example("{pod: \"${POD_NAME}\"}");
    }
}

/// What the targets that are found by name have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Discovery {
    /// The name that is looked up; another name is about other targets.
    pub name: String,
    /// Whether the targets are reached by https.
    pub https: bool,
    /// Path of every target, query included.
    pub path: String,
    /// Attached to each of their series, besides `instance`.
    pub labels: Labels,
}

impl Discovery {
    /// The target at an address that was found; the address is its `instance`.
    #[must_use]
    pub fn target(&self, address: SocketAddr) -> Target {
        let scheme = if self.https { "https" } else { "http" };
        Target {
            url: format!("{scheme}://{address}{}", self.path),
            labels: self.labels.with("instance", &address.to_string()),
        }
    }
}

/// How a scrape is taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingest {
    /// What one scrape may contain.
    pub limits: ScrapeLimits,
    /// Whether labels of the exposition win over the target's. Default false.
    pub honor_labels: bool,
    /// Whether timestamps in the exposition are used. Default true.
    pub honor_timestamps: bool,
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            limits: ScrapeLimits::default(),
            honor_labels: false,
            honor_timestamps: true,
        }
    }
}

/// The switches in front of requests for a new model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrainingSettings {
    /// The one switch that stops every request. Default true.
    pub enabled: bool,
    /// Decide and log, but make no request. Default false.
    pub dry_run: bool,
    /// How long a request counts as under way unless it is reported done; the rule's cool-down by
    /// default.
    pub in_flight_timeout: Option<Duration>,
    /// Most series of a rule that request within an hour; 0 is no limit.
    pub hourly_limit: usize,
}

impl Default for RetrainingSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            dry_run: false,
            in_flight_timeout: None,
            hourly_limit: Hourly::DEFAULT,
        }
    }
}
