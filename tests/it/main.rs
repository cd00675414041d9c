//! Behaviour at the seams, in one binary.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails where something is missing"
)]

mod support;

mod alertmanager; // queues, retries, bisection, relabelling
mod alerts; // the state machine, as Prometheus and better
mod cluster; // the real Alertmanager, alone and three of them
mod outbox; // kill -9 and the command
mod retrain; // gates, formats, deliveries
mod store; // restarts, crashes, damage
mod twins; // promtool agrees on templates and states
