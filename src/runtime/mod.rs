//! Plumbing: supervised tasks, the order of stopping, signals and the only clock.

pub mod clock;
pub mod http;
mod signal;
mod supervise;

pub use signal::stop_signal;
pub use supervise::{Ended, Supervisor};
