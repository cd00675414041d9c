//! `/metrics`, the API and the status page, served by one listener.
//!
//! The monitor publishes a [`Snapshot`] after every tick. Readers use the last complete one and
//! never wait for a tick.

mod api;
pub mod catalogue;
mod control;
mod counters;
mod encode;
mod error;
mod families;
mod family;
mod history;
mod page;
mod probe;
mod process;
mod query;
mod registry;
mod server;
mod shared;
mod signals;
mod snapshot;

pub use control::{Call, Control, Credentials};
pub use encode::Exposition;
pub use error::Error;
pub use family::{Description, Family, Kind, Label, Sample, ServedBy, Unit};
pub use page::{escape, number};
pub(crate) use page::{extremes, position};
pub use probe::probe_page;
pub use query::Query;
pub use server::{Handler, Reply, Server, web};
pub(crate) use server::{refused_reasons, rejected_reasons};
pub use shared::Shared;
pub use snapshot::{
    Alert, Backfill, Build, Definition, Discovery, Group, HeldSeries, Peer, Point, Receiver,
    Reload, Rule, RuleKind, STATES, Signal, Snapshot, Source, Target,
};
