//! Behaviour of the engine at its seams, in one binary.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails where something is missing"
)]

mod alerts; // the state machine, as Prometheus and better
mod drift_power; // false alerts and delays on simulated traffic
mod exposition_differential;
mod exposition_ingest;
mod exposition_linear; // hostile bodies cost no more than their bytes
mod exposition_memo; // the memo of the last scrape changes cost, never samples
mod exposition_openmetrics;
mod exposition_reference; // a slow, obvious parser
mod exposition_text; // accept and reject, row by row
mod promql_coverage; // how far the windows that fill cover a range
mod promql_random; // series and expressions from a seed
mod promql_streaming; // scrape by scrape equals all at once
mod promql_values; // figures by hand, evaluation after evaluation
mod scrape_window; // from a body to the window
mod template_queries; // what templates ask a server for in the middle of a tick
