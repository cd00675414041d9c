//! Counters of a peer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// A snapshot of the counters of one peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// The URL of the peer without credentials.
    pub url: String,
    /// Alerts that the peer accepted.
    pub sent: u64,
    /// Alerts in failed attempts; each attempt counts.
    pub failed: u64,
    /// Alerts that will never be sent: refused by the peer or by validation, or dropped from a full
    /// queue.
    pub dropped: u64,
    /// Alert states that a newer state replaced before they were sent.
    pub coalesced: u64,
    /// Alerts in the queue.
    pub queue_length: usize,
    /// Capacity of the queue in alerts.
    pub queue_capacity: usize,
    /// The last failure; `None` after a success.
    pub last_error: Option<String>,
}

/// Adds ` #2`, ` #3` … to a URL that occurred before. Alertmanagers that differ only in the user
/// have the same URL once it is without credentials.
pub(crate) fn numbered(urls: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let names = urls.into_iter().map(|url| {
        let times = seen.entry(url.clone()).or_default();
        *times += 1;
        if *times == 1 {
            url
        } else {
            format!("{url} #{times}")
        }
    });
    names.collect()
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
        self.last_error.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn equal_urls_are_numbered_in_their_order() {
        let urls = ["http://a/", "http://b/", "http://a/", "http://a/"];
        let expected = ["http://a/", "http://b/", "http://a/ #2", "http://a/ #3"];
        assert_eq!(numbered(urls.map(str::to_owned)), expected);
    }
}
