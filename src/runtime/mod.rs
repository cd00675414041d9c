//! Supervised tasks and their shutdown order, signals, the only clock, the only DNS resolver and
//! the only HTTP client.

pub mod clock;
pub mod dns;
pub mod http;
mod signal;
mod sources;
mod supervise;

pub use signal::{reload_signal, stop_signal};
pub use sources::with_sources;
pub use supervise::{Ended, Stage, Supervisor};
