//! Hand-off from the tick loop to the writer: state to persist, and notifications to send once it
//! is durable.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::error;

use super::tick_output::TickOutput;
use crate::metric::Timestamp;
use crate::state::Store;

/// Least time between writes of learned state.
pub(super) const LEARNED_INTERVAL: Duration = Duration::from_secs(60);

/// The tick loop's side of the store: hands outputs to the writer without ever waiting for the
/// disk.
#[derive(Debug)]
pub(super) struct StoreHandle {
    store: Arc<Store>,
    outputs: mpsc::UnboundedSender<TickOutput>,
    durable: watch::Receiver<bool>,
    last_learned: Option<Timestamp>,
}

impl StoreHandle {
    /// A handle to the writer that receives these outputs and reports whether the store is durable.
    pub(super) fn new(
        store: Arc<Store>,
        outputs: mpsc::UnboundedSender<TickOutput>,
        durable: watch::Receiver<bool>,
    ) -> Self {
        Self {
            store,
            outputs,
            durable,
            last_learned: None,
        }
    }

    /// Whether the last write survives a restart.
    pub(super) fn is_durable(&self) -> bool {
        *self.durable.borrow()
    }

    /// Waits until [`StoreHandle::is_durable`] changes.
    pub(super) async fn changed(&mut self) {
        if self.durable.changed().await.is_err() {
            pending::<()>().await;
        }
    }

    /// Whether there is a disk to write to, even if writes currently fail.
    pub(super) fn is_kept(&self) -> bool {
        self.store.is_kept()
    }

    /// Whether it is time to write learned state.
    pub(super) fn is_learned_due(&self, at: Timestamp) -> bool {
        self.last_learned
            .is_none_or(|last| at < last || at.since(last) >= LEARNED_INTERVAL)
    }

    /// Sends an output to be written and then delivered, in this order.
    pub(super) fn give(&mut self, output: TickOutput) {
        if !(output.state.learnt.is_empty() && output.state.counted.is_empty()) {
            self.last_learned = output.at;
        }
        if self.outputs.send(output).is_err() {
            error!(
                "the writer has ended; state is no longer stored and alerts are no longer delivered"
            );
        }
    }

    /// Sends the final output and waits until it is written and delivered, or the writer gives up
    /// on the disk.
    pub(super) async fn finish(mut self, mut output: TickOutput) {
        let (done, written) = oneshot::channel();
        output.after.push(Box::new(move |_| {
            // The receiver may be dropped when the process stops early.
            let _gone = done.send(());
        }));
        self.give(output);
        if written.await.is_err() {
            error!("the writer ended before the last output was written");
        }
    }
}
