//! Retraining: delivers requests from the outbox to their receivers, at least once.

mod bodies;
mod cloud_event;
mod delivery;
mod format;
mod limits;
mod log;
mod message;
mod notifier;
mod outbox;
mod receiver;
mod runner;
mod template;
mod webhook;

pub(crate) use sidewatch_engine::retrain::{
    Attempt, Decision, Gate, GateKey, Gates, Hold, Hourly, Policy, Verify,
};
pub use sidewatch_engine::retrain::{RequestKind, RetrainRequest};

pub use delivery::{Clock, Deliveries};
pub use format::Format;
pub use log::LogNotifier;
pub(crate) use message::Message;
pub use notifier::RetrainingNotifier;
pub use outbox::{Entry, Outbox, Phase};
pub use receiver::Receiver;
pub(crate) use receiver::ReceiverStats;
pub use runner::Runner;
pub use template::BodyTemplate;
pub use webhook::{IDEMPOTENCY_KEY, Webhook};
