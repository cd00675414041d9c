//! Behaviour at the seams, in one binary.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod layers; // modules depend only downwards
