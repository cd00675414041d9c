//! Behaviour at the seams, in one binary.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

mod e2e; // the binary beside the real Prometheus and Alertmanager
mod layers; // modules depend only downwards
