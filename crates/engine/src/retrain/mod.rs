//! Retraining: the gate that decides when to request a new model, and the request.

mod gate;
mod request;

pub use gate::{Attempt, Decision, Gate, GateKey, Gates, Hold, Policy};
pub use request::{RetrainRequest, idempotency_key};
