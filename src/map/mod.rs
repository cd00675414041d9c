//! map

pub mod drift;
