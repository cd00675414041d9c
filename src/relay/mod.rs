//! `sidewatch relay`: requests retraining when an Alertmanager cluster, which has already removed
//! duplicates, sends a notification.
//!
//! ```text
//! Alertmanager ─▶ split ─▶ message ─▶ decision ─▶ ledger ─▶ deliveries ─▶ retraining webhook
//!  webhook v4    (pieces)  (checked)   (gates)     (on disk, then 2xx)
//! ```
//!
//! The gates, the outbox and the deliveries are those of `sidewatch run`. Only the trigger differs:
//! a notification.

mod counters;
mod decision;
mod ledger;
mod limits;
mod message;
mod outcome;
mod page;
mod places;
mod receive;
mod service;
mod split;

pub use message::notified;
pub(crate) use outcome::Outcome;
pub(crate) use service::Service;
