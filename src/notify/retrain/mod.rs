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

pub use sidewatch_engine::retrain::RetrainRequest;
pub(crate) use sidewatch_engine::retrain::{Attempt, Decision, GateKey, Gates, Hold, Policy};

pub use delivery::{Clock, Deliveries};
pub use format::Format;
pub(crate) use format::Message;
pub use log::LogNotifier;
pub use notifier::RetrainingNotifier;
pub use outbox::{Entry, Outbox, Phase};
pub use receiver::Receiver;
pub(crate) use receiver::ReceiverStats;
pub use runner::Runner;
pub use template::BodyTemplate;
pub use webhook::{IDEMPOTENCY_KEY, Webhook};
