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

/// What the strategies learnt is written at most this often.
pub(super) const LEARNT_INTERVAL: Duration = Duration::from_secs(60);

/// The tick loop's side of the store: hands outputs to the writer without ever waiting for the
/// disk.
#[derive(Debug)]
pub(super) struct StoreHandle {
    store: Arc<Store>,
    outputs: mpsc::UnboundedSender<TickOutput>,
    durable: watch::Receiver<bool>,
    last_learnt: Option<Timestamp>,
}

impl StoreHandle {
    /// A handle to a store whose writer takes these outputs and says whether it is durable.
    pub(super) fn new(
        store: Arc<Store>,
        outputs: mpsc::UnboundedSender<TickOutput>,
        durable: watch::Receiver<bool>,
    ) -> Self {
        Self {
            store,
            outputs,
            durable,
            last_learnt: None,
        }
    }

    /// Whether what was written last is there after a restart.
    pub(super) fn is_durable(&self) -> bool {
        *self.durable.borrow()
    }

    /// Waits until [`StoreHandle::is_durable`] is another than when it was looked at last.
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
            .is_none_or(|last| at < last || at.since(last) >= LEARNT_INTERVAL)
    }

    /// Hands over what is to be written and then delivered, in this order.
    pub(super) fn give(&mut self, output: TickOutput) {
        if !(output.state.learnt.is_empty() && output.state.counted.is_empty()) {
            self.last_learnt = output.at;
        }
        if self.outputs.send(output).is_err() {
            error!("the writer has ended; nothing is stored or delivered any more");
        }
    }

    /// Hands over the last output of all and waits until it is written and delivered, or the disk
    /// is given up.
    pub(super) async fn finish(mut self, mut output: TickOutput) {
        let (done, written) = oneshot::channel();
        output.after.push(Box::new(move |_| {
            // The receiver is gone when the process ends in a hurry.
            let _gone = done.send(());
        }));
        self.give(output);
        if written.await.is_err() {
            error!("the writer ended before the last output was written");
        }
    }
}
