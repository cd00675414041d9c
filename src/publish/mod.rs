//! `/metrics`, the API and the status page, served by one listener.
//!
//! The monitor publishes a [`Snapshot`] after every tick. Readers use the last complete one and
//! never wait for a tick.

mod api;
pub(crate) mod catalogue;
mod control;
mod counters;
mod definition;
mod encode;
mod error;
mod events;
mod families;
mod family;
mod history;
mod own_series;
mod page;
mod probe;
mod process;
mod query;
mod registry;
mod rule_labels;
mod server;
mod shared;
mod signals;
mod snapshot;
mod status;

pub(crate) use control::{Call, Control, Credentials};
pub(crate) use definition::number_copies;
pub use definition::{Definition, RuleKind};
pub use encode::Exposition;
pub(crate) use error::Error;
pub(crate) use family::{Description, Family, Label};
pub(crate) use own_series::OWN_SERIES;
pub(crate) use page::{anchor as signal_id, escape, extremes, number, position};
pub(crate) use probe::probe_page;
pub(crate) use query::{Query, decoded_segment};
pub use server::Server;
pub(crate) use server::{
    Body, Handler, Hosts, NOTIFICATIONS, Pieces, Reply, refused_reasons, rejected_reasons, web,
};
pub use shared::Shared;
pub use snapshot::{Alert, Group, Peer, Receiver, Rule, STATES, Signal, Snapshot, Target};
pub(crate) use snapshot::{
    Backfill, Build, Discovery, HeldSeries, Incident, Release, Reload, Source,
};
