//! Retraining: the gate that decides when to request a new model, and the request.

mod gate;
mod gates;
mod pairs;
mod request;
mod verdicts;

pub use gate::{Attempt, Decision, Gate, Hold, Policy};
pub use gates::{GateKey, Gates};
pub use request::{RetrainRequest, idempotency_key};
