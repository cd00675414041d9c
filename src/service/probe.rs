//! `/probe?target=URL&module=NAME`: scrapes a known target now, and judges once by the rules of a
//! module.
//!
//! The URL that is scraped is the configuration's, never the request's: no client can aim Sidewatch
//! at another host.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tracing::subscriber::{NoSubscriber, with_default};

use super::producers::{ByInstance, Producers};
use super::snapshot;
use crate::config::Config;
use crate::config::settings::{Alerting, Retraining};
use crate::describe::{bare_url, without_user};
use crate::judge::Registry;
use crate::monitor::Target;
use crate::publish::web::{Bucket, RateLimit};
use crate::publish::{Query, Reply, Snapshot, probe_page};
use crate::rules::RuleSet;
use crate::runtime::{clock, on_own_thread};

/// How often each target may be probed: its own scrapes must not suffer.
const LIMIT: RateLimit = RateLimit {
    interval: Duration::from_secs(1),
    burst: 5,
};
/// Concurrent probes; more are refused.
const MAX_PROBES: usize = 4;

/// A target that may be scraped, and the rules to judge it by.
type Wanted<'a> = (&'a Target, &'a RuleSet);
/// A status and the remedy.
type Refused = (u16, String);

/// Serves `/probe` under the current configuration.
#[derive(Debug, Clone)]
pub(crate) struct Prober {
    current: watch::Receiver<Arc<Config>>,
    registry: Registry,
    slots: Arc<Semaphore>,
    /// By the URL of a target.
    buckets: Arc<Mutex<HashMap<String, Bucket>>>,
}

impl Prober {
    pub(super) fn new(current: watch::Receiver<Arc<Config>>, registry: Registry) -> Self {
        Self {
            current,
            registry,
            slots: Arc::new(Semaphore::new(MAX_PROBES)),
            buckets: Arc::default(),
        }
    }

    pub(super) async fn answer(&self, query: &Query) -> Reply {
        let config = Arc::clone(&self.current.borrow());
        let (target, rules) = match wanted(&config, query) {
            Ok(wanted) => wanted,
            Err((status, message)) => return text(status, message),
        };
        if !self.is_within_rate(&config, &target.url) {
            return text(
                429,
                "this target was probed a moment ago; a target may be probed once a second\n"
                    .to_owned(),
            );
        }
        let Ok(_slot) = self.slots.try_acquire() else {
            return text(
                503,
                format!("{MAX_PROBES} probes are under way; try again later\n"),
            );
        };
        let config = Arc::new(alone(&config, target, rules));
        let started = Instant::now();
        let page = on_own_thread(probe(config, self.registry.clone())).await;
        let Some((snapshot, success)) = page else {
            return text(503, "no thread for the probe; try again later\n".to_owned());
        };
        text(200, probe_page(&snapshot, success, started.elapsed()))
    }

    /// Counts a probe of a target; whether it is within the limit.
    fn is_within_rate(&self, config: &Config, url: &str) -> bool {
        let now = Instant::now();
        let mut buckets = self.buckets.lock();
        // A reload may have removed targets.
        buckets.retain(|known, _| known_targets(config).any(|target| target.url == *known));
        let bucket = buckets
            .entry(url.to_owned())
            .or_insert_with(|| Bucket::new(LIMIT, now));
        bucket.take(now)
    }
}

/// Scrapes and judges once.
async fn probe(config: Arc<Config>, registry: Registry) -> (Snapshot, bool) {
    let at = clock::now();
    let targets = &config.settings.scrape.targets;
    let scraped = Producers::new(&config, targets, ByInstance::new())
        .scrape_all(at, &[])
        .await;
    // A probe's result goes into the response; it is no event of this process.
    with_default(NoSubscriber::new(), || {
        let mut monitor = config.monitor(&registry);
        monitor.observe(at, &scraped);
        snapshot::probed(&config, &monitor, at)
    })
}

/// The requested target and rules, if allowed; else the status and the remedy.
fn wanted<'a>(config: &'a Config, query: &Query) -> Result<Wanted<'a>, Refused> {
    if config.modules.is_empty() {
        let remedy = "probing is off; name a module under probe.modules in the configuration\n";
        return Err((404, remedy.to_owned()));
    }
    let missing = |what: &str| {
        let text = format!("{what} is missing; ask for /probe?target=URL&module=NAME\n");
        (400, text)
    };
    let name = query.first("module").ok_or_else(|| missing("module"))?;
    let module = config.modules.get(name).ok_or_else(|| {
        let known: Vec<&str> = config.modules.keys().map(String::as_str).collect();
        (
            400,
            format!("no module has this name; there are {}\n", known.join(", ")),
        )
    })?;
    let asked = query.first("target").ok_or_else(|| missing("target"))?;
    let target = asked_target(config, asked).ok_or_else(|| {
        let text = "the target is neither among scrape.targets nor probe.targets; add it there, and ask for it without user and password\n";
        (403, text.to_owned())
    })?;
    Ok((target, module))
}

/// The target of this URL or instance. A URL may leave out the query, which may hold a secret.
fn asked_target<'a>(config: &'a Config, asked: &str) -> Option<&'a Target> {
    if without_user(asked) != asked {
        // The answer must not tell whether a guessed password is right.
        return None;
    }
    let mut known = known_targets(config);
    let named = known.find(|target| {
        without_user(&target.url) == asked || target.labels.get("instance") == Some(asked)
    });
    named.or_else(|| known_targets(config).find(|target| bare_url(&target.url) == asked))
}

/// The targets that may be probed.
fn known_targets(config: &Config) -> impl Iterator<Item = &Target> {
    let settings = &config.settings;
    settings
        .scrape
        .targets
        .iter()
        .chain(&settings.probe.targets)
}

/// The configuration for this target and these rules alone, without receivers.
fn alone(config: &Config, target: &Target, rules: &RuleSet) -> Config {
    let mut settings = config.settings.clone();
    settings.scrape.targets = vec![target.clone()];
    settings.scrape.discovery = None;
    settings.alerting = Alerting::default();
    settings.retraining = Retraining::default();
    settings.storage.path = None;
    Config {
        settings,
        rules: rules.clone(),
        ..Config::default()
    }
}

fn text(status: u16, body: String) -> Reply {
    Reply {
        status,
        content_type: "text/plain; version=0.0.4; charset=utf-8",
        body,
    }
}
