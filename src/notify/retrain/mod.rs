//! Retraining: a gate that decides, an outbox that remembers, receivers that are told at least once.

mod delivery;
mod format;
mod gate;
mod log;
mod memory;
mod outbox;
mod receiver;
mod request;
mod runner;
mod template;
mod webhook;

pub use delivery::Deliveries;
pub use format::{Format, Message};
pub use gate::{Attempt, Decision, Gate, GateKey, Gates, Hold, Policy};
pub use log::LogNotifier;
pub use memory::MemoryOutbox;
pub use outbox::{Entry, Outbox, Phase};
pub use receiver::{Receiver, ReceiverStats};
pub use request::{RetrainRequest, RetrainingNotifier, idempotency_key};
pub use runner::Runner;
pub use template::BodyTemplate;
pub use webhook::{IDEMPOTENCY_KEY, SIGNATURE, Secret, Webhook};
