//! Retraining: the gate that decides when to ask for a new model, and the request it leads to.

mod gate;
mod request;

pub use gate::{Attempt, Decision, Gate, GateKey, Gates, Hold, Policy};
pub use request::{RetrainRequest, idempotency_key};
