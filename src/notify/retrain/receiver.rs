//! Receivers of retraining requests and their counters.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::metric::Matcher;

use super::RetrainingNotifier;

/// A notifier and the requests that it gets.
#[derive(Clone)]
pub struct Receiver {
    /// Unique name; outbox entries refer to it.
    pub name: String,
    /// The labels of a request must satisfy all of them; `model_id`, `model_version` and `rule`
    /// count as labels.
    pub matchers: Vec<Matcher>,
    /// Sends the requests.
    pub notifier: Arc<dyn RetrainingNotifier>,
    /// How long delivery is tried.
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

/// A snapshot of the counters of one receiver.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReceiverStats {
    /// The name of the receiver.
    pub name: String,
    /// Delivered requests.
    pub delivered: u64,
    /// Failed attempts.
    pub failed: u64,
    /// Requests that wait for their next attempt.
    pub waiting: usize,
    /// Requests that expired or were refused and are still kept.
    pub dead: usize,
    /// The last failure; `None` after a success.
    pub last_error: Option<String>,
}
