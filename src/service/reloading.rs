//! Applies a new configuration to the tick loop.

use std::sync::Arc;

use tracing::{error, info};

use super::reload::{Loaded, Reply};
use super::remote::RemoteSource;
use super::snapshot::Fixed;
use super::tick_loop::{TickLoop, lookup};
use crate::config::Config;
use crate::config::settings::Settings;
use crate::metric::Timestamp;
use crate::runtime::clock;

impl TickLoop {
    /// Applies a requested configuration and sends the result.
    pub(super) fn loaded(&mut self, (loaded, reply): (Loaded<Config>, Option<Reply>)) {
        let at = clock::now();
        let result = self.reload(loaded, at);
        self.publish(at);
        if let Some(reply) = reply {
            let _gone = reply.send(result);
        }
    }

    /// Applies this configuration, or keeps the old one if it has problems.
    pub(super) fn reload(&mut self, loaded: Loaded<Config>, at: Timestamp) -> Result<(), String> {
        let result = loaded.and_then(|config| {
            unchangeable(&self.config.settings, &config.settings)?;
            let config = config.with_default_url(&self.url);
            self.apply(Arc::new(config), at);
            Ok(())
        });
        match &result {
            Ok(()) => self.reload.succeeded_at = at,
            Err(problems) => {
                error!(%problems, "the configuration was not reloaded; the old one stays in force");
            }
        }
        self.reload.error = result.clone().err();
        result
    }

    fn apply(&mut self, config: Arc<Config>, at: Timestamp) {
        self.remote = RemoteSource::new(&config);
        self.dispatcher.reconfigure(&config);
        self.discovery.reconfigure(lookup(&config));
        let rules = Arc::new(config.rules.clone());
        let tick = self.monitor.reload(config.monitor_settings(), rules, at);
        self.producers.reconfigure(&config, &self.monitor.targets());
        self.fixed = Fixed::of(&config);
        self.config_hash = config.hash();
        self.config = Arc::clone(&config);
        let rules = config.rules.rules().count();
        self.current.send_replace(config);
        self.hand_over(at, tick);
        let hash = &self.config_hash;
        info!(rules, hash, "the configuration was reloaded");
    }
}

/// Refuses changes of settings that need a restart.
fn unchangeable(was: &Settings, is: &Settings) -> Result<(), String> {
    let mut problems = Vec::new();
    if was.model.labels() != is.model.labels() {
        problems.push("model: stands on every counter; restart to change it");
    }
    if was.storage.path != is.storage.path {
        problems.push("storage.path: is open; restart to change it");
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(problems.join("\n"))
}
