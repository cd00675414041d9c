//! What the outside may look at: `/metrics`, the API and the status page, over one listener.
//!
//! The monitor hands over a [`Snapshot`] after every tick; readers see the last whole one and never wait for a tick.

mod api;
mod control;
mod counters;
mod encode;
mod error;
mod families;
mod history;
mod page;
mod probe;
mod process;
mod query;
mod server;
mod shared;
mod signals;
mod snapshot;

pub use control::{Call, Control, Credentials};
pub use encode::Exposition;
pub use error::Error;
pub use families::{Family, Kind, Sample};
pub use page::{escape, number};
pub use probe::probe_page;
pub use query::Query;
pub use server::{Handler, Reply, Server, web};
pub use shared::Shared;
pub use snapshot::{
    Alert, Backfill, Band, Build, Definition, Discovery, Group, HeldSeries, Peer, Point, Receiver,
    Reload, Rule, RuleKind, STATES, Signal, Snapshot, Source, Target,
};
