//! What several tests need: free ports, child processes that die with the test, waiting with a deadline.

mod announce;
pub(crate) mod browser;
pub(crate) mod certificates;
mod dns;
mod fake;
mod guarded;
pub(crate) mod notify;
mod process;
mod prometheus;
mod proxy;
mod wait;

pub(crate) use announce::announce;
pub(crate) use dns::{DnsServer, Mood};
pub(crate) use fake::{Fake, Fault};
pub(crate) use guarded::{Guarded, value_of};
pub(crate) use process::{Process, free_port, start_alertmanager, tool};
pub(crate) use prometheus::start_prometheus;
pub(crate) use proxy::{Proxy, Way};
pub(crate) use wait::{get_json, get_text, until};

use std::path::PathBuf;

/// A folder of the material beside the checkout, when it is there; prints why a test skips when not.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let found = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../shared")
        .join(path);
    if found.exists() {
        return Some(found);
    }
    eprintln!("skipped: {} is not here", found.display());
    None
}
