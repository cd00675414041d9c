//! The running process: the tick loop and the tasks around it.
//!
//! ```text
//! producers, remote ─▶ tick loop ─▶ store handle ─▶ writer ─▶ store, then dispatcher
//! (scrapes, answers)   (engine)     (a channel)              (Alertmanager, webhooks)
//! ```

mod backfill;
mod builder;
pub(crate) mod control;
mod dispatcher;
mod error;
pub(crate) mod open_store;
mod options;
mod probe;
mod producers;
mod queries;
pub(crate) mod reload;
mod reloading;
mod remote;
mod schedule;
#[expect(clippy::module_inception, reason = "the service of the module")]
mod service;
mod snapshot;
mod store_handle;
mod stored;
mod template_querier;
mod tick_loop;
mod tick_output;
pub(crate) mod unapplied;
mod writer;

pub(crate) use dispatcher::webhooks;
pub(crate) use queries::{Notes, evaluation_json};
pub(crate) use service::serve;
pub(crate) use snapshot::receivers;

pub use builder::ServiceBuilder;
pub use control::{Loader, Recogniser};
pub use error::MonitorError;
#[doc(hidden)]
pub use queries::fuzz_params;
pub use service::Service;
pub use snapshot::published;
