//! `sidewatch relay`: retraining asked for by an Alertmanager, whose cluster has removed the duplicates.
//!
//! ```text
//! Alertmanager ─▶ message ─▶ decision ─▶ ledger ─▶ deliveries ─▶ retraining webhook
//!  webhook v4     (checked)  (gates)     (one commit, then 2xx)
//! ```
//!
//! The gates, the outbox and the deliveries are those of a monitor; only what opens the gates differs.

mod counters;
mod decision;
mod ledger;
mod message;
mod page;
mod service;

pub use decision::{Decided, Outcome, decide};
pub use message::{Notification, Received};
pub use service::{Loader, Service};
