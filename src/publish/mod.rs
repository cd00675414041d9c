//! `/metrics`, the API and the status page, served by one listener.
//!
//! The monitor publishes a [`Snapshot`] after every tick. Readers use the last complete one and
//! never wait for a tick.

mod api;
pub(crate) mod catalogue;
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

pub(crate) use control::{Call, Control, Credentials};
pub use encode::Exposition;
pub(crate) use error::Error;
pub(crate) use family::{Description, Family, Label};
pub(crate) use page::{escape, extremes, number, position};
pub(crate) use probe::probe_page;
pub(crate) use query::Query;
pub use server::Server;
pub(crate) use server::{Body, Handler, Hosts, Reply, refused_reasons, rejected_reasons, web};
pub use shared::Shared;
pub use snapshot::{
    Alert, Definition, Group, Peer, Receiver, Rule, RuleKind, STATES, Signal, Snapshot, Target,
};
pub(crate) use snapshot::{Backfill, Build, Discovery, HeldSeries, Reload, Source};
