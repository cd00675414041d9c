//! Errors of the listener.

use std::io;

/// Why the listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is invalid.
    #[error("--web.listen-address: must be [HOST]:PORT such as :9755 or 127.0.0.1:9755, got {0:?}")]
    Address(String),
    /// Another program uses the address.
    #[error("{0} is in use by another program; choose another --web.listen-address")]
    InUse(String),
    /// Another error of the operating system.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// The error of the operating system.
        source: io::Error,
    },
}
