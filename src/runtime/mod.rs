//! Supervised tasks and their shutdown order, signals, the only clock, the only DNS resolver and
//! the only HTTP client.

pub(crate) mod clock;
pub(crate) mod dns;
mod host_name;
pub(crate) mod http;
mod signal;
mod sources;
mod supervise;

pub(crate) use host_name::host_name;
pub(crate) use signal::{reload_signal, stop_signal};
pub(crate) use sources::with_sources;
pub(crate) use supervise::{Ended, Stage, Supervisor};
