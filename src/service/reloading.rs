//! Applies a new configuration to the tick loop.

use std::sync::Arc;

use tracing::{error, info, warn};

use super::reload::{Loaded, Outcome, Reply};
use super::remote::RemoteSource;
use super::snapshot::Fixed;
use super::tick_loop::{TickLoop, lookup};
use super::unapplied::{Unapplied, unapplied};
use crate::config::{Config, without_credentials};
use crate::describe::Reload;
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
    pub(super) fn reload(&mut self, loaded: Loaded<Config>, at: Timestamp) -> Outcome {
        let left_out = loaded.as_ref().ok().and_then(left_out);
        let result = loaded.and_then(|config| self.replace(config, at));
        match &result {
            Ok(_) => self.reload.succeeded_at = at,
            Err(problems) => {
                error!(%problems, "the configuration was not reloaded; the old one stays in force");
            }
        }
        self.reload.is_partial = result.is_ok() && left_out.is_some();
        self.reload.error = result.as_ref().err().cloned().or(left_out);
        result
    }

    fn replace(&mut self, config: Config, at: Timestamp) -> Outcome {
        let config = config.with_default_url(&self.url);
        let unapplied = unapplied(&self.started.settings, &config.settings);
        let (refused, later): (Vec<_>, Vec<_>) = unapplied
            .into_iter()
            .partition(|change| change.effect == Reload::Refused);
        if !refused.is_empty() {
            return Err(lines(&refused));
        }
        let is_same =
            config.settings == self.config.settings && config.sources == self.config.sources;
        let mut done = if is_same {
            info!("the configuration was reloaded; nothing changed");
            // Files that the settings name, such as certificates, may have changed.
            self.dispatcher.reconfigure(&config);
            "reloaded: nothing changed".to_owned()
        } else {
            self.apply(Arc::new(config), at);
            "reloaded".to_owned()
        };
        for change in later {
            warn!("{change}");
            done.push_str(&format!("\n{change}"));
        }
        Ok(done)
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

/// What a configuration was loaded without, in lines for people.
pub(super) fn left_out(config: &Config) -> Option<String> {
    let problems = &config.left_out;
    (!problems.is_empty()).then(|| without_credentials(&problems.to_string()))
}

fn lines(changes: &[Unapplied]) -> String {
    let lines: Vec<String> = changes.iter().map(Unapplied::to_string).collect();
    lines.join("\n")
}
