//! What a tick leaves behind: memory to write, and whom to tell once it is written. A tick never waits for the disk.

use std::collections::HashSet;
use std::fmt;
use std::future::pending;
use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};
use tracing::error;

use super::memory::Memory;
use super::outlets::Delivery;
use super::writer::Writer;
use crate::alert::Alert;
use crate::metric::{Labels, Timestamp};
use crate::notify::retrain::Entry;
use crate::state::{Store, StoreOutbox};

/// What the strategies learnt is written at most this often.
pub(super) const LEARNT_EVERY: Duration = Duration::from_secs(60);

/// Done when what was handed over with it is written, or the disk is given up. It may wait for the disk.
pub(super) type After = Box<dyn FnOnce(&Store) + Send>;

/// The results of a tick on their way to the disk and then to the world.
#[derive(Default)]
pub(super) struct HandOver {
    pub(super) at: Option<Timestamp>,
    pub(super) memory: Memory,
    /// Requests for retraining; they leave when they are in the store.
    pub(super) entries: Vec<Entry>,
    /// Changes and repetitions of alerts.
    pub(super) alerts: Vec<Alert>,
    pub(super) after: Vec<After>,
}

impl fmt::Debug for HandOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandOver")
            .field("at", &self.at)
            .field("entries", &self.entries.len())
            .field("alerts", &self.alerts.len())
            .finish_non_exhaustive()
    }
}

impl HandOver {
    /// Adds what came later while the disk was busy. Of each record and each alert the newest state is kept, so that
    /// nothing piles up however long the disk takes.
    fn overlay(&mut self, later: Self) {
        self.at = self.at.max(later.at);
        self.memory.overlay(later.memory);
        if !later.alerts.is_empty() {
            let newer: HashSet<&Labels> = later.alerts.iter().map(|alert| &alert.labels).collect();
            self.alerts.retain(|alert| !newer.contains(&alert.labels));
        }
        self.alerts.extend(later.alerts);
        let room = StoreOutbox::CAPACITY.saturating_sub(self.entries.len());
        for entry in later.entries.iter().skip(room) {
            let id = &entry.request.id;
            error!(
                id,
                "the outbox is full; the request for retraining is dropped"
            );
        }
        self.entries.extend(later.entries.into_iter().take(room));
        self.after.extend(later.after);
    }
}

/// Where the loop of ticks leaves its results and the writer finds them.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    left: Mutex<Left>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Left {
    work: Option<HandOver>,
    closed: bool,
}

impl Mailbox {
    fn change(&self, change: impl FnOnce(&mut Left)) {
        change(&mut self.left.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake.notify_one();
    }

    /// Everything left since the last time; `None` when nothing more will come.
    pub(super) async fn take(&self) -> Option<HandOver> {
        loop {
            let closed = {
                let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(work) = take(&mut left.work) {
                    return Some(work);
                }
                left.closed
            };
            if closed {
                return None;
            }
            self.wake.notified().await;
        }
    }
}

/// Takes what ticks leave, without ever waiting for the disk.
#[derive(Debug)]
pub(super) struct Keeper {
    store: Arc<Store>,
    mailbox: Arc<Mailbox>,
    durable: watch::Receiver<bool>,
    last_learnt: Option<Timestamp>,
}

impl Keeper {
    /// A keeper, and the task that writes to this store, waiting for it no longer than `patience` before it delivers.
    pub(super) fn new(store: Arc<Store>, delivery: Delivery, patience: Duration) -> (Self, Writer) {
        let mailbox = Arc::<Mailbox>::default();
        let (writer, durable) =
            Writer::new(Arc::clone(&store), Arc::clone(&mailbox), delivery, patience);
        let keeper = Self {
            store,
            mailbox,
            durable,
            last_learnt: None,
        };
        (keeper, writer)
    }

    /// Whether what was written last is there after a restart.
    pub(super) fn is_durable(&self) -> bool {
        *self.durable.borrow()
    }

    /// Waits until [`Keeper::is_durable`] is another than when it was looked at last.
    pub(super) async fn changed(&mut self) {
        if self.durable.changed().await.is_err() {
            pending::<()>().await;
        }
    }

    /// Whether there is a disk to write to, even if it does not work just now.
    pub(super) fn is_kept(&self) -> bool {
        self.store.is_kept()
    }

    /// Whether it is time to write what the strategies learnt.
    pub(super) fn wants_learnt(&self, at: Timestamp) -> bool {
        self.last_learnt
            .is_none_or(|last| at < last || at.since(last) >= LEARNT_EVERY)
    }

    /// Leaves what is to be written and told. It is told in the order in which it was left.
    pub(super) fn give(&mut self, work: HandOver) {
        if !(work.memory.learnt.is_empty() && work.memory.counted.is_empty()) {
            self.last_learnt = work.at;
        }
        self.mailbox.change(|left| match &mut left.work {
            Some(earlier) => earlier.overlay(work),
            none => *none = Some(work),
        });
    }

    /// Leaves the last of all and waits until it is written and told, or the disk is given up.
    pub(super) async fn finish(mut self, mut work: HandOver) {
        let (done, written) = oneshot::channel();
        work.after.push(Box::new(move |_| {
            // Nobody waits when the process ends in a hurry.
            let _gone = done.send(());
        }));
        self.give(work);
        if written.await.is_err() {
            error!("nobody writes any more");
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.mailbox.change(|left| left.closed = true);
    }
}
