//! Delivery: alert state to every Alertmanager, retraining requests to webhooks, at least once.
//!
//! Nothing here blocks a tick: handles put work into bounded queues that count what they drop. The
//! loops that empty the queues are futures that the supervisor runs.

pub(crate) mod alertmanager;
mod backoff;
mod error;
pub(crate) mod relabel;
pub(crate) mod retrain;

pub use alertmanager::Alertmanagers;
pub(crate) use backoff::Backoff;
pub use error::Error;
pub(crate) use retrain::Clock;
pub use retrain::{LogNotifier, RequestKind, RetrainRequest, RetrainingNotifier};
