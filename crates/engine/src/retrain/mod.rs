//! Retraining: the gate that decides when to request a new model, and the request.

mod gate;
mod gates;
mod hourly;
mod key;
mod pairs;
mod request;
mod verdicts;

pub use gate::{Attempt, Decision, Gate, Hold, Policy};
pub use gates::Gates;
pub use hourly::Hourly;
pub use key::GateKey;
pub use request::{RetrainRequest, idempotency_key};
