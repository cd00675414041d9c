//! The loops that post, one per peer.

use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::discovery;
use super::handle::{Alertmanagers, Shared};
use super::peer::Peer;
use super::settings::Settings;

impl Alertmanagers {
    /// A handle and the loops that post; nothing is sent until [`Runner::run`] is polled.
    #[must_use]
    pub fn new(settings: Settings) -> (Self, Runner) {
        let (changed, seen) = watch::channel(0);
        let handle = Self {
            shared: Arc::new(Shared {
                settings: RwLock::new((settings, 0)),
                peers: RwLock::new(Vec::new()),
                changed,
            }),
        };
        handle.apply_static();
        let runner = Runner {
            handle: handle.clone(),
            seen,
        };
        (handle, runner)
    }
}

/// The loops that post; run it once.
#[derive(Debug)]
pub struct Runner {
    handle: Alertmanagers,
    seen: watch::Receiver<u64>,
}

/// A running loop and its stop signal.
struct Running {
    peer: Arc<Peer>,
    stop: CancellationToken,
    task: AbortHandle,
}

impl Runner {
    /// Runs one loop per peer until `stop`, then empties the queues within the grace period.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut loops = JoinSet::new();
        let mut running: Vec<Running> = Vec::new();
        let lookups = discovery::watch(self.handle.clone(), stop.clone());
        tokio::pin!(lookups);
        let mut looking = true;
        loop {
            self.seen.mark_unchanged();
            let wanted = self.handle.peers();
            running.retain(|old| {
                let stays = wanted.iter().any(|peer| Arc::ptr_eq(peer, &old.peer));
                if !stays {
                    old.stop.cancel();
                }
                stays
            });
            for peer in wanted {
                if running.iter().any(|old| Arc::ptr_eq(&peer, &old.peer)) {
                    continue;
                }
                let stop = stop.child_token();
                let task = loops.spawn(Arc::clone(&peer).run(stop.clone()));
                running.push(Running { peer, stop, task });
            }
            tokio::select! {
                () = stop.cancelled() => break,
                changed = self.seen.changed() => {
                    if changed.is_err() {
                        break;
                    }
                }
                () = &mut lookups, if looking => looking = false,
                Some(ended) = loops.join_next(), if !loops.is_empty() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "the loop of an alertmanager failed; restarting it");
                        running.retain(|other| !other.task.is_finished());
                    }
                }
            }
        }
        stop.cancel();
        while loops.join_next().await.is_some() {}
    }
}
