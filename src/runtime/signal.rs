//! Process signals.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Completes at the first SIGTERM or SIGINT and returns its name.
///
/// # Errors
/// When the operating system refuses the handler.
pub(crate) fn stop_signal() -> io::Result<impl Future<Output = &'static str> + Send> {
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
