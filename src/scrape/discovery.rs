//! Discovery of targets: resolves a name periodically.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::runtime::dns::{Question, Resolve, Resolved, refresh_delay};

/// Maximum number of targets behind one name.
pub(crate) const MAX_TARGETS: usize = 1000;

/// A name to resolve, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The name.
    pub question: Question,
    /// Longest time between two look-ups.
    pub refresh: Duration,
}

/// The state of discovery.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct DiscoveryStatus {
    /// The name that the addresses belong to; `None` before the first look-up.
    pub question: Option<Question>,
    /// The addresses of the last successful look-up, sorted; `None` before it. Empty means that
    /// there are no targets now.
    pub addresses: Option<Vec<SocketAddr>>,
    /// Look-ups since the start.
    pub lookups: u64,
    /// Failed look-ups since the start.
    pub failures: u64,
    /// Why the last look-up failed; `None` after a success.
    pub error: Option<String>,
}

/// Configures the discovery loop and reads its results.
#[derive(Debug)]
pub(crate) struct Handle {
    lookup: watch::Sender<Option<Lookup>>,
    status: watch::Receiver<DiscoveryStatus>,
}

impl Handle {
    /// Changes the name to look up, or stops looking up.
    pub(crate) fn reconfigure(&self, lookup: Option<Lookup>) {
        self.lookup.send_if_modified(|current| {
            let is_new = *current != lookup;
            *current = lookup;
            is_new
        });
    }

    /// The current state.
    #[must_use]
    pub(crate) fn status(&self) -> DiscoveryStatus {
        self.status.borrow().clone()
    }

    /// Waits for the next look-up to end. `false` when the loop has ended. Cancel safe.
    pub(crate) async fn changed(&mut self) -> bool {
        self.status.changed().await.is_ok()
    }
}

/// The loop that resolves the name.
#[derive(Debug)]
pub(crate) struct Discovery {
    resolver: Arc<dyn Resolve>,
    lookup: watch::Receiver<Option<Lookup>>,
    status: watch::Sender<DiscoveryStatus>,
}

impl Discovery {
    /// A loop and its handle; nothing is looked up until [`Discovery::run`] is polled.
    #[must_use]
    pub(crate) fn new(lookup: Option<Lookup>, resolver: Arc<dyn Resolve>) -> (Handle, Self) {
        let (lookup_sender, lookup_receiver) = watch::channel(lookup);
        let (status_sender, status_receiver) = watch::channel(DiscoveryStatus::default());
        let handle = Handle {
            lookup: lookup_sender,
            status: status_receiver,
        };
        let discovery = Self {
            resolver,
            lookup: lookup_receiver,
            status: status_sender,
        };
        (handle, discovery)
    }

    /// Looks up until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let lookup = self.lookup.borrow_and_update().clone();
            let step = async {
                match &lookup {
                    Some(lookup) => {
                        let delay = self.look_up(lookup).await;
                        sleep(delay).await;
                    }
                    None => std::future::pending().await,
                }
            };
            let mut reconfigured = self.lookup.clone();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = reconfigured.changed() => if changed.is_err() {
                    // The handle is gone: the process is shutting down.
                    stop.cancelled().await;
                    return;
                },
                () = step => {}
            }
        }
    }

    /// Looks up once, publishes the result and returns the delay until the next look-up.
    async fn look_up(&self, lookup: &Lookup) -> Duration {
        let question = &lookup.question;
        let result = self.resolver.resolve(question).await;
        let delay = match &result {
            Ok(resolved) => refresh_delay(resolved.ttl, lookup.refresh),
            Err(_) => refresh_delay(Some(Duration::ZERO), lookup.refresh),
        };
        self.status.send_modify(|status| {
            status.lookups += 1;
            if status.question.as_ref() != Some(question) {
                status.question = Some(question.clone());
                status.addresses = None;
            }
            match result {
                Ok(resolved) => status.update(resolved, question),
                Err(error) => {
                    status.failures += 1;
                    let known = status.addresses.as_ref().map_or(0, Vec::len);
                    warn!(%error, known, "target discovery failed; keeping the known targets");
                    status.error = Some(error.to_string());
                }
            }
        });
        delay
    }
}

impl DiscoveryStatus {
    fn update(&mut self, resolved: Resolved, question: &Question) {
        let mut addresses = resolved.addresses;
        if addresses.len() > MAX_TARGETS {
            let (name, found) = (question.to_string(), addresses.len());
            warn!(
                name,
                found, "too many targets; only the first {MAX_TARGETS} are scraped"
            );
            addresses.truncate(MAX_TARGETS);
        }
        self.error = None;
        if self.addresses.as_ref() == Some(&addresses) {
            return;
        }
        if addresses.is_empty() {
            let never = self.addresses.is_none();
            info!(name = %question, never, "the name has no addresses: scaled to zero, not ready, or misspelt");
        }
        self.addresses = Some(addresses);
    }
}

#[cfg(test)]
mod tests;
