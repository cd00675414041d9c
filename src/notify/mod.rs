//! Delivery: alert state to every Alertmanager, retraining requests to webhooks, at least once.
//!
//! Nothing here blocks a tick: handles put work into bounded queues that count what they drop. The
//! loops that empty the queues are futures that the supervisor runs.

pub mod alertmanager;
mod backoff;
mod error;
pub mod relabel;
pub mod retrain;

pub use alertmanager::Alertmanagers;
pub use backoff::Backoff;
pub use error::Error;
pub use retrain::{Clock, LogNotifier, RetrainRequest, RetrainingNotifier};
