//! The tokio runtime of a command.

use tokio::runtime::{Builder, Runtime};

use super::error::Error;

/// A runtime with `threads` worker threads, for a command that computes while it waits for I/O.
pub(super) fn multi_thread(threads: usize) -> Result<Runtime, Error> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|error| cannot_start(&error))
}

/// A runtime on the command's own thread.
pub(super) fn current_thread() -> Result<Runtime, Error> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| cannot_start(&error))
}

fn cannot_start(error: &std::io::Error) -> Error {
    Error::new(format!("cannot start: {error}"))
}
