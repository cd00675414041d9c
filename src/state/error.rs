//! Errors of the store.

use std::path::PathBuf;

/// Why the store cannot be opened or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process has the file open.
    #[error("{}: in use by another process; stop it, or use its HTTP API", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file or its directory cannot be used at all: permissions, a full disk, a missing volume.
    #[error("{}: {reason}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The message of the system.
        reason: String,
    },
    /// A value cannot be written as JSON.
    #[error("{key}: {reason}")]
    Encode {
        /// The record's key.
        key: String,
        /// Why.
        reason: String,
    },
    /// The file is closed: commits stay in memory.
    #[error("the store is closed after an earlier failure: {0}")]
    Closed(String),
}
