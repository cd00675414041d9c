//! cli

pub mod score;
