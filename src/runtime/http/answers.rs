//! The budget of the answers that are held in memory at once.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of all answers since the beginning of a round, such as the scrapes of one tick.
#[derive(Debug)]
pub(crate) struct Answers {
    most: u64,
    taken: AtomicU64,
}

impl Answers {
    /// A budget of so many bytes.
    pub(super) fn new(most: u64) -> Self {
        Self {
            most,
            taken: AtomicU64::new(0),
        }
    }

    /// Begins a round: nothing is held of the answers before.
    pub(crate) fn begin(&self) {
        self.taken.store(0, Ordering::Relaxed);
    }

    /// Takes room for bytes; `false` if there is not as much.
    pub(super) fn take(&self, bytes: usize) -> bool {
        let before = self.taken.fetch_add(bytes as u64, Ordering::Relaxed);
        before.saturating_add(bytes as u64) <= self.most
    }

    /// The budget in bytes.
    pub(super) fn most(&self) -> u64 {
        self.most
    }
}
