//! Reading the configuration again beside the ticks, and going on under it.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{error, info};

use super::control::Loader;
use super::source::Source;
use super::ticking::{Ticking, lookup};
use super::view;
use crate::config::settings::Settings;
use crate::config::{Config, without_credentials};
use crate::metric::Timestamp;
use crate::runtime::clock;

/// Tells whoever asked how a reload went; they may be gone.
type Reply = oneshot::Sender<Result<(), String>>;

/// A configuration, or every problem with it.
pub(super) type Loaded = Result<Config, String>;

/// A configuration that is being read.
#[derive(Debug)]
pub(super) struct Loading {
    work: JoinHandle<Loaded>,
    reply: Reply,
}

impl Loading {
    /// Begins to read.
    pub(super) fn new(loader: Option<Loader>, reply: Reply) -> Self {
        Self {
            work: spawn_blocking(move || read(loader)),
            reply,
        }
    }
}

/// Waits until what is being read has been read; for ever when nothing is.
pub(super) async fn end(loading: &mut Option<Loading>) -> (Loaded, Option<Reply>) {
    let Some(under_way) = loading else {
        return pending().await;
    };
    let loaded = joined(&mut under_way.work).await;
    (loaded, loading.take().map(|loading| loading.reply))
}

/// Reads at once, with whoever needs it waiting.
pub(super) async fn load(loader: Option<Loader>) -> Loaded {
    joined(&mut spawn_blocking(move || read(loader))).await
}

fn read(loader: Option<Loader>) -> Loaded {
    let load = loader.ok_or("there is no file to read again")?;
    load().map_err(|problems| without_credentials(&problems.to_string()))
}

async fn joined(work: &mut JoinHandle<Loaded>) -> Loaded {
    work.await
        .unwrap_or_else(|error| Err(format!("reading the configuration failed: {error}")))
}

impl Ticking {
    /// Takes up a configuration that was asked for.
    pub(super) fn loaded(&mut self, (loaded, reply): (Loaded, Option<Reply>)) {
        let at = clock::now();
        let result = self.reload(loaded, at);
        self.publish(at);
        if let Some(reply) = reply {
            let _gone = reply.send(result);
        }
    }

    /// Goes on under this configuration, or under the old one when anything is wrong with it.
    pub(super) fn reload(&mut self, loaded: Loaded, at: Timestamp) -> Result<(), String> {
        let result = loaded.and_then(|config| {
            unchangeable(&self.monitor.config.settings, &config.settings)?;
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
        self.source = Source::new(&config);
        self.outlets.reconfigure(&config);
        self.discovery.reconfigure(lookup(&config));
        let alerts = self.monitor.reload(Arc::clone(&config), at);
        self.producers.reconfigure(&config, &self.monitor.targets());
        self.fixed = view::Fixed::of(&self.monitor);
        let rules: usize = config
            .rules
            .groups
            .iter()
            .map(|group| group.rules.len())
            .sum();
        self.current.send_replace(config);
        self.hand_over(at, alerts, &[]);
        let hash = &self.monitor.context.config_hash;
        info!(rules, hash, "the configuration was reloaded");
    }
}

/// What is built into the running process.
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
