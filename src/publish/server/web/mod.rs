//! What a web configuration file says, checked: TLS, users, headers, rate limit. Its format is exporter-toolkit's.

mod acceptor;
mod client;
mod headers;
mod live;
mod passwords;
mod rate;
mod tls;
mod users;

use std::path::PathBuf;
use std::sync::Arc;

pub use acceptor::Acceptor;
pub use headers::Headers;
pub use rate::RateLimit;
pub use tls::{
    CipherSuite, ClientAuth, Field, KeyExchange, Material, Tls, Version, cipher_suite, curve,
};
pub use users::Users;

pub(super) use live::{Active, Live, Reread};
pub(super) use passwords::{Login, Passwords};
pub(super) use rate::Bucket;

/// A web configuration that passed every check.
#[derive(Debug, Clone)]
pub struct Web {
    /// TLS; without, plain HTTP.
    pub tls: Option<Acceptor>,
    /// Who may ask; everybody when there is nobody.
    pub users: Users,
    /// Headers of every answer.
    pub headers: Headers,
    /// Most requests in a time, over all clients.
    pub rate_limit: Option<RateLimit>,
    /// The files that it was read from; a change of their content is a reason to read it again.
    pub files: Vec<PathBuf>,
}

impl Web {
    /// Whether nothing changed, in the files of TLS neither.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same_rest = self.users == other.users
            && self.headers == other.headers
            && self.rate_limit == other.rate_limit
            && self.files == other.files;
        same_rest && self.has_same_tls(other)
    }

    /// Whether TLS is the same.
    pub(super) fn has_same_tls(&self, other: &Self) -> bool {
        match (&self.tls, &other.tls) {
            (Some(one), Some(other)) => one.is_same(other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }

    /// When the server's certificate ends, in Unix seconds.
    #[must_use]
    pub fn not_after(&self) -> Option<i64> {
        self.tls.as_ref().and_then(Acceptor::not_after)
    }
}

/// Reads the web configuration again; an error is told to people as it stands.
pub type Load = Arc<dyn Fn() -> Result<Web, String> + Send + Sync>;
