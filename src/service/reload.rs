//! Reading a configuration again beside the ticks.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::config::{Problems, without_credentials};

/// Reads a configuration again, with every check.
pub(crate) type LoaderOf<C> = Arc<dyn Fn() -> Result<C, Problems> + Send + Sync>;

/// A configuration, or every problem with it.
pub(crate) type Loaded<C> = Result<C, String>;

/// Takes how a reload went; the receiver may be gone.
pub(crate) type Reply = oneshot::Sender<Result<(), String>>;

/// A configuration that is being read.
#[derive(Debug)]
pub(crate) struct Loading<C> {
    work: JoinHandle<Loaded<C>>,
    reply: Reply,
}

impl<C: Send + 'static> Loading<C> {
    /// Begins to read.
    pub(crate) fn new(loader: Option<LoaderOf<C>>, reply: Reply) -> Self {
        Self {
            work: spawn_blocking(move || read(loader)),
            reply,
        }
    }
}

/// Waits until the configuration under way has been read; for ever when none is.
pub(crate) async fn end<C>(loading: &mut Option<Loading<C>>) -> (Loaded<C>, Option<Reply>) {
    let Some(under_way) = loading else {
        return pending().await;
    };
    let loaded = joined(&mut under_way.work).await;
    (loaded, loading.take().map(|loading| loading.reply))
}

/// Reads and waits for it.
pub(crate) async fn load<C: Send + 'static>(loader: Option<LoaderOf<C>>) -> Loaded<C> {
    joined(&mut spawn_blocking(move || read(loader))).await
}

fn read<C>(loader: Option<LoaderOf<C>>) -> Loaded<C> {
    let load = loader.ok_or("there is no file to read again")?;
    load().map_err(|problems| without_credentials(&problems.to_string()))
}

async fn joined<C>(work: &mut JoinHandle<Loaded<C>>) -> Loaded<C> {
    work.await
        .unwrap_or_else(|error| Err(format!("reading the configuration failed: {error}")))
}
