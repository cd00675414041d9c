//! The web configuration, checked: TLS, users, headers, rate limit. The file has exporter-toolkit's
//! format.

mod acceptor;
mod client;
mod headers;
mod passwords;
mod rate;
mod reload;
mod tls;
mod users;

use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use acceptor::Acceptor;
pub(crate) use headers::Headers;
pub(crate) use rate::{Bucket, RateLimit};
pub(crate) use tls::{
    CipherSuite, ClientAuth, KeyExchange, Material, Tls, Version, cipher_suite, curve,
};
pub(crate) use users::Users;

pub(super) use passwords::{Login, Passwords};
pub(super) use reload::{Active, Reloader};

/// A web configuration that passed every check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Web {
    /// TLS; without, plain HTTP.
    pub tls: Option<Acceptor>,
    /// Users of basic authentication; when empty, no password is needed.
    pub users: Users,
    /// Headers of every answer.
    pub headers: Headers,
    /// Most requests in a time, over all clients.
    pub rate_limit: Option<RateLimit>,
    /// The files that it was read from; a change of their content is a reason to read it again.
    pub files: Vec<PathBuf>,
}

impl Web {
    /// When the server's certificate expires, in Unix seconds.
    #[must_use]
    pub fn not_after(&self) -> Option<i64> {
        self.tls.as_ref().and_then(Acceptor::not_after)
    }
}

/// Reads the web configuration again; the error is text for people.
pub(crate) type Load = Arc<dyn Fn() -> Result<Web, String> + Send + Sync>;
