//! Who is asked to retrain, and how that goes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::metric::Matcher;

use super::{RetrainRequest, RetrainingNotifier};

/// Someone who is asked to retrain.
#[derive(Clone)]
pub struct Receiver {
    /// Unique name; entries of the outbox carry it.
    pub name: String,
    /// The request's labels must match all of them; `model_id`, `model_version` and `rule` count as labels.
    pub matchers: Vec<Matcher>,
    /// Asks.
    pub notifier: Arc<dyn RetrainingNotifier>,
    /// How long it is tried.
    pub expiry: Duration,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("name", &self.name)
            .field("matchers", &self.matchers)
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}

impl Receiver {
    pub(super) fn wants(&self, request: &RetrainRequest) -> bool {
        request.matches(&self.matchers)
    }
}

/// The counters of one receiver at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceiverStats {
    /// The receiver's name.
    pub name: String,
    /// Requests that arrived.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Requests that wait.
    pub waiting: usize,
    /// Requests that expired or were refused and are still kept.
    pub dead: usize,
    /// The last failure, `None` after a success.
    pub last_error: Option<String>,
}
