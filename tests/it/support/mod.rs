//! Shared test helpers: free ports, child processes that end with the test, recorded scrapes,
//! waiting with a deadline.

mod announce;
pub(crate) mod browser;
pub(crate) mod certificates;
mod dns;
pub(crate) mod documented;
mod fake;
mod guarded;
pub(crate) mod lab;
pub(crate) mod minutes;
pub(crate) mod notify;
mod process;
mod prometheus;
mod proxy;
pub(crate) mod recorder;
mod recordings;
mod wait;

pub(crate) use announce::announce;
pub(crate) use dns::{DnsServer, Mood};
pub(crate) use fake::{Fake, Fault};
pub(crate) use guarded::{Guarded, value_of};
pub(crate) use process::{Process, free_port, start_alertmanager, tool};
pub(crate) use prometheus::start_prometheus;
pub(crate) use proxy::{Proxy, Way};
pub(crate) use recordings::{SERVERS, recordings, unpack};
pub(crate) use wait::{get_json, get_text, until};
