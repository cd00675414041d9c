//! Why nothing is served.

use std::io;

/// Why the listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is no address.
    #[error("--web.listen-address: must be [HOST]:PORT such as :9755 or 127.0.0.1:9755, got {0:?}")]
    Address(String),
    /// Somebody else listens there.
    #[error("{0} is in use by another program; choose another --web.listen-address")]
    InUse(String),
    /// Anything else that the operating system says.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What the operating system says.
        source: io::Error,
    },
}
