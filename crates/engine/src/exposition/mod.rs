//! Text expositions: parsing, and ingesting into an appender.
//!
//! ```text
//! Exposition ─▶ Ingester ─▶ metric::Appender
//! (one body)    (parse, memo, limits)
//! ```
//!
//! The formats are Prometheus text 0.0.4 and 1.0.0 and OpenMetrics 1.0, read as Prometheus 3 reads
//! them. A scrape is atomic: the owner of the [`Appender`](crate::metric::Appender) begins it
//! before [`Ingester::ingest`] and commits it or rolls it back afterwards.

mod body;
mod error;
mod ingest;
mod limits;
pub mod parse;

pub use body::{Body, Buffer, Exposition, Format};
pub use error::{ExpositionError, Limit, Reason};
pub use ingest::{Ingested, Ingester};
pub use limits::ScrapeLimits;
