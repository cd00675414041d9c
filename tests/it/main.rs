//! Behaviour at the seams.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails where something is missing"
)]

mod alertmanager;
mod alerts;
mod outbox;
mod retrain;
mod store;
mod support;
