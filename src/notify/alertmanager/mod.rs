//! Alertmanager's API v2: every peer receives every alert, each through its own queue and loop.
//!
//! A queue holds only the newest state of an alert, so an outage ends with the current state. A
//! dead peer neither delays another nor grows without bound. A ledger per peer knows which alerts
//! fire under the labels that the peer receives, so that the end of one is not sent while another
//! with the same labels fires.

mod discovery;
mod handle;
mod ledger;
mod payload;
mod peer;
mod queue;
mod runner;
mod settings;
mod stats;
#[cfg(test)]
mod tests;

pub use handle::Alertmanagers;
pub use runner::Runner;
pub use settings::{Discovery, PeerSettings, Settings};
pub use stats::Stats;
pub(crate) use stats::numbered;
