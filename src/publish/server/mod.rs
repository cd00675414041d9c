//! The HTTP server: the only folder that touches hyper and rustls.
//!
//! A connection is admitted by `connections`, perhaps at another's cost; `serve` speaks TLS and HTTP on it, `gate`
//! checks each request (rate, `Host`, password, origin, size), and `routes` or the control answer. `answers` and the
//! sweep over all connections end what holds too much or takes too long.
//!
//! | route | answer |
//! |---|---|
//! | `/` | status page |
//! | `/metrics` | text 0.0.4 or OpenMetrics 1.0, by negotiation |
//! | `/-/healthy` | 200 while the process lives |
//! | `/-/ready` | 200 after the first evaluation, 503 before and while stopping |
//! | `/api/v1/rules`, `/api/v1/alerts`, `/api/v1/targets` | Prometheus' shapes |
//! | `/api/v1/signals` | values, bands, scores and states |
//! | `/api/v1/status/config` | the files of the configuration, without secrets |
//! | `/probe?target=URL&module=NAME` | scrapes a known target now and judges once, when modules are configured |
//! | `POST /-/reload` | reads the configuration again, with `--web.enable-lifecycle` |
//! | `/api/v1/retraining/outbox`, `POST …/outbox/retry`, `POST …/outbox/drop` | retraining requests on their way |
//! | `POST /api/v1/retraining/ID/done` | a retraining is over |

mod answers;
mod connections;
mod counters;
mod embedded;
mod frames;
mod gate;
mod held;
mod io;
mod listener;
mod routes;
mod serve;
pub mod web;

pub(super) use counters::Http;
pub(crate) use counters::{refused_reasons, rejected_reasons};

pub use embedded::{Handler, Reply};
pub use listener::Server;
