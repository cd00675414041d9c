//! Retraining: delivers requests from the outbox to their receivers, at least once.

mod delivery;
mod format;
mod log;
mod notifier;
mod outbox;
mod receiver;
mod runner;
mod template;
mod webhook;

pub use sidewatch_engine::retrain::{
    Attempt, Decision, Gate, GateKey, Gates, Hold, Policy, RetrainRequest, idempotency_key,
};

pub use delivery::{Clock, Deliveries};
pub use format::{Format, Message};
pub use log::LogNotifier;
pub use notifier::RetrainingNotifier;
pub use outbox::{Entry, Outbox, Phase};
pub use receiver::{Receiver, ReceiverStats};
pub use runner::Runner;
pub use template::BodyTemplate;
pub use webhook::{IDEMPOTENCY_KEY, SIGNATURE, Webhook};
