//! Everything together: one tick, and the tasks around it. The only room that knows all the others.

mod error;
mod keeper;
mod memory;
mod model_monitor;
mod names;
mod outlets;
mod reload;
mod retraining;
mod rule;
mod service;
mod target;
mod transport;
mod view;
mod watch;

pub use error::MonitorError;
pub use model_monitor::{ModelMonitor, Scraped, Tick};
pub use service::Service;
