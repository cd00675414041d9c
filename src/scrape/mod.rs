//! Fetches the exposition of a target and turns it into samples.
//!
//! ```text
//! MetricProducer   ─▶ Exposition ─▶ Ingester          ─▶ metric::Appender
//! (HTTP or custom)    (one body)    (parse, memo, limits)
//! ```
//!
//! The formats are Prometheus text 0.0.4 and 1.0.0 and OpenMetrics 1.0, read as Prometheus 3 reads
//! them. A scrape is atomic: the owner of the [`Appender`](crate::metric::Appender) begins before
//! [`Ingester::ingest`] and commits or rolls back after it.

pub(crate) mod discovery;
mod error;
mod negotiate;
mod producer;
mod schedule;

pub use sidewatch_engine::exposition::Exposition;
pub(crate) use sidewatch_engine::exposition::{
    Format, Ingester, Limit, Reason, ScrapeLimits, parse,
};

pub use error::Error;
pub(crate) use negotiate::PROTOCOLS;
pub use negotiate::format_of;
pub use producer::{HttpProducer, MetricProducer, Target};
pub(crate) use schedule::Schedule;
