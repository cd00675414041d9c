//! runtime

pub mod http;
