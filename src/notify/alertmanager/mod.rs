//! Alertmanager's API v2: every peer receives every alert, each through its own queue and loop.
//!
//! A queue holds only the newest state of an alert, so an outage ends with the current state. A
//! dead peer neither delays another nor grows without bound.

mod discovery;
mod handle;
mod payload;
mod peer;
mod queue;
mod runner;
mod settings;
mod stats;

pub use handle::Alertmanagers;
pub use runner::Runner;
pub use settings::{Discovery, PeerSettings, Settings};
pub use stats::Stats;
