//! Single-owner access to the store: a second process stands by; an owner that lost the file shuts
//! down.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::error::MonitorError;
use crate::publish::Shared;
use crate::runtime::{Ended, Stage, clock, with_sources};
use crate::state::{Error, Opened, Store};

/// Time between attempts to open a store that another process holds.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Time between checks that this process still owns the store.
const OWNER_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Timeout of one write.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The location of the store, and whether to stand by for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Its folder; `None` for a store in memory.
    pub(crate) path: Option<&'a Path>,
    /// Whether to wait for another process that holds it instead of failing.
    pub(crate) standby: bool,
    /// Whether to keep the state in memory if the store cannot be used, instead of failing.
    pub(crate) is_optional: bool,
}

/// Opens the store in a folder, or one in memory. A damaged file is set aside with a line in the
/// log.
///
/// On standby, waits until another process releases the store; `shared` shows the standby
/// meanwhile.
async fn open(place: Place<'_>, shared: &Shared) -> Result<Arc<Store>, MonitorError> {
    let wait = place.standby;
    let Some(path) = place.path else {
        return Ok(Arc::new(Store::in_memory()));
    };
    let mut is_waiting = false;
    let (store, opened) = loop {
        let directory = path.to_owned();
        let opening = spawn_blocking(move || Store::open(&directory, clock::now()));
        match opening.await.map_err(std::io::Error::other)? {
            Err(Error::InUse { path }) if wait => {
                if !is_waiting {
                    info!(path = %path.display(), "another process has the store; standing by");
                    is_waiting = true;
                    shared.set_standby(true);
                }
                sleep(RETRY_INTERVAL).await;
            }
            Err(error) if place.is_optional => {
                let error = with_sources(&error);
                error!(
                    error,
                    "the store cannot be used; the state is kept in memory only"
                );
                return Ok(Arc::new(Store::in_memory()));
            }
            opened => break opened?,
        }
    };
    shared.set_standby(false);
    if is_waiting {
        info!(path = %path.display(), "the store is free; taking over");
    }
    report(path, &opened);
    if wait && !store.is_locked() {
        warn!(
            path = %path.display(),
            "this file system does not keep a second process from the store; run one instance only"
        );
    }
    Ok(Arc::new(store))
}

/// The same, unless `stop` completes first. Then a task of this stage checks the ownership of the
/// store.
pub(crate) async fn open_unless(
    stop: impl Future<Output = ()>,
    place: Place<'_>,
    shared: &Shared,
    mut stage: Stage<'_>,
) -> Result<Option<Arc<Store>>, MonitorError> {
    let store = tokio::select! {
        store = open(place, shared) => store?,
        () = stop => return Ok(None),
    };
    let task = watch(Arc::clone(&store), stage.token());
    stage.spawn("store", task);
    Ok(Some(store))
}

fn report(path: &Path, opened: &Opened) {
    for note in &opened.notes {
        warn!(path = %path.display(), "the store: {note}");
    }
    if let Some(aside) = &opened.set_aside {
        error!(
            path = %path.display(), set_aside = %aside.display(), records = opened.records,
            "the store was damaged or of another version; it was set aside and what can be believed of it is used"
        );
    }
    info!(path = %path.display(), records = opened.records, "the store is open");
}

/// Returns when another process owns the store, so that two never write at once.
async fn watch(store: Arc<Store>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(OWNER_CHECK_INTERVAL) => {}
        }
        let look = Arc::clone(&store);
        let taken = tokio::select! {
            () = stop.cancelled() => return,
            taken = spawn_blocking(move || look.is_taken()) => taken,
        };
        if taken.unwrap_or(false) {
            error!("another process owns the store's file now; stopping");
            return;
        }
    }
}

/// Closes the store after every writer has ended; returns the result of the process.
pub(crate) async fn close(store: Arc<Store>, ended: Ended) -> Result<(), MonitorError> {
    let closed = timeout(CLOSE_TIMEOUT, spawn_blocking(move || store.close())).await;
    if let Ok(Ok(Err(error))) = closed {
        warn!(%error, "closing the store failed");
    }
    match ended {
        Ended::Requested => Ok(()),
        Ended::TaskEnded { name, reason } => Err(MonitorError::Task { name, how: reason }),
    }
}
