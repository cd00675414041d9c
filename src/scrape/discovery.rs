//! Targets by name: asks again and again which addresses a name has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::runtime::dns::{Answer, Question, Resolve, pause};

/// Most targets behind one name.
pub const MOST_TARGETS: usize = 1000;

/// Which name is asked for, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// What is asked.
    pub question: Question,
    /// Longest time between two look-ups.
    pub refresh: Duration,
}

/// What is known about a name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The name that this is about; `None` when nothing is looked up.
    pub question: Option<Question>,
    /// The last answer, sorted; `None` before the first. Empty is an answer: there are no targets now.
    pub addresses: Option<Vec<SocketAddr>>,
    /// Look-ups since the start.
    pub lookups: u64,
    /// Failed look-ups since the start.
    pub failures: u64,
    /// Why the last one failed; the addresses are those of the last answer then.
    pub error: Option<String>,
}

/// The end of the wire that hears of answers and says what to look up.
#[derive(Debug)]
pub struct Handle {
    wanted: watch::Sender<Option<Lookup>>,
    found: watch::Receiver<Found>,
}

impl Handle {
    /// Looks up another name, or none, from now on.
    pub fn reconfigure(&self, lookup: Option<Lookup>) {
        self.wanted.send_if_modified(|wanted| {
            let other = *wanted != lookup;
            *wanted = lookup;
            other
        });
    }

    /// What is known now.
    #[must_use]
    pub fn found(&self) -> Found {
        self.found.borrow().clone()
    }

    /// Waits for news; `false` when there will be none any more. Cancel safe.
    pub async fn changed(&mut self) -> bool {
        self.found.changed().await.is_ok()
    }
}

/// The loop that looks a name up.
#[derive(Debug)]
pub struct Discovery {
    resolver: Arc<dyn Resolve>,
    wanted: watch::Receiver<Option<Lookup>>,
    found: watch::Sender<Found>,
}

impl Discovery {
    /// A loop and its handle; nothing is looked up until [`Discovery::run`] is polled.
    #[must_use]
    pub fn new(lookup: Option<Lookup>, resolver: Arc<dyn Resolve>) -> (Handle, Self) {
        let (say, wanted) = watch::channel(lookup);
        let (found, hear) = watch::channel(Found::default());
        let handle = Handle {
            wanted: say,
            found: hear,
        };
        let discovery = Self {
            resolver,
            wanted,
            found,
        };
        (handle, discovery)
    }

    /// Looks up until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let lookup = self.wanted.borrow_and_update().clone();
            let step = async {
                match &lookup {
                    Some(lookup) => {
                        let wait = self.look_up(lookup).await;
                        sleep(wait).await;
                    }
                    None => std::future::pending().await,
                }
            };
            let mut wanted = self.wanted.clone();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = wanted.changed() => if changed.is_err() {
                    // Nobody is there to say or to hear anything; the process is about to stop.
                    stop.cancelled().await;
                    return;
                },
                () = step => {}
            }
        }
    }

    /// Asks once, tells what was found and says how long to wait.
    async fn look_up(&self, lookup: &Lookup) -> Duration {
        let question = &lookup.question;
        let result = self.resolver.resolve(question).await;
        let wait = match &result {
            Ok(answer) => pause(answer.ttl, lookup.refresh),
            Err(_) => pause(Some(Duration::ZERO), lookup.refresh),
        };
        self.found.send_modify(|found| {
            found.lookups += 1;
            if found.question.as_ref() != Some(question) {
                found.question = Some(question.clone());
                found.addresses = None;
            }
            match result {
                Ok(answer) => found.take(answer, question),
                Err(error) => {
                    found.failures += 1;
                    let known = found.addresses.as_ref().map_or(0, Vec::len);
                    warn!(%error, known, "the targets cannot be looked up; the known ones stay");
                    found.error = Some(error.to_string());
                }
            }
        });
        wait
    }
}

impl Found {
    fn take(&mut self, answer: Answer, question: &Question) {
        let mut addresses = answer.addresses;
        if addresses.len() > MOST_TARGETS {
            let (name, found) = (question.to_string(), addresses.len());
            warn!(
                name,
                found, "too many targets; the first {MOST_TARGETS} are scraped"
            );
            addresses.truncate(MOST_TARGETS);
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
