//! What survives the process: alert state, cool-downs, the outbox, strategies, baselines.
//!
//! One redb file. Every record carries a checksum over its key and its bytes, and a manifest says which records there
//! should be, because a damaged redb file has been seen to panic and to answer with wrong data. What cannot be
//! believed is set aside with a clear note; it never keeps the sidecar from starting.

mod batch;
mod error;
mod file;
mod outbox;
mod record;
mod store;

pub use batch::{Batch, Kind};
pub use error::Error;
pub use outbox::StoreOutbox;
pub use store::{Opened, Store};
