//! What the loops count.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// The counters of one peer at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// The peer's URL without credentials.
    pub url: String,
    /// Alerts a peer accepted.
    pub sent: u64,
    /// Alerts in attempts that failed, each attempt counted.
    pub failed: u64,
    /// Alerts that will never be sent: refused by the peer or by validation, or pushed out of a full queue.
    pub dropped: u64,
    /// Alert states replaced by a newer one before they were sent.
    pub coalesced: u64,
    /// Alerts waiting.
    pub queue_length: usize,
    /// Most alerts that can wait.
    pub queue_capacity: usize,
    /// The last failure, `None` after a success.
    pub last_error: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sent: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) coalesced: AtomicU64,
    last_error: Mutex<Option<String>>,
}

pub(super) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(n as u64, Ordering::Relaxed);
}

pub(super) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Counters {
    pub(super) fn set_error(&self, error: Option<String>) {
        *self.last_error.lock() = error;
    }

    pub(super) fn error(&self) -> Option<String> {
        let error = self.last_error.lock();
        error.clone()
    }
}

/// A URL without user, password, query and fragment.
pub(super) fn redacted(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or("");
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let host = authority.rsplit('@').next().unwrap_or("");
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn a_shown_url_holds_no_secret() {
        assert_eq!(
            redacted("https://me:secret@am:9093/prefix?token=x#y"),
            "https://am:9093/prefix"
        );
        assert_eq!(redacted("http://am"), "http://am");
        assert_eq!(redacted("am:9093"), "am:9093");
    }
}
