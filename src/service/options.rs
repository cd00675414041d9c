//! What is plugged into a service beside its configuration.

use std::sync::Arc;
use std::time::Duration;

use super::control::{Loader, Recogniser};
use crate::notify::RetrainingNotifier;
use crate::publish;
use crate::runtime::dns::{self, Resolve};

/// What is plugged into a service beside its configuration, its strategies and its producers.
pub(super) struct Options {
    pub(super) resolver: Arc<dyn Resolve>,
    pub(super) notifiers: Vec<Arc<dyn RetrainingNotifier>>,
    pub(super) loader: Option<Loader>,
    pub(super) recogniser: Option<Recogniser>,
    /// Whether `POST /-/reload` reloads.
    pub(super) lifecycle: bool,
    /// Time between two looks at the files.
    pub(super) polling: Option<Duration>,
    pub(super) health: Option<publish::Server>,
    /// Whether to wait for a store that another process has.
    pub(super) standby: bool,
    /// Whether to run without a store that cannot be used.
    pub(super) is_store_optional: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            resolver: Arc::new(dns::Resolver),
            notifiers: Vec::new(),
            loader: None,
            recogniser: None,
            lifecycle: false,
            polling: None,
            health: None,
            standby: false,
            is_store_optional: false,
        }
    }
}
