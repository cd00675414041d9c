//! State that survives the process: alerts, cool-downs, the outbox, strategies, baselines.
//!
//! One redb file. Every record has a checksum over its key and its bytes, and a manifest says which
//! records must exist, because a damaged redb file can panic or return wrong data. A damaged file
//! is set aside with a note in the log; it never keeps the sidecar from starting.

mod batch;
mod error;
mod file;
mod outbox;
mod payload;
mod record;
mod store;

pub use batch::{Batch, Kind};
pub use error::Error;
pub use outbox::StoreOutbox;
pub use store::{Opened, Store};
