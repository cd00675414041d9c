//! Supervised tasks and their shutdown order, work on a thread of its own, signals, the thread that
//! writes the log, files, the only clock, the only DNS resolver and the only HTTP client.

pub(crate) mod clock;
pub(crate) mod dns;
mod files;
mod host_name;
pub(crate) mod http;
mod log;
mod own_thread;
mod printable;
mod signal;
mod sources;
mod supervise;

pub(crate) use files::{MAX_SMALL_FILE_BYTES, read_limited, read_settled, read_small};
pub(crate) use host_name::host_name;
pub(crate) use log::{Log, dropped_lines};
pub(crate) use own_thread::on_own_thread;
pub(crate) use printable::{Printable, Terminal, one_line};
pub(crate) use signal::{reload_signal, stop_signal};
pub(crate) use sources::with_sources;
pub(crate) use supervise::{Ended, Stage, Supervisor};
