//! Delivery: current alert state to every Alertmanager, retraining requests to webhooks, at least once.
//!
//! Nothing here blocks the monitor: handles put work into bounded queues that count what they drop; the loops that
//! empty them are futures the supervisor runs.

pub mod alertmanager;
mod backoff;
mod error;
pub mod relabel;
pub mod retrain;
mod transport;

pub use alertmanager::Alertmanagers;
pub use backoff::Backoff;
pub use error::Error;
pub use retrain::{LogNotifier, RetrainRequest, RetrainingNotifier};
pub use transport::{Body, Clock, Method, Request, Response, Transport, TransportError};
