//! Reloads a configuration concurrently with the ticks.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::config::{Problems, without_credentials};

/// Reloads a configuration, with every check.
pub(crate) type LoaderOf<C> = Arc<dyn Fn() -> Result<C, Problems> + Send + Sync>;

/// A configuration, or every problem in it.
pub(crate) type Loaded<C> = Result<C, String>;

/// What a reload has done, in lines for people; or every problem, and the old configuration stays in
/// force.
pub(crate) type Outcome = Result<String, String>;

/// Sends the outcome of a reload; the receiver may be dropped.
pub(crate) type Reply = oneshot::Sender<Outcome>;

/// A reload in progress.
#[derive(Debug)]
pub(crate) struct Loading<C> {
    work: JoinHandle<Loaded<C>>,
    reply: Reply,
}

impl<C: Send + 'static> Loading<C> {
    /// Starts to read.
    pub(crate) fn new(loader: Option<LoaderOf<C>>, reply: Reply) -> Self {
        Self {
            work: spawn_blocking(move || read(loader)),
            reply,
        }
    }
}

/// Waits until the reload in progress has finished; forever if there is none.
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
