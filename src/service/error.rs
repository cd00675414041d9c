//! Errors that keep a service from starting or running.

use crate::config::Problems;
use crate::publish;

/// Why a monitor could not be built or run. A running one never stops for bad input.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MonitorError {
    /// The configuration or a rule file has mistakes; each is one line.
    #[error("{0}")]
    Config(#[from] Problems),
    /// A producer was given for a target that does not exist.
    #[error("no target has the instance {instance:?}; known instances are {}", known.join(", "))]
    UnknownInstance {
        /// The instance that was given.
        instance: String,
        /// The instances of all targets.
        known: Vec<String>,
    },
    /// The listener could not be opened.
    #[error("cannot serve")]
    Serve(#[from] publish::Error),
    /// The store cannot be used: another process has it, or the system refuses.
    #[error("storage.path cannot be used")]
    Store(#[from] crate::state::Error),
    /// The outbox of retraining requests could not be read.
    #[error("the outbox cannot be read")]
    Outbox(#[from] crate::notify::Error),
    /// The operating system refused a signal handler or a thread.
    #[error("the operating system refused")]
    System(#[from] std::io::Error),
    /// A task that should run for ever ended.
    #[error("the task {name} ended: {how}")]
    Task {
        /// Which task.
        name: String,
        /// How it ended.
        how: String,
    },
}
