//! What can go wrong with the store.

use std::path::PathBuf;

/// Why the store cannot be opened or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process has the file open.
    #[error("{}: in use by another process; stop it, or ask it over HTTP", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file or its directory cannot be used at all: permissions, a full disk, a missing volume.
    #[error("{}: {reason}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's words.
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
    /// An earlier failure closed the file; what is committed is remembered in memory only.
    #[error("the store is closed after an earlier failure: {0}")]
    Closed(String),
}
