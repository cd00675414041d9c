//! Process signals.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// The number of SIGXFSZ, which the system sends when a file would exceed the limit of its size.
const SIGXFSZ: i32 = 25;

/// Completes at the first SIGTERM or SIGINT and returns its name. From now on, a file that would
/// exceed the limit of its size is an error of the write and does not end the process.
///
/// # Errors
/// When the operating system refuses the handler.
pub(crate) fn stop_signal() -> io::Result<impl Future<Output = &'static str> + Send> {
    // A handler of any kind replaces the end of the process, and stays when it is dropped.
    drop(signal(SignalKind::from_raw(SIGXFSZ))?);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

/// Receives every SIGHUP from now on, which would otherwise end the process.
///
/// # Errors
/// When the operating system refuses the handler.
pub(crate) fn reload_signal() -> io::Result<tokio::signal::unix::Signal> {
    signal(SignalKind::hangup())
}
