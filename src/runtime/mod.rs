//! Plumbing: supervised tasks, the order of stopping, signals, the only clock and the only HTTP client.

pub mod clock;
pub mod http;
mod signal;
mod supervise;

pub use signal::{reload_signal, stop_signal};
pub use supervise::{Ended, Supervisor};
