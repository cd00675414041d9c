//! Retraining: the gate that decides when to request a new model, and the request.

mod gate;
mod gates;
mod hourly;
mod key;
mod pairs;
mod request;
mod summary;
mod taint;
mod verdicts;
mod verification;

pub use gate::{Attempt, Decision, Gate, Hold, Policy};
pub use gates::Gates;
pub use hourly::Hourly;
pub use key::GateKey;
pub use request::{RequestEvidence, RequestKind, RetrainRequest, idempotency_key};
pub use summary::{Comparison, Summary};
pub use taint::{Cause, Taint, Taints};
pub use verification::{Seen, Tried, Unverified, Verification, Verify};
